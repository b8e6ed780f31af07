"""The ledger's interface: batched, and free to answer later, so that durable (group commit) and shared ledgers fit behind it.

One thread owns a ledger. It advances the clock, reads the contacts of a batch's subscribers, decides, reserves what it chose, and decides again from
the first item that was not granted. Everything in a `Reading` is a view that the next change of the ledger may overwrite.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from engine.bundles import reference
from engine.dtypes import ledger as codes
from engine.dtypes.contact import Contacts, Totals
from engine.dtypes.ledger import FOREVER_US, LIFETIME, GrantColumns, Requests
from engine.dtypes.texts import Texts
from engine.ledger.names import LedgerFullError, Names

__all__ = [
    "FOREVER_US",
    "LIFETIME",
    "Answers",
    "Done",
    "Granted",
    "Grants",
    "Ledger",
    "LedgerFullError",
    "LedgerPolicy",
    "Names",
    "OutcomeKind",
    "OutcomeResult",
    "Outcomes",
    "Pending",
    "Reading",
    "Recalled",
    "Requests",
    "Retention",
    "columns_of",
]

_COLUMNS: Final = ["count" if name == "seats" else name for name in GrantColumns._fields]
"""The fields of Grants, in the order of the kernel's columns."""
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Pending(Protocol[T_co]):
    """An answer that may come later."""

    def ready(self) -> bool:
        """Return whether `result` would answer at once."""

    def result(self) -> T_co:
        """Return the answer, waiting for it if need be; raises what the operation raised."""


@dataclass(slots=True, frozen=True)
class Done(Generic[T]):
    """The Pending of a ledger that answers at once."""

    value: T

    def ready(self) -> bool:
        """Return True."""
        return True

    def result(self) -> T:
        """Return the answer."""
        return self.value


class OutcomeKind(IntEnum):
    """What an outcome reports."""

    HANDED_OFF = codes.HANDED_OFF_KIND
    SEEN = codes.SEEN_KIND
    CLICKED = codes.CLICKED_KIND
    ACCEPTED = codes.ACCEPTED_KIND
    FULFILLED = codes.FULFILLED_KIND
    REFUSED = codes.REFUSED_KIND
    NOT_NOW = codes.NOT_NOW_KIND
    FAILED = codes.FAILED_KIND


class OutcomeResult(IntEnum):
    """What became of an outcome. Only RECORDED and RECORDED_LATE change anything and remember the outcome's id.

    The first that applies, in this order: DUPLICATE or CONFLICT, UNKNOWN_DECISION, INVALID, else recorded.
    """

    RECORDED = codes.RECORDED
    RECORDED_LATE = codes.RECORDED_LATE
    DUPLICATE = codes.DUPLICATE
    CONFLICT = codes.CONFLICT
    UNKNOWN_DECISION = codes.UNKNOWN_DECISION
    INVALID = codes.INVALID


@dataclass(slots=True, frozen=True)
class Reading:
    """What the ledger holds about n subscribers, and the totals over all; rows beyond the n mean nothing."""

    contacts: Contacts
    totals: Totals


@dataclass(slots=True)
class Grants:
    """What to hold for up to n distinct subscribers, granted in order at ledger time; k = OFFERS_PER_ANSWER_MAX seats, `count[i]` of them filled.

    Check c of item i, for c in [total_start[i], total_start[i + 1]), passes while
    `live[event, slot] + (lifetime[event, slot] or the daily buckets from since_day on) < limit`, as it stands before this item's own offers:
    for the m-th offer of an answer that counts in one slot, pass `cap limit - (m - 1)`.
    """

    subscriber: npt.NDArray[np.uint64]
    """(n,)"""
    count: npt.NDArray[np.int32]
    """(n,): 1 to k; 0 passes: mask 1, decision 0, nothing held."""
    offer: npt.NDArray[np.uint16]
    """(n, k): codes of Ledger.names, as the three below; seat r is rank r + 1."""
    campaign: npt.NDArray[np.uint16]
    category: npt.NDArray[np.uint16]
    channel: npt.NDArray[np.uint16]
    flags: npt.NDArray[np.uint8]
    """(n, k): PUSH and COUNTS of engine.dtypes.contact."""
    expires_us: npt.NDArray[np.int64]
    """(n,): after ledger time."""
    total_start: npt.NDArray[np.int64]
    """(n + 1,)"""
    total_slot: npt.NDArray[np.int64]
    """(checks,): Names.total_slot of the offer, campaign or category."""
    total_event: npt.NDArray[np.int64]
    """(checks,): DECIDED, HANDED_OFF, SEEN or ACCEPTED."""
    total_since_day: npt.NDArray[np.int64]
    """(checks,): the first home-zone day that counts, or LIFETIME."""
    total_limit: npt.NDArray[np.int64]
    """(checks,)"""
    items: int | None = None
    """How many of the n are asked for, from the first on; None: all. Who asks often keeps one of these, with room for many."""


def columns_of(grants: Grants) -> Any:
    """Return what kernels take for the arrays of grants."""
    return reference(GrantColumns(*(getattr(grants, name) for name in _COLUMNS)))


@dataclass(slots=True, frozen=True)
class Granted:
    """What was held: of n items the first `items`, since the next did not fit (its totals, or no room)."""

    items: int
    decision: npt.NDArray[np.uint64]
    """(n,) or more: consecutive sequence numbers of this shard; 0 where nothing was held. Holds until the next change of the ledger."""


@dataclass(slots=True)
class Outcomes:
    """n outcomes, processed in order."""

    outcome: npt.NDArray[np.uint64]
    """(n, 2): keyed digest of the outcome's id."""
    body: npt.NDArray[np.uint64]
    """(n,): digest of everything else that the outcome says."""
    subscriber: npt.NDArray[np.uint64]
    decision: npt.NDArray[np.uint64]
    rank: npt.NDArray[np.uint8]
    kind: npt.NDArray[np.uint8]
    """(n,): OutcomeKind; any other is INVALID."""
    event_us: npt.NDArray[np.int64]


@dataclass(slots=True, frozen=True)
class Retention:
    """For how long after its instant each event may still matter to a rule; a contact of which nothing matters any more is dropped.

    A contact without the COUNTS flag matters to cool-downs only. A live hold always matters. What was dropped under a shorter retention stays dropped.
    """

    counted_us: int
    """handed_off, seen, accepted: the longest window of a cap on them."""
    decided_us: int
    """The grant: the longest window of a cap on it."""
    refused_us: int
    not_now_us: int
    accepted_us: int
    """Until an acceptance no longer stops a re-offer; FOREVER_US."""
    late_us: int
    """After the hold's expiry: outcomes are still taken; later ones get UNKNOWN_DECISION."""


class LedgerPolicy(NamedTuple):
    """What Ledger.set_policy is told."""

    retention: Retention
    first_day: int
    day_starts_us: npt.NDArray[np.int64]


@dataclass(slots=True, frozen=True)
class Recalled:
    """What the memory of answers says of n requests; holds until the memory is asked again."""

    known: int
    """How many are no MISS."""
    state: npt.NDArray[np.uint8]
    """(n,): MISS, HIT (same body) or OTHER_BODY of engine.dtypes.ledger."""
    answers: Texts
    """(n,): the remembered bytes of each HIT, in a buffer of their own; none for the others. Nothing at all when none is known."""


class Answers(Protocol):
    """The memory of rendered answers by request; instants are ledger time. A live entry is never evicted."""

    def recall(self, requests: Requests, index: npt.NDArray[np.int64], now_us: int) -> Pending[Recalled]:
        """Look up the requests of rows `index`, (n,)."""

    def room_bytes(self, now_us: int) -> int:
        """Return how many bytes of `cost_bytes` fit now."""

    def cost_bytes(self, answer_bytes: int) -> int:
        """Return what an answer of this length takes of the room."""

    def remember(self, requests: Requests, index: npt.NDArray[np.int64], now_us: int, answers: Texts) -> Pending[bool]:
        """Remember the answers of rows `index`, (n,), new requests all; False, with nothing remembered, when they do not all fit.

        The buffer is the caller's again when the answer is there.
        """

    def forget(self, subscriber: int) -> int:
        """Zero and drop this subscriber's answers; return how many."""


class Ledger(Protocol):
    """Holds, contacts, totals and outcomes of one shard."""

    @property
    def names(self) -> Names:
        """The stable codes of offers, campaigns, categories and channels."""

    @property
    def answers(self) -> Answers:
        """The memory of answers."""

    @property
    def now_us(self) -> int:
        """Ledger time, which never goes backwards."""

    def advance(self, now_us: int) -> int:
        """Set ledger time to the larger of itself and `now_us`, expire the holds due at or before it, and return it."""

    def read(self, subscribers: npt.NDArray[np.uint64]) -> Pending[Reading]:
        """Return the contacts of n distinct subscribers; an unknown one has none and full room."""

    def reserve(self, grants: Grants) -> Pending[Granted]:
        """Hold as many of the items, from the first on, as fit; an item is held whole or not at all."""

    def in_memory(self, items: int) -> tuple[Any, Reading] | None:
        """Return what kernels take for a ledger in this process's memory, with room for so many items, and what it reads for them; None of another.

        That is engine.dtypes.ledger.InMemory. With it one kernel does for a run what `advance`, `answers.recall`, `read` and `reserve` do.
        """

    def record(self, outcomes: Outcomes) -> Pending[npt.NDArray[np.uint8]]:
        """Record outcomes; return an (n,) OutcomeResult. Raises LedgerFullError, with nothing recorded, when their ids could not all be remembered."""

    def find(self, subscriber: int, decision: int, rank: int) -> Any | None:
        """Return a copy of one CONTACT record, or None when it is unknown or matters no more."""

    def forget(self, subscriber: int) -> None:
        """Drop the subscriber's contacts, holds, remembered answers and outcome ids; totals lose its live holds, not its events."""

    def set_policy(self, retention: Retention, first_day: int, day_starts_us: npt.NDArray[np.int64]) -> None:
        """Set how long events matter, and the home zone's days: day first_day + i (since 1970-01-01) starts at day_starts_us[i], sorted, one or more."""

    def reserved(self) -> list[npt.NDArray[Any]]:
        """Return the arrays whose memory is reserved and taken only as it is touched; none for a ledger that is elsewhere."""

    def statistics(self) -> dict[str, int]:
        """Return counts of subscribers, contacts, live holds, and bytes held and reserved."""
