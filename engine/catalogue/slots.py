"""What conditions and messages may name: slots in view order, and the variables of templates.

Slots are the attributes by id, then `now`, then `trigger.time`, then the fields of all triggers by name.
"""

from typing import Final

from engine.catalogue.model import Campaign, Catalogue, Offer, Product, TriggerField
from engine.catalogue.terms import ValueType
from engine.cel.schema import Schema, Slot, SlotType
from engine.templates import Variable

RESERVED_ATTRIBUTES: Final = frozenset(("labels", "zone"))
RESERVED_FIELDS: Final = frozenset(("time",))
RESERVED_WORDS: Final = frozenset(
    (
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop"),
        *("namespace", "null", "package", "return", "true", "var", "void", "while"),
    )
)
"""Words that CEL keeps for itself; no attribute and no trigger field has one as its id."""

NOW: Final = "now"
TRIGGER_TIME: Final = "trigger.time"
SLOT_TYPES: Final = {member: SlotType[member.name] for member in ValueType}


def trigger_fields(catalogue: Catalogue) -> tuple[TriggerField, ...]:
    """Return the fields of all triggers, each name once, sorted."""
    fields = {field.id: field for trigger in catalogue.triggers for field in trigger.fields}
    return tuple(fields[name] for name in sorted(fields))


def schema_of(catalogue: Catalogue) -> Schema:
    """Return the slots and labels that every condition of the catalogue is compiled against."""
    attributes = [
        Slot(f"subscriber.{attribute.id}", SLOT_TYPES[attribute.type], attribute.scale)
        for attribute in catalogue.attributes
    ]
    instants = [Slot(NOW, SlotType.TIMESTAMP), Slot(TRIGGER_TIME, SlotType.TIMESTAMP)]
    fields = [
        Slot(f"trigger.{field.id}", SLOT_TYPES[field.type], dynamic=field.type is ValueType.STRING)
        for field in trigger_fields(catalogue)
    ]
    return Schema((*attributes, *instants, *fields), tuple(label.id for label in catalogue.labels))


class KnownSlots:
    """Which names can have a value in a campaign's condition: fields only of triggers that the campaign answers."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._always = {f"subscriber.{attribute.id}" for attribute in catalogue.attributes} | {NOW, TRIGGER_TIME}
        self._fields = {
            trigger.id: [f"trigger.{field.id}" for field in trigger.fields] for trigger in catalogue.triggers
        }
        self._found: dict[tuple[str, ...], frozenset[str]] = {}

    def of(self, campaign: Campaign) -> frozenset[str]:
        """Return the names; the same object for campaigns that answer the same triggers."""
        if campaign.triggers not in self._found:
            fields = (name for trigger in campaign.triggers for name in self._fields.get(trigger, ()))
            self._found[campaign.triggers] = frozenset(self._always.union(fields))
        return self._found[campaign.triggers]


def template_variables(catalogue: Catalogue) -> dict[str, Variable]:
    """Return what every template may name; the names of offer_variables come on top."""
    variables = {f"subscriber.{item.id}": Variable(type=item.type, scale=item.scale) for item in catalogue.attributes}
    variables.update({f"trigger.{field.id}": Variable(type=field.type) for field in trigger_fields(catalogue)})
    variables["campaign.id"] = Variable(type=ValueType.STRING, always=True)
    return variables


def offer_texts(offer: Offer, product: Product, languages: tuple[str, ...]) -> dict[str, str]:
    """Return what templates may name of one offer; its name is in the first of `languages` in which the product has one."""
    name = next(product.name[language] for language in languages if language in product.name)
    return {"offer.id": offer.id, "offer.name": name, "offer.price": str(product.price)}


def offer_variables(offer: Offer, product: Product, languages: tuple[str, ...]) -> dict[str, Variable]:
    """Return what is fixed for one offer: offer_texts as variables."""
    texts = offer_texts(offer, product, languages)
    return {key: Variable(type=ValueType.STRING, fixed=text) for key, text in texts.items()}
