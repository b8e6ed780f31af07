"""Random well-typed expressions of the subset over the names of NAMES, and random rows at the edges of each type."""

import random
from collections.abc import Callable
from typing import Any, Final

from tests.oracle.cel import Duration, Timestamp

NAMES: Final = {
    "r.flag": "bool",
    "r.other": "bool",
    "r.count": "int",
    "r.total": "int",
    "r.ratio": "double",
    "r.usage": "double",
    "r.plan": "string",
    "r.app": "string",
    "r.seen": "timestamp",
    "r.now": "timestamp",
    "r.wait": "duration",
    "r.stay": "duration",
}
BY_TYPE: Final = {kind: [n for n, k in NAMES.items() if k == kind] for kind in set(NAMES.values())}
COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=")
INTS: Final = (0, 1, -1, 2, 3, 7, 60, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), -(2**63) + 1, 10**18)
DOUBLES: Final = (0.0, -0.0, 1.0, -1.5, 0.1, 1e308, 5e-324, 2.0**53, 2.0**63, -(2.0**63), 1e18)
ODD_DOUBLES: Final = (float("nan"), float("inf"), float("-inf"))
STRINGS: Final = ("", "a", "b", "ab", "abc", "é", "\uffff", "\U0001f600", "a b", "Z")
SECONDS: Final = (
    -62_135_500_000,
    -1,
    0,
    1,
    951_782_400,
    1_709_164_800,
    1_711_846_799,
    1_711_846_800,
    1_730_595_600,
    253_402_300_799,
)
ZONES: Final = (
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "+02:00",
    "-02:30",
    "05:45",
)
SPANS: Final = (
    "0s",
    "1s",
    "-1.5s",
    "1.000000001s",
    "90m",
    "24h",
    "-1ns",
    "720h",
    "2562047h47m16s",
    "-2562047h47m16s",
    "999ms",
    "36h1us",
)
INSTANT_PARTS: Final = (
    "FullYear",
    "Month",
    "Date",
    "DayOfMonth",
    "DayOfWeek",
    "DayOfYear",
    "Hours",
    "Minutes",
    "Seconds",
    "Milliseconds",
)
SPAN_PARTS: Final = INSTANT_PARTS[-4:]


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def random_row(rng: random.Random) -> dict[str, Any]:
    """A value, in the oracle's terms, for each name; None for some. Instants and spans are whole microseconds."""
    makers: dict[str, Callable[[], Any]] = {
        "bool": lambda: rng.random() < 0.5,
        "int": lambda: rng.choice(INTS) if rng.random() < 0.6 else rng.randrange(-100, 100),
        "double": lambda: rng.choice((*DOUBLES, *ODD_DOUBLES)) if rng.random() < 0.7 else rng.uniform(-10, 10),
        "string": lambda: rng.choice(STRINGS),
        "timestamp": lambda: random_instant(rng),
        "duration": lambda: Duration(
            rng.choice((0, 10**9, -1_500_000_000, 5_400 * 10**9, rng.randrange(-(10**15), 10**15) * 1000))
        ),
    }
    return {name: None if rng.random() < 0.12 else makers[kind]() for name, kind in NAMES.items()}


def random_instant(rng: random.Random) -> Timestamp:
    seconds = rng.choice(SECONDS) if rng.random() < 0.5 else rng.randrange(0, 2_000_000_000)
    exact = abs(seconds) < 10**10  # Google's Python layer rounds the microseconds of distant datetimes
    return Timestamp(seconds * 10**9 + (rng.choice((0, 0, 1_000, 500_000_000, 999_999_000)) if exact else 0))


class Expressions:
    """A generator of expression texts of a wanted type."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def make(self, kind: str, depth: int) -> str:
        """An expression of type `kind`, at most `depth` operators deep."""
        if depth <= 0 or self.rng.random() < 0.15:
            return self.name(kind) if self.rng.random() < 0.65 else self.literal(kind)
        if self.rng.random() < 0.1:
            return f"({self.make('bool', depth - 1)} ? {self.make(kind, depth - 1)} : {self.make(kind, depth - 1)})"
        return str(getattr(self, f"make_{kind}")(depth - 1))

    def name(self, kind: str) -> str:
        return self.rng.choice(BY_TYPE[kind])

    def literal(self, kind: str) -> str:
        pick = self.rng.choice
        if kind == "bool":
            return pick(("true", "false"))
        if kind == "int":
            return str(pick(INTS))
        if kind == "double":
            return (
                pick((*map(repr, DOUBLES), 'double("NaN")', "(1.0 / 0.0)"))
                .replace("1e308", "1.0e308")
                .replace("e+", "e")
            )
        if kind == "string":
            return quoted(pick(STRINGS))
        if kind == "timestamp":
            return pick(
                (
                    'timestamp("2024-02-29T23:59:59.999999999Z")',
                    'timestamp("0001-01-01T00:00:00Z")',
                    "timestamp(1709164800)",
                    'timestamp("9999-12-31T23:59:59.5-00:00")',
                )
            )
        return f'duration("{pick(SPANS)}")'

    def pair(self, kind: str, depth: int, signs: tuple[str, ...]) -> str:
        return f"({self.make(kind, depth)} {self.rng.choice(signs)} {self.make(kind, depth)})"

    def make_bool(self, depth: int) -> str:
        roll = self.rng.random()
        if roll < 0.4:
            return self.pair("bool", depth, ("&&", "||"))
        if roll < 0.5:
            return f"!{self.pair('bool', depth, ('&&', '||', '=='))}"
        if roll < 0.6:
            return self.text_test()
        kind = self.rng.choice(("bool", "int", "int", "double", "double", "string", "timestamp", "duration"))
        if roll < 0.7:
            elements = ", ".join(self.make(kind, depth - 1) for _ in range(self.rng.randrange(1, 4)))
            return f"({self.make(kind, depth)} in [{elements}])"
        return self.pair(kind, depth, COMPARISONS)

    def text_test(self) -> str:
        name, literal = self.name("string"), self.literal("string")
        roll = self.rng.random()
        if roll < 0.4:
            return f"{name}.{self.rng.choice(('startsWith', 'endsWith', 'contains'))}({literal})"
        if roll < 0.6:
            return f"(size({name}) {self.rng.choice(COMPARISONS)} {self.rng.randrange(4)})"
        if roll < 0.8:
            return f"({name} + {literal} {self.rng.choice(COMPARISONS)} {self.literal('string')})"
        return f"({name} in [{self.literal('string')}, {self.literal('string')}])"

    def make_int(self, depth: int) -> str:
        roll = self.rng.random()
        if roll < 0.5:
            return self.pair("int", depth, ("+", "-", "*", "/", "%"))
        if roll < 0.6:
            return f"-({self.make('int', depth)})"
        if roll < 0.7:
            return f"int({self.make('double', depth)})"
        if roll < 0.75:
            return f"int({self.make('timestamp', depth)})"
        if roll < 0.8:
            return f"size({self.name('string')})"
        if roll < 0.92:
            return f'{self.make("timestamp", depth)}.get{self.rng.choice(INSTANT_PARTS)}("{self.rng.choice(ZONES)}")'
        return f"{self.make('duration', depth)}.get{self.rng.choice(SPAN_PARTS)}()"

    def make_double(self, depth: int) -> str:
        roll = self.rng.random()
        if roll < 0.7:
            return self.pair("double", depth, ("+", "-", "*", "/"))
        return f"-({self.make('double', depth)})" if roll < 0.8 else f"double({self.make('int', depth)})"

    def make_string(self, depth: int) -> str:
        return f"({self.name('string')} + {self.literal('string')})" if self.rng.random() < 0.5 else self.name("string")

    def make_timestamp(self, depth: int) -> str:
        roll = self.rng.random()
        if roll < 0.2:
            return f"timestamp({self.make('int', depth)})"
        if roll < 0.4:
            return f"({self.make('duration', depth)} + {self.make('timestamp', depth)})"
        return f"({self.make('timestamp', depth)} {self.rng.choice('+-')} {self.make('duration', depth)})"

    def make_duration(self, depth: int) -> str:
        if self.rng.random() < 0.5:
            return f"({self.make('timestamp', depth)} - {self.make('timestamp', depth)})"
        return self.pair("duration", depth, ("+", "-"))
