"""What clients and operators can do to a decision server: the words of a script."""

from dataclasses import dataclass
from typing import Any

from tests.oracle.decide import Request
from tests.oracle.ledger import Outcome
from tests.worlds.catalogues import Plain


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
    """A label set, or taken away, at an instant."""

    key: str
    label: str
    present: bool
    now_us: int


@dataclass(frozen=True)
class SetAttribute:
    """None: the value is missing from now on."""

    key: str
    attribute: str
    value: Any
    now_us: int


@dataclass(frozen=True)
class SetConsent:
    key: str
    purpose: str
    channel: str
    granted: bool
    now_us: int


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
class TrustClock:
    trusted: bool


Command = Decide | Explain | Record | CheckHandOff | SetLabel | SetAttribute | SetConsent | Forget | Edit | TrustClock
