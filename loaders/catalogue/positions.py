"""Where a line and column inside a scalar's text stand in its file."""

import re
from typing import Final

from loaders.catalogue.document import Scalar
from loaders.catalogue.problems import Place

ESCAPE: Final = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")


def place_in(scalar: Scalar, line: int, column: int) -> Place:
    """Return the place in the file of `line` and `column` (both from 1) of the scalar's text.

    Exact for plain and quoted text on one line and for | blocks; else, as lines were folded, the place where the scalar starts.
    """
    lines = scalar.document.lines
    if scalar.style == "|":
        at = scalar.line + line
        return Place(scalar.document.file, at, _indent(scalar, lines) + column)
    source = lines[scalar.line - 1][scalar.column - 1 :]
    if line != 1 or scalar.style == ">":
        return scalar.place
    if scalar.style == "":
        return _within(scalar, column - 1) if source.startswith(scalar.text) else scalar.place
    widths = _widths(source[1:], scalar.style)
    if len(widths) != len(scalar.text):
        return scalar.place
    return _within(scalar, 1 + sum(widths[: column - 1]))


def _within(scalar: Scalar, offset: int) -> Place:
    return Place(scalar.document.file, scalar.line, scalar.column + offset)


def _indent(scalar: Scalar, lines: list[str]) -> int:
    """Return the spaces before each line of a block, from its first line that is not blank."""
    for number, text in enumerate(scalar.text.split("\n")):
        if text.strip() and scalar.line + number < len(lines):
            return len(lines[scalar.line + number]) - len(text)
    return 0


def _widths(source: str, quote: str) -> list[int]:
    """Return for each character of a quoted text how many characters stand for it, up to the closing quote."""
    widths: list[int] = []
    at = 0
    while at < len(source):
        if quote == "'" and source.startswith("''", at):
            width = 2
        elif source[at] == quote:
            return widths
        elif quote == '"' and (match := ESCAPE.match(source, at)):
            width = len(match.group())
        else:
            width = 1
        widths.append(width)
        at += width
    return []
