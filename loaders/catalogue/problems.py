"""Mistakes in a catalogue: where, what was expected, what it was, what to do; collected, never thrown one by one."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

PROBLEMS_MAX: Final = 1_000
"""Mistakes that are kept; the rest are only counted."""
COMPARISONS_MAX: Final = 20_000
"""Names compared in search of the nearest one, over a whole load: a thousand mistakes among 65,535 names stay quick."""
SHOWN_CHARS_MAX: Final = 60


class Place(NamedTuple):
    """A position in a file; line and column count from 1, in characters."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake; printed as `file:line:column: what, was X, do this`."""

    file: str
    line: int
    column: int
    what: str
    was: str
    do: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.what}, was {self.was}, {self.do}"


class CatalogueErrors(Exception):  # noqa: N818 - it holds many
    """A catalogue that cannot be used: `problems` in the order of the files, and how many `more` there were."""

    def __init__(self, problems: list[Problem], more: int) -> None:
        super().__init__(problems, more)
        self.problems = problems
        self.more = more

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems]
        if len(lines) >= PROBLEMS_MAX:
            lines.append(f"and {self.more} more" if self.more else "and perhaps more, which show when these are mended")
        return "\n".join(lines)


class Problems:
    """Collects mistakes up to PROBLEMS_MAX and counts the others."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[Problem] = []
        self._comparisons = 0

    @property
    def full(self) -> bool:
        """Whether nothing more is kept, so that costly checks may stop."""
        return len(self._kept) >= PROBLEMS_MAX

    def add(self, place: Place, what: str, was: str, do: str) -> None:
        """Note one mistake."""
        self.count += 1
        if not self.full:
            self._kept.append(Problem(*place, what, was, do))

    def nearest(self, word: str, names: Iterable[str], otherwise: str) -> str:
        """Return what to do about an unknown word: the name nearest to it, or `otherwise`."""
        if self.full:
            return otherwise
        candidates = sorted(names)
        self._comparisons += len(candidates)
        if self._comparisons > COMPARISONS_MAX:
            return otherwise
        close = difflib.get_close_matches(word[:64], candidates, n=1)
        return f"write {close[0]} if that is meant, else {otherwise}" if close else otherwise

    def raise_any(self) -> None:
        """Raise CatalogueErrors when there was a mistake."""
        if self.count:
            raise CatalogueErrors(sorted(self._kept), self.count - len(self._kept))


def a_kind(kind: str) -> str:
    """Return the kind of thing with its article."""
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def shown(text: str) -> str:
    """Return text as a message shows it: quoted, without control characters, cut to SHOWN_CHARS_MAX."""
    cut = text if len(text) <= SHOWN_CHARS_MAX else text[:SHOWN_CHARS_MAX]
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cut)
    rest = "" if cut == text else f"... ({len(text)} characters)"
    return f'"{printable}"{rest}'
