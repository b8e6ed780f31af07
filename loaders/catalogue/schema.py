"""The JSON Schema of a catalogue's files, for editors; made from the table that the reader follows."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from loaders.catalogue.format import FILE
from loaders.catalogue.reading import Json
from loaders.catalogue.records import Either, Field, ListOf, MapOf, Record
from loaders.catalogue.scalars import Type

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def catalogue_schema() -> Json:
    """Return the schema of one file; what only holds between files or between things is left to load_catalogue."""
    definitions = {record.name: _definition(record) for record in _records(FILE)}
    return {
        "$schema": DRAFT,
        "title": "Touchpoint catalogue file",
        **definitions.pop(FILE.name),
        "$defs": dict(sorted(definitions.items())),
    }


def _records(type_: Type) -> Iterator[Record]:
    if isinstance(type_, Record):
        yield type_
        for field in type_.fields:
            yield from _records(field.type)
    elif isinstance(type_, ListOf):
        yield from _records(type_.item)
    elif isinstance(type_, MapOf):
        yield from _records(type_.value)
    elif isinstance(type_, Either):
        yield from _records(type_.record)


def _definition(record: Record) -> Json:
    required = [field.name for field in record.fields if field.required and field.only is None]
    rules = [_rule(field) for field in record.fields if field.only is not None]
    shape: Json = {
        "type": "object",
        "description": record.description,
        "properties": {field.name: _property(field) for field in record.fields},
        "additionalProperties": False,
    }
    if required:
        shape["required"] = required
    if record.one_of:
        shape["oneOf"] = [{"required": [name]} for name in record.one_of]
    return {**shape, "allOf": rules} if rules else shape


def _property(field: Field) -> Json:
    shape = {**field.type.schema(), "description": field.description}
    return shape if field.default is None else {**shape, "default": _plain(field.default)}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return str(value)
    return [_plain(item) for item in value] if isinstance(value, Iterable) else value


def _rule(field: Field) -> Json:
    """Return that a field has a meaning only when another one has one of some words."""
    assert field.only is not None
    other, words = field.only
    condition = {"properties": {other: {"enum": [str(word) for word in words]}}, "required": [other]}
    then: Json = {"required": [field.name]} if field.required else {}
    return {"if": condition, "then": then, "else": {"not": {"required": [field.name]}}}
