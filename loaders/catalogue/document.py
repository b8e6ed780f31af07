"""A YAML file as a tree of nodes that know their place; text stays text, for the field's type to read.

Built from the parser's events, one at a time, so that every bound holds before anything grows. Nothing is constructed from tags, and YAML's
own ideas of `no`, `012` or `21:00` never apply. Rejected: yaml.compose, which resolves aliases before anyone can refuse them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import yaml

from loaders.catalogue.problems import Place, Problems, shown

NODES_MAX: Final = 200_000
"""Nodes in one file: about a second of parsing."""
DEPTH_MAX: Final = 16
SCALAR_CHARS_MAX: Final = 65_536

PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Document:
    """One file: its name in messages and its lines."""

    file: str
    lines: list[str]


@dataclass(slots=True)
class Scalar:
    """A text as it stands after YAML's quoting is undone."""

    document: Document
    line: int
    column: int
    text: str
    style: str
    """Empty for plain text, else one of ' \" | >."""

    @property
    def place(self) -> Place:
        """Where it starts."""
        return Place(self.document.file, self.line, self.column)


@dataclass(slots=True)
class Sequence:
    """A list."""

    document: Document
    line: int
    column: int
    items: list["Node"] = field(default_factory=list)

    @property
    def place(self) -> Place:
        """Where it starts."""
        return Place(self.document.file, self.line, self.column)


@dataclass(slots=True)
class Mapping:
    """Keys and values in the file's order, each key once."""

    document: Document
    line: int
    column: int
    items: list[tuple[Scalar, "Node"]] = field(default_factory=list)

    @property
    def place(self) -> Place:
        """Where it starts."""
        return Place(self.document.file, self.line, self.column)


Node: TypeAlias = Scalar | Sequence | Mapping


class _StopError(Exception):
    """A mistake after which the rest of the file cannot be read."""

    def __init__(self, mark: Any, what: str, was: str, do: str) -> None:
        super().__init__(what)
        self.line: int = mark.line + 1
        self.column: int = mark.column + 1
        self.what, self.was, self.do = what, was, do


def parse_document(file: str, text: str, problems: Problems) -> Node | None:
    """Return the root of one file, or None when it is empty or, with a problem noted, cannot be read."""
    document = Document(file, text.splitlines())
    loader = PARSER(text)
    before = problems.count
    try:
        root = _Composer(document, _events(loader), problems).root()
    except _StopError as stop:
        problems.add(Place(file, stop.line, stop.column), stop.what, stop.was, stop.do)
    except yaml.MarkedYAMLError as error:
        _syntax_problem(document, error, problems)
    except yaml.YAMLError as error:
        problems.add(Place(file, 1, 1), "expected YAML", shown(str(error)), "take that character out")
    else:
        return root
    finally:
        loader.dispose()
    assert problems.count > before
    return None


def _events(loader: Any) -> Iterator[Any]:
    while loader.check_event():
        yield loader.get_event()


def _syntax_problem(document: Document, error: yaml.MarkedYAMLError, problems: Problems) -> None:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    here = document.lines[line - 1] if line <= len(document.lines) else ""
    place = Place(document.file, line, column)
    if "\t" in here[:column]:
        problems.add(place, "expected spaces", "a tab", "indent with spaces only")
        return
    what = " ".join(part for part in (error.context, error.problem) if part)
    problems.add(place, f"expected YAML ({what})", shown(here.strip()), "mend the line, or the one before it")


class _Composer:
    """Turns events into nodes."""

    def __init__(self, document: Document, events: Iterator[Any], problems: Problems) -> None:
        self.document = document
        self.events = events
        self.problems = problems
        self.nodes = 0

    def root(self) -> Node | None:
        """Return the only document's root."""
        root: Node | None = None
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _StopError(
                        event.start_mark, "expected one document", "a second ---", "put it into a file of its own"
                    )
            elif isinstance(event, yaml.NodeEvent):
                root = self._node(event, 0)
        return root

    def _node(self, event: Any, depth: int) -> Node:
        self._check(event, depth)
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(self.document, line, column, event.value, event.style or "")
        if isinstance(event, yaml.SequenceStartEvent):
            sequence = Sequence(self.document, line, column)
            while not isinstance(item := next(self.events), yaml.SequenceEndEvent):
                sequence.items.append(self._node(item, depth + 1))
            return sequence
        mapping = Mapping(self.document, line, column)
        self._entries(mapping, depth)
        return mapping

    def _entries(self, mapping: Mapping, depth: int) -> None:
        first: dict[str, Scalar] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(next(self.events), depth + 1)
            if not isinstance(key, Scalar):
                self.problems.add(
                    key.place, "expected a name before the colon", "a list or a mapping", "write plain text"
                )
            elif key.text in first:
                line = first[key.text].line
                self.problems.add(
                    key.place, "expected each key once", f"{shown(key.text)} again", f"keep this or line {line}"
                )
            else:
                first[key.text] = key
                mapping.items.append((key, value))

    def _check(self, event: Any, depth: int) -> None:
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            was = ("*" if isinstance(event, yaml.AliasEvent) else "&") + str(event.anchor)
            raise _StopError(mark, "expected no anchors and aliases", shown(was), "write the values out")
        if event.tag is not None:
            raise _StopError(mark, "expected no tags", shown(event.tag), "leave the tag out")
        self.nodes += 1
        if self.nodes > NODES_MAX:
            raise _StopError(mark, f"expected at most {NODES_MAX:,} values in a file", "more", "split the file")
        if depth > DEPTH_MAX:
            raise _StopError(mark, f"expected at most {DEPTH_MAX} levels", "a deeper one", "nest less")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > SCALAR_CHARS_MAX:
            was = f"{len(event.value):,} characters"
            raise _StopError(mark, f"expected at most {SCALAR_CHARS_MAX:,} characters in one value", was, "shorten it")
