"""What clients and operators can do to a decision server: the words of a script."""

from dataclasses import dataclass
from typing import Any

from tests.oracle.decide import Request
from tests.oracle.ledger import Outcome
from tests.worlds.catalogues import Plain
from tests.worlds.people import Row


@dataclass(frozen=True)
class Decide:
    """One batch."""

    requests: tuple[Request, ...]


@dataclass(frozen=True)
class Explain:
    """Every candidate of one request, which is a dry run."""

    request: Request


@dataclass(frozen=True)
class Record:
    outcome: Outcome
    subscriber: int
    now_us: int


@dataclass(frozen=True)
class CheckHandOff:
    decision: int
    rank: int
    subscriber: int
    now_us: int


@dataclass(frozen=True)
class SetLabel:
    """A label set, or taken away, at an instant, which may lie in the past."""

    key: str
    label: str
    present: bool
    at_us: int


@dataclass(frozen=True)
class SetAttribute:
    """None: the value is missing from now on."""

    key: str
    attribute: str
    value: Any
    at_us: int


@dataclass(frozen=True)
class SetConsent:
    key: str
    purpose: str
    channel: str
    said: str
    """granted, refused or withdrawn"""
    at_us: int


@dataclass(frozen=True)
class SetPlace:
    """Another zone, another language, or both; None: as it was."""

    key: str
    zone: str | None
    language: str | None
    at_us: int


@dataclass(frozen=True)
class Forget:
    key: str
    now_us: int


@dataclass(frozen=True)
class Edit:
    """The catalogue from now on."""

    catalogue: Plain
    now_us: int


@dataclass(frozen=True)
class NewBase:
    """Another base from now on, with another catalogue or without."""

    rows: tuple[Row, ...]
    as_of_us: int
    catalogue: Plain | None
    now_us: int


@dataclass(frozen=True)
class TrustClock:
    trusted: bool


Change = SetLabel | SetAttribute | SetConsent | SetPlace
Command = Decide | Explain | Record | CheckHandOff | Change | Forget | Edit | NewBase | TrustClock
