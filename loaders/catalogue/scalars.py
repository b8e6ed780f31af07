"""Types of single values: how each is read from the text of a scalar, and how JSON Schema says the same."""

import datetime
import re
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from engine.catalogue.policy import FOREVER_US
from engine.limits import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND
from loaders.catalogue.document import Node, Scalar, Sequence
from loaders.catalogue.problems import shown
from loaders.catalogue.reading import WRONG, Json, Reading, Word

NUMBER_CHARS_MAX: Final = 40
INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]*)")
NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
EXACT: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]{1,9})?")
SPAN: Final = re.compile(r"(?=[0-9])(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,9})s)?")
CLOCK: Final = "([01][0-9]|2[0-3]):([0-5][0-9])"
DATE: Final = re.compile(r"(19[7-9][0-9]|2[0-9]{3})-[0-9]{2}-[0-9]{2}")
INSTANT: Final = re.compile(DATE.pattern + r"T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})")
CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
NULLS: Final = frozenset(("", "~", "null", "Null", "NULL"))


class Type:
    """How one kind of node is read and described."""

    def read(self, node: Node, what: str, reading: Reading) -> Any:
        """Return the value, or WRONG with a problem noted."""
        raise NotImplementedError

    def schema(self) -> Json:
        """Return the JSON Schema that says the same."""
        raise NotImplementedError


class ScalarType(Type):
    """A type whose values are written as one text; subclasses give `parse`."""

    expected = "a value"
    advice = "write one value"
    plain_only = False
    """Quotes would make the value a text."""

    def parse(self, text: str) -> Any:
        """Return the value of the text, or WRONG."""
        raise NotImplementedError

    def read(self, node: Node, what: str, reading: Reading) -> Any:
        """Return the value, or WRONG with a problem noted."""
        if isinstance(node, Scalar) and not self._empty(node) and not (self.plain_only and node.style):
            value = self.parse(node.text)
            if value is not WRONG:
                return value
        self._complain(node, what, reading)
        return WRONG

    @staticmethod
    def _empty(node: Scalar) -> bool:
        return node.style == "" and node.text in NULLS

    def _complain(self, node: Node, what: str, reading: Reading) -> None:
        """Note what is wrong with a node that cannot be read."""
        advice = self.advice
        if not isinstance(node, Scalar):
            was = "a list" if isinstance(node, Sequence) else "a mapping"
        elif self._empty(node):
            was, advice = "nothing", f"{self.advice}, or leave the line out"
        elif self.plain_only and node.style:
            was, advice = "a text in quotes", "write it without quotes"
        else:
            was = shown(node.text)
        reading.problems.add(node.place, f"{what}: expected {self.expected}", was, advice)


class Text(ScalarType):
    """Any text; read as a Word, which knows its node."""

    def __init__(self, chars_max: int = 1_000) -> None:
        self.chars_max = chars_max
        self.expected = f"a text of 1 to {chars_max:,} characters"
        self.advice = "write some text"

    def parse(self, text: str) -> Any:
        return WRONG if not text.strip() or len(text) > self.chars_max or CONTROL.search(text) else text

    def read(self, node: Node, what: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar) or self._empty(node) or self.parse(node.text) is WRONG:
            self._complain(node, what, reading)
            return WRONG
        word = Word(node.text)
        word.node = node
        return word

    def schema(self) -> Json:
        return {"type": ["string", "number"], "minLength": 1, "maxLength": self.chars_max}


class Pattern(Text):
    """A text of a fixed form."""

    def __init__(self, pattern: str, expected: str, advice: str) -> None:
        self.pattern = re.compile(pattern)
        self._matched = self.pattern.fullmatch
        self.expected = expected
        self.advice = advice

    def parse(self, text: str) -> Any:
        return text if self._matched(text) else WRONG

    def schema(self) -> Json:
        return {"type": "string", "pattern": f"^(?:{self.pattern.pattern})$"}


class Identifier(Pattern):
    """The id of a thing."""

    def __init__(self) -> None:
        super().__init__(
            "[a-z][a-z0-9_]{0,63}",
            "an id of small letters, digits and _, 64 at most, starting with a letter",
            "write it like data_topup",
        )


class Reference(Identifier):
    """The id of a thing that must be somewhere in the catalogue; looked up when all files are read."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def read(self, node: Node, what: str, reading: Reading) -> Any:
        value = super().read(node, what, reading)
        if value is not WRONG:
            reading.references.append((self.kind, what, value))
        return value


class Flag(ScalarType):
    """True or false, as YAML 1.2 has them."""

    expected = "true or false"
    advice = "write true or false, without quotes"
    plain_only = True

    def parse(self, text: str) -> Any:
        return {"true": True, "false": False}.get(text, WRONG)

    def schema(self) -> Json:
        return {"type": "boolean"}


class Whole(ScalarType):
    """An integer of a range."""

    plain_only = True

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high
        self.expected = f"a whole number from {low:,} to {high:,}"
        self.advice = "write digits only, without a leading zero, in that range"

    def parse(self, text: str) -> Any:
        if len(text) > NUMBER_CHARS_MAX or not INTEGER.fullmatch(text):
            return WRONG
        value = int(text)
        return value if self.low <= value <= self.high else WRONG

    def schema(self) -> Json:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Number(ScalarType):
    """A finite number of a range, as a float."""

    plain_only = True

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high
        self.expected = f"a number from {low:,.10g} to {high:,.10g}"
        self.advice = "write it like 12 or 9.90, in that range"

    def parse(self, text: str) -> Any:
        if len(text) > NUMBER_CHARS_MAX or not NUMBER.fullmatch(text):
            return WRONG
        value = float(text)
        return value if self.low <= value <= self.high else WRONG

    def schema(self) -> Json:
        return {"type": "number", "minimum": self.low, "maximum": self.high}


class Exact(Number):
    """A number of a range with at most 9 digits after the point, as a Decimal that keeps its digits."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__(low, high)
        digits = "with at most 9 digits after the point"
        wide = high - low > 1 << 53
        self.expected = f"a number of 64 bits {digits}" if wide else f"{self.expected} {digits}"

    def parse(self, text: str) -> Any:
        if len(text) > NUMBER_CHARS_MAX or not EXACT.fullmatch(text):
            return WRONG
        value = Decimal(text)
        return value if self.low <= value <= self.high else WRONG


class Span(ScalarType):
    """A duration in microseconds; `never` is FOREVER_US where it is allowed."""

    def __init__(self, low_s: int, high_days: int, *, never: bool = False) -> None:
        self.low_us, self.high_us = low_s * MICROSECONDS_PER_SECOND, high_days * MICROSECONDS_PER_DAY
        self.never = never
        also = " or never" if never else ""
        self.expected = f"a duration from {low_s}s to {high_days}d{also}"
        self.advice = "write it like 90s, 15m, 2h, 7d or 1h30m"

    def parse(self, text: str) -> Any:
        if text == "never" and self.never:
            return FOREVER_US
        match = SPAN.fullmatch(text)
        if match is None:
            return WRONG
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        value = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * MICROSECONDS_PER_SECOND
        return value if self.low_us <= value <= self.high_us else WRONG

    def schema(self) -> Json:
        also = "|never" if self.never else ""
        return {"type": "string", "pattern": f"^(?:{SPAN.pattern}{also})$"}


class Clock(ScalarType):
    """A time of day in minutes after midnight, quoted or not; as an `end` also 24:00."""

    advice = "write hours and minutes like 09:30"

    def __init__(self, *, end: bool = False) -> None:
        self.pattern = re.compile(CLOCK + "|24:00" if end else CLOCK)
        self.expected = f"a time of day from 00:00 to {'24:00' if end else '23:59'}"

    def parse(self, text: str) -> Any:
        if not self.pattern.fullmatch(text):
            return WRONG
        return int(text[:2]) * 60 + int(text[3:])

    def schema(self) -> Json:
        return {"type": "string", "pattern": f"^(?:{self.pattern.pattern})$"}


class Date(ScalarType):
    """A calendar date."""

    expected = "a date from 1970-01-01 to 2999-12-31"
    advice = "write it like 2026-12-24"

    def parse(self, text: str) -> Any:
        try:
            return datetime.date.fromisoformat(text) if DATE.fullmatch(text) else WRONG
        except ValueError:
            return WRONG

    def schema(self) -> Json:
        return {"type": "string", "pattern": f"^(?:{DATE.pattern})$"}


class DateOrInstant(Date):
    """A calendar date, meaning the local midnight that begins it in the home zone, or an instant with its offset."""

    expected = "a date or an RFC 3339 instant from 1970 to 2999"
    advice = "write it like 2026-01-01 or 2026-01-01T08:00:00Z"

    def parse(self, text: str) -> Any:
        if not INSTANT.fullmatch(text):
            return super().parse(text)
        try:
            return datetime.datetime.fromisoformat(text)
        except ValueError:
            return WRONG

    def schema(self) -> Json:
        return {"type": "string", "pattern": f"^(?:{DATE.pattern}|{INSTANT.pattern})$"}


class Choice(ScalarType):
    """One word of a closed set."""

    def __init__(self, *members: StrEnum, otherwise: str = "") -> None:
        self.members = {member.value: member for member in members}
        words = ", ".join(self.members)
        self.expected = f"{words} or {otherwise}" if otherwise else f"one of {words}"
        self.advice = "write one of these words"

    def parse(self, text: str) -> Any:
        return self.members.get(text, WRONG)

    def schema(self) -> Json:
        return {"enum": list(self.members)}
