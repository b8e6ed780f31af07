"""What is done around the engine's calls, for a ledger that others share: what they read is fetched before, what they change is written after.

The front calls the engine through one of these when there is one, and directly when there is none, which costs nothing. All of it is called
within a turn, by whoever has it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from engine.base.describe import Description
from engine.base.overlay import Write
from engine.batch import Batch, Decisions
from engine.handing_off import HandOff
from engine.ledger.names import Kind
from engine.ledger.port import Outcomes


class Around(Protocol):
    """Each method calls what it is given, as often as it must, and returns what that returned last."""

    def decide(self, batch: Batch, decide: Callable[[], Decisions]) -> Decisions:
        """Decide a batch, which `decide` does."""

    def record(self, outcomes: Outcomes, record: Callable[[Outcomes], Any]) -> Any:
        """Record outcomes, some at a time as it may be; raises RefusedError, and those that were recorded are duplicates then."""

    def check_hand_off(self, subscriber: int, check: Callable[[], HandOff]) -> HandOff | None:
        """Check a hold of the subscriber; None when what is known of it cannot be had."""

    def forget(self, subscriber: int, forget: Callable[[], None]) -> None:
        """Erase a subscriber; raises RefusedError, with nothing erased."""

    def update(self, subscriber: int, at_us: int, update: Callable[[], list[Write]]) -> None:
        """Change a subscriber; raises what `update` raises, and RefusedError when it is not sure that everybody will know."""

    def describe(self, subscriber: int, describe: Callable[[], Description]) -> Description:
        """Return what is known of a subscriber."""

    def admit(self, named: Sequence[tuple[Kind, str]]) -> None:
        """See to it that names have the codes that they have everywhere, before the engine is given them; raises LedgerFullError, RefusedError."""

    def tick(self) -> None:
        """Do what time alone brings, when nobody calls."""

    def now_us(self) -> int:
        """Return the clock that all share, microseconds since 1970."""

    def statistics(self) -> dict[str, int]:
        """Return figures for the status and the metrics."""

    def stop(self) -> None:
        """Let go of what is held elsewhere."""
