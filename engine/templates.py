"""Message templates: a small Mustache-like language, strict when compiled; authors' text never runs as code.

    {{subscriber.first_name|customer}}   a value, and what stands in for it when it is missing; nothing after | means nothing
    {{offer.name}}                       a value that is always there needs no stand-in
    {{#subscriber.vip}}...{{/subscriber.vip}}   only when the bool is true
    {{^subscriber.vip}}...{{/subscriber.vip}}   only when it is false or missing
    {{{{                                 two opening braces as such

The output is plain text for SMS, USSD and screens: nothing is escaped for HTML, so a page that shows it escapes it. A value is never read
as a template. The output never exceeds `length_max` characters; a longer one is cut.
"""

import datetime
import difflib
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from typing import Final

import msgspec

from engine.catalogue.terms import ValueType

LENGTH_MAX: Final = 100_000
PARTS_MAX: Final = 1_000
_TAG: Final = re.compile(r"\{\{\{\{|\{\{")
_NAMED: Final = re.compile(r"\{\{\s*([a-z][a-z0-9_.]*)\s*(?:\|[^{}]*)?\}\}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_FLOAT: Final = struct.Struct("<d")
_INT: Final = struct.Struct("<q")


class TemplateError(ValueError):
    """A mistake in a template's source: what was `expected`, what it `was`, what to `do`; line and column count characters from 1."""

    def __init__(self, expected: str, was: str, do: str, line: int, column: int) -> None:
        self.message = f"{expected}, was {was}, {do}"
        super().__init__(f"{line}:{column}: {self.message}")
        self.expected, self.was, self.do = expected, was, do
        self.line = line
        self.column = column


class Variable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a template may name."""

    type: ValueType
    scale: int = 0
    """Decimal digits after the point; only for decimals."""
    fixed: str | None = None
    """The text that it always has: it becomes part of the template."""
    always: bool = False
    """Never missing, so that no stand-in is needed; so is what is fixed."""


class PartKind(IntEnum):
    """Kinds of parts; the numbers are stored in rulebooks."""

    TEXT = 0
    VALUE = 1
    IF_TRUE = 2
    IF_NOT_TRUE = 3


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A piece of a compiled template."""

    kind: PartKind
    text: str
    """TEXT: itself. VALUE: the stand-in. Else empty."""
    name: str = ""
    skip: int = 0
    """IF_TRUE, IF_NOT_TRUE: how many of the next parts are passed over when the condition does not hold."""


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A compiled template; goes through msgspec.msgpack unchanged."""

    parts: tuple[Part, ...]
    length_max: int

    @property
    def constant(self) -> str | None:
        """The whole text when it is the same for everybody, so that it is rendered once; else None."""
        if any(part.kind is not PartKind.TEXT for part in self.parts):
            return None
        return "".join(part.text for part in self.parts)[: self.length_max]

    @property
    def variables(self) -> tuple[str, ...]:
        """The names that rendering looks up, sorted, each once."""
        return tuple(sorted({part.name for part in self.parts if part.name}))


def compile_template(source: str, variables: Mapping[str, Variable], *, length_max: int = LENGTH_MAX) -> Template:
    """Return the compiled template; raises TemplateError at the first mistake.

    What is left when every value is empty and no bool is true must be within `length_max` (1 to LENGTH_MAX) characters.
    """
    assert 0 < length_max <= LENGTH_MAX
    if is_plain(source, length_max):
        return Template(parts=(Part(PartKind.TEXT, source),), length_max=length_max)
    if not source.strip():
        raise TemplateError("expected some text", "nothing", "write the message", 1, 1)
    return _Compiler(source, variables, length_max).compile()


def is_plain(source: str, length_max: int) -> bool:
    """Return whether a source is surely right and its own output: a text without tags that is not too long."""
    return "{{" not in source and 0 < len(source) <= length_max and not source.isspace()


def render(template: Template, lookup: Callable[[str], str | None]) -> str:
    """Return the text, with `lookup(name)` for the template's variables: format_value's text, or None when missing."""
    pieces: list[str] = []
    at = 0
    while at < len(template.parts):
        part = template.parts[at]
        at += 1
        if part.kind is PartKind.TEXT:
            pieces.append(part.text)
        elif part.kind is PartKind.VALUE:
            value = lookup(part.name)
            pieces.append(part.text if value is None else value)
        elif (lookup(part.name) == "true") is not (part.kind is PartKind.IF_TRUE):
            at += part.skip
    return "".join(pieces)[: template.length_max]


def filled_in(template: Template, texts: Mapping[str, str]) -> Template:
    """Return the template with these texts in place of the values of these names, none of which is a bool: it says what render says with them."""
    parts = (
        Part(PartKind.TEXT, texts[part.name]) if part.kind is PartKind.VALUE and part.name in texts else part
        for part in template.parts
    )
    return Template(parts=tuple(parts), length_max=template.length_max)


def fixed_text(source: str, fixed: Mapping[str, str], *, length_max: int = LENGTH_MAX) -> str | None:
    """Return what a right template that names only what is `fixed` says, as compile_template and render would; None when it may say more.

    It is much faster than compiling: a rulebook has one for each offer, channel and language.
    """
    pieces = _NAMED.split(source)
    for at in range(1, len(pieces), 2):
        value = fixed.get(pieces[at])
        if value is None or "{{" in pieces[at - 1]:
            return None
        pieces[at] = value
    return None if "{{" in pieces[-1] else "".join(pieces)[:length_max]


def format_value(
    type_: ValueType, value: int, nanos: int = 0, scale: int = 0, zone: datetime.tzinfo = datetime.UTC
) -> str:
    """Return the text of a slot's value (engine.dtypes.view) in a message; strings have a dictionary and do not come here.

    Ints plain; decimals with all digits of their scale; doubles as the shortest text that reads back the same, without a
    trailing .0; timestamps as the ISO date in `zone`; durations like 1h30m; bools true or false.
    """
    assert type_ is not ValueType.STRING
    if type_ is ValueType.BOOL:
        return "true" if value else "false"
    if type_ is ValueType.DECIMAL and scale:
        digits = str(abs(value)).rjust(scale + 1, "0")
        return f"{'-' if value < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"
    if type_ is ValueType.DOUBLE:
        return repr(_FLOAT.unpack(_INT.pack(value))[0]).removesuffix(".0")
    if type_ is ValueType.TIMESTAMP:
        return _date(value, zone)
    return _span(value, nanos) if type_ is ValueType.DURATION else str(value)


def _date(seconds: int, zone: datetime.tzinfo) -> str:
    try:
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        return (epoch + datetime.timedelta(seconds=seconds)).astimezone(zone).date().isoformat()
    except OverflowError:
        return str(seconds)


def _span(seconds: int, nanos: int) -> str:
    sign = "-" if seconds < 0 else ""
    if seconds < 0 and nanos:
        seconds += 1
    minutes, rest = divmod(abs(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{count}{unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")) if count]
    return sign + "".join(parts) if parts else "0s"


class _Compiler:
    """One pass over the source; open sections on a stack."""

    def __init__(self, source: str, variables: Mapping[str, Variable], length_max: int) -> None:
        self.source = source
        self.variables = variables
        self.length_max = length_max
        self.parts: list[Part] = []
        self.open: list[tuple[str, int, int]] = []
        """(name, index of the part, offset of the tag)"""
        self.merge_from = 0
        """Texts before this part end a section, and stay as they are."""

    def compile(self) -> Template:
        for offset, tag in self._pieces():
            if offset < 0:
                self._text(tag)
            else:
                self._tag(tag, offset)
            if len(self.parts) > PARTS_MAX:
                raise self._error(
                    f"expected at most {PARTS_MAX:,} tags and texts", "more", "shorten it", max(offset, 0)
                )
        if self.open:
            name, _, offset = self.open[-1]
            raise self._error(f"expected {{{{/{name}}}}} after it", "no end", "close the section", offset)
        self._check_length()
        return Template(parts=tuple(self.parts), length_max=self.length_max)

    def _pieces(self) -> Iterator[tuple[int, str]]:
        """Yield (-1, text) and (offset, inside of a tag)."""
        at = 0
        while (match := _TAG.search(self.source, at)) is not None:
            if match.start() > at:
                yield -1, self.source[at : match.start()]
            if len(match.group()) == 4:
                yield -1, "{{"
                at = match.end()
                continue
            end = self.source.find("}}", match.end())
            inside = self.source[match.end() : end]
            if end < 0 or "{{" in inside or "\n" in inside:
                do = "close the tag, or write {{{{ for two braces"
                raise self._error("expected }} on the same line", "none", do, match.start())
            yield match.start(), inside
            at = end + 2
        if at < len(self.source):
            yield -1, self.source[at:]

    def _error(self, expected: str, was: str, do: str, offset: int) -> TemplateError:
        before = self.source[:offset]
        return TemplateError(expected, was, do, before.count("\n") + 1, len(before) - before.rfind("\n"))

    def _text(self, text: str) -> None:
        # Texts merge, but never across the end of a section: its skip counts parts.
        last = self.parts[-1] if self.parts else None
        if last is not None and last.kind is PartKind.TEXT and len(self.parts) > self.merge_from:
            self.parts[-1] = Part(PartKind.TEXT, last.text + text)
        else:
            self.parts.append(Part(PartKind.TEXT, text))

    def _tag(self, inside: str, offset: int) -> None:
        sign = inside[:1] if inside[:1] in ("#", "^", "/") else ""
        name, bar, stand_in = inside[len(sign) :].partition("|")
        name = name.strip()
        variable = self._variable(name, offset)
        if not sign:
            self._value(name, variable, stand_in if bar else None, offset)
            return
        if bar:
            raise self._error("expected no | in a section's tag", "one", "take it out", offset)
        if variable.type is not ValueType.BOOL:
            do = f"show it with {{{{{name}|}}}} instead"
            raise self._error(f"expected a bool, as {name} opens a section", str(variable.type), do, offset)
        if sign == "/":
            self._close(name, offset)
        else:
            self.open.append((name, len(self.parts), offset))
            self.parts.append(Part(PartKind.IF_TRUE if sign == "#" else PartKind.IF_NOT_TRUE, "", name))

    def _variable(self, name: str, offset: int) -> Variable:
        if not _NAME.fullmatch(name):
            raise self._error("expected a name like subscriber.first_name", f'"{name[:40]}"', "mend the tag", offset)
        if name not in self.variables:
            raise self._error("expected a known name", f'"{name[:80]}"', self._nearest(name), offset)
        return self.variables[name]

    def _nearest(self, name: str) -> str:
        close = difflib.get_close_matches(name[:80], sorted(self.variables), n=1)
        return f"write {close[0]} if that is meant" if close else "declare it, or take the tag out"

    def _value(self, name: str, variable: Variable, stand_in: str | None, offset: int) -> None:
        if variable.fixed is not None:
            self._text(variable.fixed)
        elif stand_in is None and not variable.always:
            do = f"write what then stands there, like {{{{{name}|customer}}}}"
            raise self._error(f"expected a stand-in, as {name} may be missing", "without one", do, offset)
        else:
            self.parts.append(Part(PartKind.VALUE, stand_in or "", name))

    def _close(self, name: str, offset: int) -> None:
        if not self.open or self.open[-1][0] != name:
            there = f"{{{{/{self.open[-1][0]}}}}} first" if self.open else "a section that is open"
            raise self._error(f"expected {there}", f"{{{{/{name}}}}}", "close what was opened last", offset)
        _, index, _ = self.open.pop()
        self.parts[index] = msgspec.structs.replace(self.parts[index], skip=len(self.parts) - index - 1)
        self.merge_from = len(self.parts)

    def _check_length(self) -> None:
        length = len(render(Template(parts=tuple(self.parts), length_max=LENGTH_MAX), lambda _: ""))
        if length > self.length_max:
            expected = f"expected at most {self.length_max:,} characters"
            raise TemplateError(expected, f"{length:,} before any value", "shorten it", 1, 1)
