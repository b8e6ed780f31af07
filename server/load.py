"""Figures of the decision thread's queue and batches."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Source:
    """Items of calls that came from one side; each field has one thread that writes it."""

    submitted_items: int = 0
    """Ever (the submitting thread)."""
    answered_items: int = 0
    """Of those (whoever delivers)."""
    shed_items: int = 0
    """Refused because too many waited (the submitting thread)."""

    @property
    def waiting_items(self) -> int:
        """Submitted and not answered."""
        return self.submitted_items - self.answered_items


@dataclass(slots=True)
class Load:
    """Figures of the queue and the batches."""

    loop: Source = field(default_factory=Source)
    """From the event loop."""
    native: Source = field(default_factory=Source)
    """From the native front's thread."""
    dropped_items: int = 0
    """Items past their deadline or given up, never evaluated (within a turn)."""
    batch_items: dict[int, int] = field(default_factory=dict)
    """How many batches had up to 1, 2, 4, ... items (within a turn)."""

    @property
    def submitted_items(self) -> int:
        """Items ever submitted."""
        return self.loop.submitted_items + self.native.submitted_items

    @property
    def waiting_items(self) -> int:
        """Items submitted and not answered."""
        return self.loop.waiting_items + self.native.waiting_items

    @property
    def shed_items(self) -> int:
        """Items refused because too many waited."""
        return self.loop.shed_items + self.native.shed_items
