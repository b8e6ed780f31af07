"""The mapping file: which column of a file is which part of the base. Read strictly; every mistake is reported with its line and column.

key: {column: msisdn, kind: msisdn, region: US}    # kind: opaque (default) or msisdn
as_of: 2026-07-01T00:00:00Z                        # or {column: updated_at}; left out: given to the build
missing: ["", "NA"]                                # texts that mean that there is no value; default: the empty text
bool: {true: [Yes, "1"], false: [No, "0"]}
csv: {delimiter: ";", quote: '"'}
columns: {tenure: int, charges: {type: decimal, scale: 2}}   # types of columns that only label expressions use
attributes: {tenure_months: tenure, plan: {column: contract}}
labels: {long_tenure: tenure > 24, auto_pay: is_auto}        # CEL over columns; the name of a bool column is one
zone: {column: tz}                                 # or a constant: America/Chicago
language: {column: lang}                           # or a constant
consent: {marketing/sms: {column: sms_ok, granted: [Yes], refused: [No]}}
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engine.base.keys import KeyKind
from engine.base.schema import AttributeSpec, BaseSchema
from engine.catalogue.terms import ValueType
from loaders.base.convert import Words
from loaders.base.source import CsvFormat
from loaders.catalogue.document import Mapping as MapNode
from loaders.catalogue.document import Node, Scalar, parse_document
from loaders.catalogue.document import Sequence as ListNode
from loaders.catalogue.problems import Place, Problems, shown

MAPPING_BYTES_MAX: Final = 1 << 20
_KEYS: Final = (
    "key",
    "as_of",
    "missing",
    "bool",
    "csv",
    "columns",
    "attributes",
    "labels",
    "zone",
    "language",
    "consent",
)


@dataclass(frozen=True, slots=True)
class ColumnOr:
    """A column, or the same text for every row."""

    column: str | None
    constant: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class Expression:
    """A label's CEL source and where it stands."""

    source: str
    place: Place


@dataclass(frozen=True, slots=True)
class ConsentRule:
    """Which texts of a column are a grant, and which a refusal; every other non-missing text is rejected."""

    column: str
    granted: frozenset[str]
    refused: frozenset[str]


@dataclass(slots=True)
class Mapping:
    """A mapping whose names all are in the base's schema; whether its columns are in a file is for the build to see."""

    file: str
    key_column: str = ""
    key_kind: KeyKind = "opaque"
    region: str = ""
    as_of: ColumnOr | None = None
    words: Words = field(default_factory=Words)
    csv: CsvFormat = field(default_factory=CsvFormat)
    columns: dict[str, AttributeSpec] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    """Attribute to column."""
    labels: dict[str, Expression] = field(default_factory=dict)
    zone: ColumnOr | None = None
    language: ColumnOr | None = None
    consent: dict[str, ConsentRule] = field(default_factory=dict)


def read_mapping(path: Path, schema: BaseSchema) -> Mapping:
    """Return the mapping; raises CatalogueErrors with every mistake, OSError when the file cannot be read."""
    with path.open("rb") as file:
        raw = file.read(MAPPING_BYTES_MAX + 1)
    problems = Problems()
    start = Place(path.name, 1, 1)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = ""
        problems.add(start, "expected UTF-8", "something else", "save the file as UTF-8")
    if len(raw) > MAPPING_BYTES_MAX:
        problems.add(start, f"expected at most {MAPPING_BYTES_MAX} bytes", "more", "make the mapping smaller")
        problems.raise_any()
    root = parse_document(path.name, text, problems)
    mapping = _Reader(problems, schema, path.name).read(root, start)
    problems.raise_any()
    return mapping


class _Reader:
    """Reads the parts, one method each; problems go to the list and reading goes on."""

    def __init__(self, problems: Problems, schema: BaseSchema, file: str) -> None:
        self.problems = problems
        self.schema = schema
        self.mapping = Mapping(file)

    def read(self, root: Node | None, start: Place) -> Mapping:
        parts = self._entries(root, start, "the mapping", _KEYS)
        if "key" not in parts:
            self.problems.add(
                start, "expected key: {column: ...}", "none", "say which column holds the subscriber's key"
            )
        readers: dict[str, Callable[[Node], None]] = {
            "key": self._key, "as_of": self._as_of, "missing": self._missing, "bool": self._bool, "csv": self._csv,
            "columns": self._columns, "attributes": self._attributes, "labels": self._labels, "zone": self._zone,
            "language": self._language, "consent": self._consent,
        }  # fmt: skip
        for name, node in parts.items():
            readers[name](node)
        return self.mapping

    def _entries(
        self, node: Node | None, place: Place, what: str, allowed: tuple[str, ...] | None = None
    ) -> dict[str, Node]:
        if not isinstance(node, MapNode):
            self.problems.add(
                node.place if node else place,
                f"expected {what} as `name: value` lines",
                "something else",
                "write it so",
            )
            return {}
        found = {}
        for name, value in node.items:
            if allowed is not None and name.text not in allowed:
                advice = self.problems.nearest(name.text, allowed, f"use one of {', '.join(sorted(allowed)[:20])}")
                self.problems.add(name.place, f"expected a name that {what} has", shown(name.text), advice)
            else:
                found[name.text] = value
        return found

    def _text(self, node: Node, what: str) -> str:
        if isinstance(node, Scalar) and node.text:
            return node.text
        self.problems.add(node.place, f"expected {what} as a text", "something else", "write one text")
        return ""

    def _texts(self, node: Node, what: str) -> frozenset[str]:
        items = node.items if isinstance(node, ListNode) else [node]
        if all(isinstance(item, Scalar) for item in items):
            return frozenset(item.text for item in items if isinstance(item, Scalar))
        self.problems.add(node.place, f"expected {what} as a list of texts", "something else", "write [a, b]")
        return frozenset()

    def _key(self, node: Node) -> None:
        parts = self._entries(node, node.place, "key", ("column", "kind", "region"))
        if "column" not in parts:
            self.problems.add(node.place, "expected the key's column", "none", "add column: <name>")
            return
        self.mapping.key_column = self._text(parts["column"], "the key's column")
        kind = self._text(parts["kind"], "kind") if "kind" in parts else "opaque"
        if kind == "msisdn":
            self.mapping.key_kind = "msisdn"
        elif kind != "opaque":
            self.problems.add(parts["kind"].place, "expected kind opaque or msisdn", shown(kind), "write one of them")
        self.mapping.region = self._text(parts["region"], "region") if "region" in parts else ""

    def _as_of(self, node: Node) -> None:
        self.mapping.as_of = self._column_or(node, "as_of")

    def _zone(self, node: Node) -> None:
        self.mapping.zone = self._column_or(node, "zone")

    def _language(self, node: Node) -> None:
        self.mapping.language = self._column_or(node, "language")

    def _column_or(self, node: Node, what: str) -> ColumnOr | None:
        if isinstance(node, Scalar):
            return ColumnOr(None, self._text(node, what), node.place)
        parts = self._entries(node, node.place, what, ("column",))
        if "column" not in parts:
            self.problems.add(
                node.place, f"expected {what} as a text or {{column: name}}", "neither", "write one of them"
            )
            return None
        return ColumnOr(self._text(parts["column"], what), None, node.place)

    def _missing(self, node: Node) -> None:
        self.mapping.words = Words(self._texts(node, "missing"), self.mapping.words.true, self.mapping.words.false)

    def _bool(self, node: Node) -> None:
        parts = self._entries(node, node.place, "bool", ("true", "false"))
        true, false = (self._texts(parts[name], name) if name in parts else frozenset() for name in ("true", "false"))
        if not true or not false or true & false:
            self.problems.add(
                node.place, "expected words for true and others for false", "not so", "write {true: [Yes], false: [No]}"
            )
        self.mapping.words = Words(self.mapping.words.missing, true, false)

    def _csv(self, node: Node) -> None:
        parts = self._entries(node, node.place, "csv", ("delimiter", "quote"))
        marks = {name: self._text(part, name) for name, part in parts.items()}
        for name, mark in marks.items():
            if len(mark) != 1 or not mark.isascii():
                self.problems.add(
                    parts[name].place, f"expected one ASCII character as {name}", shown(mark), "write one"
                )
                return
        self.mapping.csv = CsvFormat(**marks)

    def _columns(self, node: Node) -> None:
        for name, part in self._entries(node, node.place, "columns").items():
            kind, scale = part, "0"
            if isinstance(part, MapNode):
                given = self._entries(part, part.place, "a column", ("type", "scale"))
                kind = given.get("type", part)
                scale = self._text(given["scale"], "scale") if "scale" in given else "0"
            word = kind.text if isinstance(kind, Scalar) else ""
            if word not in set(ValueType) or not scale.isdecimal() or int(scale[:3]) > 9:
                expected = f"expected {', '.join(ValueType)} and a scale of 0 to 9"
                self.problems.add(part.place, expected, shown(word), "write such a type")
                continue
            self.mapping.columns[name] = AttributeSpec(name, ValueType(word), int(scale))

    def _attributes(self, node: Node) -> None:
        known = tuple(attribute.id for attribute in self.schema.attributes)
        for name, part in self._entries(node, node.place, "the catalogue's attributes", known).items():
            if isinstance(part, MapNode):
                part = self._entries(part, part.place, name, ("column",)).get("column", part)
            self.mapping.attributes[name] = self._text(part, f"the column of {name}")

    def _labels(self, node: Node) -> None:
        known = tuple(label.id for label in self.schema.labels)
        for name, part in self._entries(node, node.place, "the catalogue's labels", known).items():
            self.mapping.labels[name] = Expression(self._text(part, f"the expression of {name}"), part.place)

    def _consent(self, node: Node) -> None:
        for pair, part in self._entries(node, node.place, "consent", self.schema.pairs).items():
            rule = self._entries(part, part.place, pair, ("column", "granted", "refused"))
            if "column" not in rule:
                self.problems.add(part.place, f"expected the column of {pair}", "none", "add column: <name>")
                continue
            granted = self._texts(rule["granted"], "granted") if "granted" in rule else self.mapping.words.true
            refused = self._texts(rule["refused"], "refused") if "refused" in rule else self.mapping.words.false
            if granted & refused:
                self.problems.add(
                    part.place, "expected other words for granted than for refused", "the same", "take one out"
                )
            self.mapping.consent[pair] = ConsentRule(self._text(rule["column"], pair), granted, refused)
