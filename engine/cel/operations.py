"""Which operation of a program each CEL operator or function is, by the types of its operands."""

from typing import Final

from engine.dtypes import operation as op

OPERATIONS: Final[dict[tuple[str, tuple[str, ...]], int]] = {
    ("!_", ()): op.NOT,
    ("_&&_", ()): op.AND,
    ("_||_", ()): op.OR,
    ("_+_", ("int", "int")): op.ADD,
    ("_-_", ("int", "int")): op.SUBTRACT,
    ("_*_", ("int", "int")): op.MULTIPLY,
    ("_/_", ("int", "int")): op.DIVIDE,
    ("_%_", ("int", "int")): op.REMAINDER,
    ("-_", ("int",)): op.NEGATE,
    ("_+_", ("double", "double")): op.ADD_DOUBLE,
    ("_-_", ("double", "double")): op.SUBTRACT_DOUBLE,
    ("_*_", ("double", "double")): op.MULTIPLY_DOUBLE,
    ("_/_", ("double", "double")): op.DIVIDE_DOUBLE,
    ("-_", ("double",)): op.NEGATE_DOUBLE,
    ("_+_", ("duration", "duration")): op.ADD_SPAN,
    ("_-_", ("duration", "duration")): op.SUBTRACT_SPAN,
    ("_+_", ("timestamp", "duration")): op.INSTANT_PLUS,
    ("_+_", ("duration", "timestamp")): op.INSTANT_PLUS,
    ("_-_", ("timestamp", "duration")): op.INSTANT_MINUS,
    ("_-_", ("timestamp", "timestamp")): op.INSTANT_BETWEEN,
    ("int", ("double",)): op.TO_INT,
    ("int", ("timestamp",)): op.INT_OF_INSTANT,
    ("double", ("int",)): op.TO_DOUBLE,
    ("timestamp", ("int",)): op.INSTANT_OF_INT,
    **{
        ("_?_:_", ("bool", kind, kind)): op.SELECT
        for kind in ("bool", "int", "double", "string", "timestamp", "duration")
    },
}

COMPARISONS: Final = {
    "_==_": ("EQUAL", False, False),
    "_!=_": ("EQUAL", False, True),
    "_<_": ("LESS", False, False),
    "_<=_": ("AT_MOST", False, False),
    "_>_": ("LESS", True, False),
    "_>=_": ("AT_MOST", True, False),
}
"""CEL's comparisons as (operation, sides exchanged, negated)."""

_KINDS: Final = {
    "bool": "WHOLE",
    "int": "WHOLE",
    "string": "WHOLE",
    "duration": "WHOLE",
    "double": "DOUBLE",
    "timestamp": "INSTANT",
}

INSTANT_PARTS: Final = {
    "getFullYear": op.YEAR,
    "getMonth": op.MONTH,
    "getDate": op.DAY,
    "getDayOfMonth": op.DAY_OF_MONTH,
    "getDayOfWeek": op.DAY_OF_WEEK,
    "getDayOfYear": op.DAY_OF_YEAR,
    "getHours": op.HOURS,
    "getMinutes": op.MINUTES,
    "getSeconds": op.SECONDS,
    "getMilliseconds": op.MILLISECONDS,
}
SPAN_PARTS: Final = {name: INSTANT_PARTS[name] for name in ("getHours", "getMinutes", "getSeconds", "getMilliseconds")}


def value_kind(kind: str) -> str | None:
    """Return how values of a CEL type compare (WHOLE, DOUBLE, INSTANT); None when the subset does not have the type."""
    return _KINDS.get(kind)
