"""The JSON Schema says what the reader says: on the complete catalogue, and line for line on the broken shapes."""

import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from engine.catalogue.model import Campaign, Channel, Control, Offer, Product, Ranking, Trigger
from loaders.catalogue import CatalogueErrors, catalogue_schema, load_catalogue
from loaders.catalogue.document import Mapping, Node, Scalar, Sequence, parse_document
from loaders.catalogue.format import FILE
from loaders.catalogue.problems import Problems
from loaders.catalogue.records import Field, ListOf, Record

FOLDER = Path(__file__).parents[2] / "data" / "catalogues"
NOW_US = 1_767_225_600_000_000
CORE = {"true": True, "false": False, "null": None, "~": None, "": None}
ONLY_READER = [
    ("catalogue.yaml", 8),  # an unknown field, for which the schema blames the mapping's first line
    ("catalogue.yaml", 17),  # likewise
    ("catalogue.yaml", 19),  # a key twice, which JSON has lost
]


def _json(node: Node) -> Any:
    """Return the node as an editor sees it, by the core schema of YAML 1.2."""
    if isinstance(node, Mapping):
        return {key.text: _json(value) for key, value in node.items}
    if isinstance(node, Sequence):
        return [_json(item) for item in node.items]
    if node.style or not (
        node.text in CORE or re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", node.text)
    ):
        return node.text
    if node.text in CORE:
        return CORE[node.text]
    return int(node.text) if re.fullmatch(r"[-+]?[0-9]+", node.text) else float(node.text)


def _root(path: Path) -> Node:
    root = parse_document(path.name, path.read_text(), Problems())
    assert root is not None
    return root


def _line(node: Node, steps: list[str | int]) -> int:
    for step in steps:
        if isinstance(node, Sequence):
            assert isinstance(step, int)
            node = node.items[step]
        elif isinstance(node, Mapping):
            node = next(value for key, value in node.items if key.text == step)
    return node.line


def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(catalogue_schema())


def test_schema_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(catalogue_schema())


@pytest.mark.parametrize("folder", ["complete", "broken_meaning", "broken_texts"])
def test_sound_shapes_accepted(folder: str) -> None:
    for path in sorted((FOLDER / folder).glob("*.yaml")):
        assert [error.message for error in _validator().iter_errors(_json(_root(path)))] == []


def test_broken_shapes_refused_on_the_same_lines() -> None:
    with pytest.raises(CatalogueErrors) as caught:
        load_catalogue(FOLDER / "broken_shapes", now_us=NOW_US)
    found = set()
    for path in sorted((FOLDER / "broken_shapes").glob("*.yaml")):
        root = _root(path)
        found |= {
            (path.name, _line(root, list(error.absolute_path))) for error in _validator().iter_errors(_json(root))
        }
    reader = {(problem.file, problem.line) for problem in caught.value.problems}
    assert found - reader == set()
    assert sorted(reader - found) == ONLY_READER


def _fields(record: Record) -> list[Field]:
    inner = [field.type.item for field in record.fields if isinstance(field.type, ListOf)]
    records = [field.type for field in record.fields if isinstance(field.type, Record)]
    records += [item for item in inner if isinstance(item, Record)]
    return [*record.fields, *(field for below in records for field in _fields(below))]


def test_every_field_described() -> None:
    fields = _fields(FILE)
    assert len(fields) > 80
    assert [field.name for field in fields if not field.description.endswith(".")] == []


@pytest.mark.parametrize(
    ("name", "model"),
    [("trigger", Trigger), ("channel", Channel), ("product", Product), ("offer", Offer), ("campaign", Campaign),
     ("control", Control), ("ranking", Ranking)],
)  # fmt: skip
def test_defaults_are_those_of_the_model(name: str, model: Any) -> None:
    properties = catalogue_schema()["$defs"][name]["properties"]
    defaults = dict(zip(model.__struct_fields__[::-1], model.__struct_defaults__[::-1], strict=False))
    for field, shape in properties.items():
        if "default" in shape and field in defaults and not isinstance(shape["default"], list):
            assert shape["default"] == defaults[field]
    assert set(properties) - {"class", "valid", "from", "until", "exempt", "hold", "queue_deadline"} <= set(
        model.__struct_fields__
    )


def test_scalar_nodes_are_what_the_test_reads() -> None:
    root = _root(FOLDER / "complete" / "country.yaml")
    assert isinstance(root, Mapping)
    assert isinstance(root.items[0][1], Scalar)
    assert _json(root)["contact_policy"]["quiet_hours"][0]["from"] == "21:00"
