"""Slots: their order and types, what a campaign may name, and what its messages may."""

from decimal import Decimal

import pytest

from engine.catalogue.model import Attribute, Campaign, Catalogue, Country, Label, Offer, Product, Trigger, TriggerField
from engine.catalogue.slots import KnownSlots, offer_variables, schema_of, template_variables, trigger_fields
from engine.catalogue.terms import CampaignState, Family, LabelKind, Moment, ValueType
from engine.cel.schema import Slot, SlotType

USED = TriggerField(id="used", type=ValueType.DOUBLE)
APP = TriggerField(id="app", type=ValueType.STRING)


def _campaign(*triggers: str) -> Campaign:
    return Campaign(id="c", state=CampaignState.LIVE, triggers=triggers, channels=(), purpose="p", offers=())


@pytest.fixture
def catalogue() -> Catalogue:
    """Return a catalogue of two attributes and three triggers, two of which share a field."""
    return Catalogue(
        id="demo",
        policy_version="1",
        country=Country(name="Here", zones=("UTC",), home_zone="UTC"),
        languages=("en",),
        labels=tuple(Label(id=name, family=Family.BASIC, kind=LabelKind.STATIC) for name in ("gold", "heavy")),
        attributes=(
            Attribute(id="charges", type=ValueType.DECIMAL, scale=2),
            Attribute(id="plan", type=ValueType.STRING),
        ),
        triggers=(
            Trigger(id="burst", moment=Moment.ABNORMAL, fields=(APP,)),
            Trigger(id="opened", moment=Moment.SERVICE),
            Trigger(id="usage", moment=Moment.ABNORMAL, fields=(APP, USED)),
        ),
    )


def test_slots_in_view_order(catalogue: Catalogue) -> None:
    schema = schema_of(catalogue)
    assert schema.slots == (
        Slot("subscriber.charges", SlotType.DECIMAL, 2),
        Slot("subscriber.plan", SlotType.STRING),
        Slot("now", SlotType.TIMESTAMP),
        Slot("trigger.time", SlotType.TIMESTAMP),
        Slot("trigger.app", SlotType.STRING, dynamic=True),
        Slot("trigger.used", SlotType.DOUBLE),
    )
    assert schema.labels == ("gold", "heavy")
    assert schema.zone


def test_fields_of_all_triggers_once(catalogue: Catalogue) -> None:
    assert trigger_fields(catalogue) == (APP, USED)


@pytest.mark.parametrize(
    ("triggers", "fields"),
    [(("opened",), set()), (("burst", "opened"), {"trigger.app"}), (("usage",), {"trigger.app", "trigger.used"})],
)
def test_known_slots_by_triggers(catalogue: Catalogue, triggers: tuple[str, ...], fields: set[str]) -> None:
    always = {"subscriber.charges", "subscriber.plan", "now", "trigger.time"}
    assert KnownSlots(catalogue).of(_campaign(*triggers)) == always | fields


def test_template_variables_all_named(catalogue: Catalogue) -> None:
    variables = template_variables(catalogue)
    names = {"subscriber.charges", "subscriber.plan", "trigger.app", "trigger.used", "campaign.id"}
    assert set(variables) == names
    assert variables["subscriber.charges"].scale == 2
    assert [name for name in names if variables[name].always] == ["campaign.id"]


@pytest.mark.parametrize(("languages", "name"), [(("es", "en"), "Datos"), (("fr", "en"), "Data")])
def test_offer_variables_in_first_language_there_is(languages: tuple[str, ...], name: str) -> None:
    product = Product(id="data", name={"en": "Data", "es": "Datos"}, price=Decimal("9.90"), category="data")
    offer = Offer(id="half", product="data", value=1.0, propensity=0.1)
    fixed = {key: variable.fixed for key, variable in offer_variables(offer, product, languages).items()}
    assert fixed == {"offer.id": "half", "offer.name": name, "offer.price": "9.90"}
