"""What a condition may name: the slots of a view and the labels, with their CEL types."""

from enum import IntEnum
from typing import Final

import msgspec


class SlotType(IntEnum):
    """Types of slots; the numbers are stored in rulebooks."""

    BOOL = 0
    INT = 1
    DECIMAL = 2
    """A scaled integer; CEL sees the double nearest to value / 10**scale."""
    DOUBLE = 3
    STRING = 4
    TIMESTAMP = 5
    DURATION = 6


DECIMAL_SCALE_MAX: Final = 18
ZONE_NAME: Final = "subscriber.zone"
LABELS_NAME: Final = "subscriber.labels"


class Slot(msgspec.Struct, frozen=True):
    """One value of a view: `name` as CEL has it (`subscriber.tenure_months`), in the order of View.values."""

    name: str
    type: SlotType
    scale: int = 0
    """Decimal digits after the point, 0 to DECIMAL_SCALE_MAX; only for DECIMAL."""
    dynamic: bool = False
    """A string whose values are not known when tables are bound (trigger fields); see engine.cel.interner."""


class Schema(msgspec.Struct, frozen=True):
    """The names of one rulebook: slots in view order, label ids sorted."""

    slots: tuple[Slot, ...]
    labels: tuple[str, ...] = ()
    zone: bool = True
    """Whether `subscriber.zone` is a name; `touchpoint eval` has it only when the row declares it."""
