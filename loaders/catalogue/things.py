"""The format's table, first half: what a subscriber, a trigger and a channel are. The reader and the JSON Schema both come from it."""

from typing import Final

from engine.catalogue.model import INT64_MAX, INT64_MIN
from engine.catalogue.terms import ChannelKind, Family, LabelKind, Moment, ValueType
from engine.limits import OFFERS_PER_ANSWER_MAX, TRIGGER_FIELDS_MAX
from loaders.catalogue.records import Field, MapOf, Record
from loaders.catalogue.scalars import Choice, Exact, Flag, Identifier, Pattern, Span, Text, Whole

ID: Final = Identifier()
LANGUAGE: Final = Pattern(
    "[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?", "a language tag", "write it like en, es or pt-BR"
)
DESCRIPTION: Final = Field("description", Text(), "What it means, for people.")
UNIT: Final = Field("unit", Text(64), "Unit of the value, for people: MB, months, USD.")

LABEL: Final = Record(
    "label",
    "A yes-or-no fact about a subscriber.",
    (
        Field("id", ID, 'Its name in conditions: "id" in subscriber.labels.', required=True),
        Field("family", Choice(*Family), "Which of the eight families it is of.", required=True),
        Field("kind", Choice(*LabelKind), "A static label does not age; a dynamic one does.", required=True),
        Field(
            "max_age",
            Span(1, 3_660),
            "Age after which the label is unknown.",
            required=True,
            only=("kind", (LabelKind.DYNAMIC,)),
        ),
        DESCRIPTION,
    ),
)

ATTRIBUTE: Final = Record(
    "attribute",
    "A value about a subscriber.",
    (
        Field("id", ID, "Its name in conditions and messages: subscriber.id.", required=True),
        Field("type", Choice(*ValueType), "Type of the value.", required=True),
        Field(
            "min",
            Exact(INT64_MIN, INT64_MAX),
            "Smallest value.",
            only=("type", (ValueType.INT, ValueType.DECIMAL)),
        ),
        Field(
            "max",
            Exact(INT64_MIN, INT64_MAX),
            "Largest value.",
            only=("type", (ValueType.INT, ValueType.DECIMAL)),
        ),
        Field("scale", Whole(0, 9), "Digits after the point.", required=True, only=("type", (ValueType.DECIMAL,))),
        Field("float32", Flag(), "32 bits are enough for it.", only=("type", (ValueType.DOUBLE,))),
        UNIT,
        DESCRIPTION,
    ),
)

TRIGGER_FIELD: Final = Record(
    "trigger_field",
    "A value that comes with a trigger; one name has one type in all triggers.",
    (
        Field(
            "type",
            Choice(*(member for member in ValueType if member is not ValueType.DECIMAL)),
            "Type of the value.",
            required=True,
        ),
        UNIT,
        DESCRIPTION,
    ),
)

TRIGGER: Final = Record(
    "trigger",
    "Something that happened, or a place that asks.",
    (
        Field("id", ID, "Its name in campaigns and requests.", required=True),
        Field("moment", Choice(*Moment), "What kind of moment it is.", required=True),
        Field("placement", Flag(), "It may be asked for by name, without an event.", default=False),
        Field(
            "fields", MapOf(ID, TRIGGER_FIELD, high=TRIGGER_FIELDS_MAX), "Values by name: trigger.name in conditions."
        ),
        DESCRIPTION,
    ),
)

PULL: Final = ("kind", (ChannelKind.PULL,))
PUSH: Final = ("kind", (ChannelKind.PUSH,))

CHANNEL: Final = Record(
    "channel",
    "A way to reach a subscriber.",
    (
        Field("id", ID, "Its name in campaigns, content and requests.", required=True),
        Field("kind", Choice(*ChannelKind), "Pull: they ask. Push: the operator sends.", required=True),
        Field("class", ID, "What quiet hours name it by, such as message or screen.", required=True),
        Field("max_offers", Whole(1, OFFERS_PER_ANSWER_MAX), "Most offers in one answer.", default=1),
        Field("hold", Span(1, 1), "How long a shown offer is held.", required=True, only=PULL),
        Field("inbound_exempt", Flag(), "Quiet hours do not stop it.", only=PULL),
        Field("queue_deadline", Span(1, 7), "How long a message may wait to be sent.", required=True, only=PUSH),
        Field("defer_quiet_hours", Flag(), "A message may wait for the end of quiet hours.", only=PUSH),
        Field("content_chars_max", Whole(1, 100_000), "Most characters of a message."),
        DESCRIPTION,
    ),
)

PRODUCT: Final = Record(
    "product",
    "What an offer sells.",
    (
        Field("id", ID, "Its name in offers.", required=True),
        Field("name", MapOf(LANGUAGE, Text(200)), "Its name by language.", required=True),
        Field("price", Exact(0, 1_000_000_000), "Its price, with the digits to be shown.", required=True),
        Field("category", ID, "What kind of product it is; caps and cool-downs can name it.", required=True),
        Field("stickiness", Whole(0, 10), "How much it binds the subscriber.", default=0),
        Field("exclusive_group", ID, "At most one product of a group is shown at a time."),
        DESCRIPTION,
    ),
)
