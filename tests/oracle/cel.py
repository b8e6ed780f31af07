"""CEL conditions in plain Python: a parser and a tree walker of its own, sharing nothing with the engine and nothing with Google's CEL.

It knows the subset that conditions use. Values: bool, int, float, str, Timestamp and Duration (whole nanoseconds). A name that is missing is
unknown; `and`, `or` and the conditional absorb as the CEL specification says, and everything else with an unknown operand is unknown, with
an error and no unknown operand, an error. The expressions given to it are assumed to have passed a type checker.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final

from tests.oracle.cel_syntax import Tree, parse
from tests.oracle.clock import zone_info

SECOND: Final = 10**9
INTS: Final = range(-(2**63), 2**63)
EPOCH: Final = datetime(1970, 1, 1)
FIRST_NS: Final = -62_135_596_800 * SECOND
LAST_NS: Final = 253_402_300_800 * SECOND - 1


class Outcome(Enum):
    """What is no value."""

    UNKNOWN = "unknown"
    ERROR = "error"


UNKNOWN: Final = Outcome.UNKNOWN
ERROR: Final = Outcome.ERROR


@dataclass(frozen=True, order=True)
class Timestamp:
    """An instant, in nanoseconds since 1970-01-01 UTC."""

    ns: int


@dataclass(frozen=True, order=True)
class Duration:
    """A span of time in nanoseconds."""

    ns: int


class FailedError(Exception):
    """The expression is an error."""


class UnknownError(Exception):
    """The expression is unknown for want of `names`."""

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__(names)
        self.names = names


def evaluate(text: str, env: Mapping[str, Any], labels: Mapping[str, bool | None] | None = None) -> Any:
    """The value, or UNKNOWN, or ERROR. In `env` None is missing; in `labels` True is present, None is out of date, absent is absent."""
    try:
        return Walker(env, labels or {}).value(parse(text))
    except UnknownError:
        return UNKNOWN
    except FailedError:
        return ERROR


def missing_names(text: str, env: Mapping[str, Any], labels: Mapping[str, bool | None] | None = None) -> frozenset[str]:
    """The names for want of which the expression is unknown."""
    try:
        Walker(env, labels or {}).value(parse(text))
    except UnknownError as error:
        return error.names
    except FailedError:
        pass
    return frozenset()


def int64(value: int) -> int:
    if value not in INTS:
        raise FailedError
    return value


def span(ns: int) -> Duration:
    return Duration(int64(ns))


def instant(ns: int) -> Timestamp:
    if not FIRST_NS <= ns <= LAST_NS:
        raise FailedError
    return Timestamp(ns)


def quotient(a: int, b: int) -> int:
    if b == 0:
        raise FailedError
    return int64((abs(a) // abs(b)) * (1 if (a < 0) == (b < 0) else -1))


def remainder(a: int, b: int) -> int:
    return a - b * quotient(a, b)


def ieee_quotient(a: float, b: float) -> float:
    if b != 0.0:
        return a / b
    if a == 0.0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def plus(a: Any, b: Any) -> Any:
    if isinstance(a, Duration) and isinstance(b, Duration):
        return span(a.ns + b.ns)
    if isinstance(a, Timestamp | Duration):
        return instant(a.ns + b.ns)
    return int64(a + b) if isinstance(a, int) else a + b


def minus(a: Any, b: Any) -> Any:
    if isinstance(a, Timestamp) and isinstance(b, Duration):
        return instant(a.ns - b.ns)
    if isinstance(a, Timestamp | Duration):
        return span(a.ns - b.ns)
    return int64(a - b) if isinstance(a, int) else a - b


def times(a: Any, b: Any) -> Any:
    return int64(a * b) if isinstance(a, int) else a * b


def over(a: Any, b: Any) -> Any:
    return quotient(a, b) if isinstance(a, int) else ieee_quotient(a, b)


def negative(a: Any) -> Any:
    return int64(-a) if isinstance(a, int) else -a


def to_int(a: Any) -> int:
    if isinstance(a, Timestamp):
        return a.ns // SECOND
    if isinstance(a, float):
        if not -(2.0**63) < a < 2.0**63:
            raise FailedError
        return math.trunc(a)
    if isinstance(a, str):
        if not re.fullmatch(r"\s*[+-]?[0-9]+\s*", a, re.ASCII):
            raise FailedError
        return int64(int(a))
    return int(a)


def to_double(a: Any) -> float:
    try:
        return float(a)
    except ValueError:
        raise FailedError from None


def to_timestamp(a: Any) -> Timestamp:
    if isinstance(a, Timestamp):
        return a
    if isinstance(a, int):
        return instant(a * SECOND)
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", a.upper(), re.ASCII)
    try:
        assert found
        local = datetime.fromisoformat(f"{found[1]}T{found[2]}")
        offset = 0 if found[4] == "Z" else int(found[4][:3]) * 60 + int(found[4][0] + found[4][4:])
        seconds = (local - EPOCH) // timedelta(seconds=1) - offset * 60
    except (AssertionError, ValueError):
        raise FailedError from None
    return instant(seconds * SECOND + int((found[3] or ".0")[1:10].ljust(9, "0")))


UNITS: Final = {"h": 3600 * SECOND, "m": 60 * SECOND, "s": SECOND, "ms": 10**6, "us": 10**3, "ns": 1}


def to_duration(a: Any) -> Duration:
    if isinstance(a, Duration):
        return a
    if a.lstrip("+-") == "0" and len(a) <= 2:
        return Duration(0)
    if not re.fullmatch(r"[+-]?((\d+\.?\d*|\.\d+)(h|ms|m|s|us|ns))+", a, re.ASCII):
        raise FailedError
    total = 0
    for whole, fraction, unit in re.findall(r"(\d*)\.?(\d*)(h|ms|m|s|us|ns)", a):
        total += int(whole or 0) * UNITS[unit] + int(fraction or 0) * UNITS[unit] // 10 ** len(fraction)
    return span(-total if a.startswith("-") else total)


def local_time(moment: Timestamp, zone: str) -> tuple[datetime, int]:
    """The wall clock in a zone, and the years to add to it: near both ends of the range it is shown 400 years nearer, on the same weekday."""
    utc = EPOCH + timedelta(seconds=moment.ns // SECOND)
    shift = 400 if utc.year == 1 else (-400 if utc.year == 9999 else 0)
    return utc + timedelta(days=shift // 400 * 146_097) + zone_offset(utc, zone), -shift


def zone_offset(utc: datetime, zone: str) -> timedelta:
    fixed = re.fullmatch(r"([+-]?)(\d\d):(\d\d)", zone)
    if fixed:
        return timedelta(hours=int(fixed[2]), minutes=int(fixed[3])) * (-1 if fixed[1] == "-" else 1)
    day = timedelta(days=1)
    inside = min(max(utc, datetime.min + day), datetime.max - day)
    try:
        offset = inside.replace(tzinfo=UTC).astimezone(zone_info(zone)).utcoffset()
    except (KeyError, ValueError, OSError):
        raise FailedError from None
    assert offset is not None
    return offset


PARTS: Final[dict[str, Callable[[datetime], int]]] = {
    "getFullYear": lambda t: t.year,
    "getMonth": lambda t: t.month - 1,
    "getDate": lambda t: t.day,
    "getDayOfMonth": lambda t: t.day - 1,
    "getDayOfWeek": lambda t: t.isoweekday() % 7,
    "getDayOfYear": lambda t: t.timetuple().tm_yday - 1,
    "getHours": lambda t: t.hour,
    "getMinutes": lambda t: t.minute,
    "getSeconds": lambda t: t.second,
}
SPANS: Final = {"getHours": 3600 * SECOND, "getMinutes": 60 * SECOND, "getSeconds": SECOND, "getMilliseconds": 10**6}


def part(function: str, value: Any, zone: str = "") -> int:
    if isinstance(value, Duration):
        size = abs(value.ns) % SECOND if function == "getMilliseconds" else abs(value.ns)
        return size // SPANS[function] * (-1 if value.ns < 0 else 1)
    wall_clock, years = local_time(value, zone)
    if function == "getMilliseconds":
        return int(value.ns % SECOND // 10**6)
    return PARTS[function](wall_clock) + (years if function == "getFullYear" else 0)


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "+": plus,
    "-": minus,
    "*": times,
    "/": over,
    "%": remainder,
    "negative": negative,
    "!": lambda a: not a,
    "int": to_int,
    "double": to_double,
    "timestamp": to_timestamp,
    "duration": to_duration,
    "string": lambda a: a,
    "bool": lambda a: a if isinstance(a, bool) else a in ("true", "True", "TRUE", "t", "1"),
    "size": len,
    "startsWith": lambda a, b: a.startswith(b),
    "endsWith": lambda a, b: a.endswith(b),
    "contains": lambda a, b: b in a,
    "in": lambda a, *among: any(a == element for element in among),
}


class Walker:
    """Evaluates a tree, a node at a time."""

    def __init__(self, env: Mapping[str, Any], labels: Mapping[str, bool | None]) -> None:
        self.env = env
        self.labels = labels

    def value(self, tree: Tree) -> Any:
        kind, *parts = tree
        if kind == "literal":
            return parts[0] if not isinstance(parts[0], int) or isinstance(parts[0], bool) else int64(parts[0])
        if kind == "name":
            return self.named(parts[0])
        if kind == "has":
            return self.env.get(parts[0]) is not None
        if kind == "label":
            return self.label(parts[0])
        if kind in ("&&", "||"):
            return self.absorbed(parts, wins=kind == "||")
        if kind == "?":
            return self.value(parts[1] if self.value(parts[0]) else parts[2])
        values = self.operands(parts)
        return part(kind, *values) if kind.startswith("get") else FUNCTIONS[kind](*values)

    def named(self, name: str) -> Any:
        value = self.env.get(name)
        if value is None:
            raise UnknownError(frozenset({name}))
        return value

    def label(self, label: str) -> bool:
        if label in self.labels and self.labels[label] is None:
            raise UnknownError(frozenset({label}))
        return bool(self.labels.get(label))

    def outcome(self, tree: Tree) -> Any:
        """The value, or the exception that evaluation raised."""
        try:
            return self.value(tree)
        except (UnknownError, FailedError) as error:
            return error

    def operands(self, parts: list[Tree]) -> list[Any]:
        return settled([self.outcome(tree) for tree in parts])

    def absorbed(self, parts: list[Tree], *, wins: bool) -> bool:
        """`&&` (false wins) or `||` (true wins): a winner on either side wins over unknown and error on the other."""
        outcomes = [self.outcome(tree) for tree in parts]
        if any(outcome is wins for outcome in outcomes):
            return wins
        settled(outcomes)
        return not wins


def settled(outcomes: list[Any]) -> list[Any]:
    """The outcomes if all are values; if one is unknown, so is the whole, before any error."""
    names = [outcome.names for outcome in outcomes if isinstance(outcome, UnknownError)]
    if names:
        raise UnknownError(frozenset().union(*names))
    if any(isinstance(outcome, FailedError) for outcome in outcomes):
        raise FailedError
    return outcomes
