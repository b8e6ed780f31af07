"""A YAML file as a tree of nodes that know their place; text stays text, for the field's type to read.

Built from the parser's events, one at a time, so that every bound holds before anything grows. Nothing is constructed from tags, and YAML's
own ideas of `no`, `012` or `21:00` never apply. Rejected: yaml.compose, which resolves aliases before anyone can refuse them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeAlias

import msgspec
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


class Scalar(msgspec.Struct):
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


class Sequence(msgspec.Struct):
    """A list."""

    document: Document
    line: int
    column: int
    items: list["Node"]

    @property
    def place(self) -> Place:
        """Where it starts."""
        return Place(self.document.file, self.line, self.column)


class Mapping(msgspec.Struct):
    """Keys and values in the file's order, each key once."""

    document: Document
    line: int
    column: int
    items: list[tuple[Scalar, "Node"]]

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
        root = _Composer(document, loader.get_event, problems).root()
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
    """Turns events into nodes; a large catalogue has a million, so the common ones take the shortest way."""

    def __init__(self, document: Document, next_event: Callable[[], Any], problems: Problems) -> None:
        self.document = document
        self.next_event = next_event
        self.problems = problems
        self.nodes = 0

    def root(self) -> Node | None:
        """Return the only document's root."""
        root: Node | None = None
        documents = 0
        while type(event := self.next_event()) is not yaml.StreamEndEvent:
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
        if type(event) is yaml.ScalarEvent:
            return self._scalar(event, depth)
        if type(event) is yaml.AliasEvent or event.anchor is not None or event.tag is not None or depth > DEPTH_MAX:
            self._refuse(event, depth)
        self._count(event)
        mark = event.start_mark
        if type(event) is yaml.SequenceStartEvent:
            sequence = Sequence(self.document, mark.line + 1, mark.column + 1, [])
            while type(item := self.next_event()) is not yaml.SequenceEndEvent:
                sequence.items.append(self._node(item, depth + 1))
            return sequence
        mapping = Mapping(self.document, mark.line + 1, mark.column + 1, [])
        self._entries(mapping, depth)
        return mapping

    def _scalar(self, event: Any, depth: int) -> Scalar:
        text = event.value
        if event.anchor is not None or event.tag is not None or depth > DEPTH_MAX or len(text) > SCALAR_CHARS_MAX:
            self._refuse(event, depth)
        self._count(event)
        mark = event.start_mark
        return Scalar(self.document, mark.line + 1, mark.column + 1, text, event.style or "")

    def _entries(self, mapping: Mapping, depth: int) -> None:
        first: dict[str, Scalar] = {}
        while type(event := self.next_event()) is not yaml.MappingEndEvent:
            key = self._node(event, depth + 1)
            value = self._node(self.next_event(), depth + 1)
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

    def _count(self, event: Any) -> None:
        self.nodes += 1
        if self.nodes > NODES_MAX:
            raise _StopError(
                event.start_mark, f"expected at most {NODES_MAX:,} values in a file", "more", "split the file"
            )

    @staticmethod
    def _refuse(event: Any, depth: int) -> NoReturn:
        """Say why a node is beyond the bounds."""
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            was = ("*" if isinstance(event, yaml.AliasEvent) else "&") + str(event.anchor)
            raise _StopError(mark, "expected no anchors and aliases", shown(was), "write the values out")
        if event.tag is not None:
            raise _StopError(mark, "expected no tags", shown(event.tag), "leave the tag out")
        if depth > DEPTH_MAX:
            raise _StopError(mark, f"expected at most {DEPTH_MAX} levels", "a deeper one", "nest less")
        was = f"{len(event.value):,} characters"
        raise _StopError(mark, f"expected at most {SCALAR_CHARS_MAX:,} characters in one value", was, "shorten it")
