"""Trigger fields of a scan: their values as texts, typed by the catalogue, and who asks for those that were not given."""

from typing import Final, NamedTuple

from engine.bound import Bound
from engine.catalogue.model import Catalogue, TriggerField
from engine.catalogue.slots import trigger_fields
from engine.catalogue.terms import ValueType
from engine.cel.literals import double_bits, parse_bool, parse_double, parse_int, parse_timestamp
from engine.whatif.question import QuestionError, known
from engine.whatif.splits import duration_ns
from engine.whatif.tallies import Pair, positions_of

OPTION: Final = "--field"
_SECOND_NS: Final = 1_000_000_000


class Given(NamedTuple):
    """A field's value as a batch holds it, for one bound rulebook."""

    column: int
    """Bound.field_index"""
    value: int
    nanos: int
    triggers: frozenset[int]
    """Numbers of the triggers that have the field."""


def check_fields(catalogue: Catalogue, fields: dict[str, str]) -> None:
    """Raise QuestionError when a name is no trigger's field, or a text is no value of its type."""
    types = {field.id: field for field in trigger_fields(catalogue)}
    for name, text in fields.items():
        _parsed(types[known(OPTION, "trigger field", name, types)], text)


def given_fields(bound: Bound, fields: dict[str, str]) -> list[Given]:
    """Return the values for the fields that the rulebook's triggers have."""
    catalogue = bound.rulebook.catalogue
    found = []
    for field in trigger_fields(catalogue):
        if field.id not in fields:
            continue
        column = bound.field_index[field.id]
        if field.type == ValueType.STRING:
            value, nanos = bound.conditions.interner.intern(bound.field_slot + column, fields[field.id]), 0
        else:
            value, nanos = _parsed(field, fields[field.id])
        having = [n for n, t in enumerate(catalogue.triggers) if field.id in {f.id for f in t.fields}]
        found.append(Given(column, value, nanos, frozenset(having)))
    return found


def _parsed(field: TriggerField, text: str) -> tuple[int, int]:
    try:
        match field.type:
            case ValueType.BOOL:
                return int(parse_bool(text)), 0
            case ValueType.INT:
                return parse_int(text), 0
            case ValueType.DOUBLE:
                return double_bits(parse_double(text)), 0
            case ValueType.TIMESTAMP:
                return parse_timestamp(text)
            case ValueType.DURATION:
                return divmod(duration_ns(text), _SECOND_NS)
        text.encode()
        return 0, 0
    except ValueError:
        raise QuestionError(OPTION, f"{field.id}: expected a {field.type}, was {text!r}") from None


def missing_fields(bound: Bound, pair: Pair, fields: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """Return, by campaign with a candidate, the trigger's fields that its condition asks for and that were not given."""
    catalogue, conditions = bound.rulebook.catalogue, bound.rulebook.conditions
    own = {field.id for field in catalogue.triggers[bound.trigger_index[pair.trigger]].fields} - fields.keys()
    there = {bound.candidates[n].campaign.id for n in positions_of(bound, pair).tolist()}
    slots = {bound.field_slot + bound.field_index[name]: name for name in own}
    asked = {}
    campaigns = sorted(catalogue.campaigns, key=lambda campaign: campaign.id)
    for campaign, number in zip(campaigns, bound.rulebook.campaign_conditions, strict=True):
        if campaign.id in there and number >= 0:
            names = [slots[slot] for slot in conditions.conditions[number].slots if slot in slots]
            if names:
                asked[campaign.id] = tuple(sorted(names))
    return asked
