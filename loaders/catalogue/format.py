"""The format's table, second half: offers, campaigns, the contact policy, and the file that holds them all."""

from typing import Final

from engine.catalogue.terms import (
    Basis,
    CampaignState,
    CapEvent,
    CapPer,
    Day,
    Factor,
    Scope,
    WeekDay,
    WindowKind,
)
from engine.limits import ATTRIBUTES_MAX, CAPS_MAX, CODES_MAX, CONSENT_PAIRS_MAX, LABELS_MAX, ZONES_MAX
from loaders.catalogue.records import Either, Field, ListOf, MapOf, Record
from loaders.catalogue.scalars import (
    Choice,
    Clock,
    Date,
    DateOrInstant,
    Flag,
    Number,
    Pattern,
    Reference,
    Span,
    Text,
    Whole,
)
from loaders.catalogue.things import ATTRIBUTE, CHANNEL, DESCRIPTION, ID, LABEL, LANGUAGE, PRODUCT, TRIGGER

ZONE: Final = Pattern("[A-Za-z0-9_+/-]{1,64}", "an IANA zone", "write it like America/Chicago")
TEMPLATE: Final = Text(16_384)
FROM: Final = Field("from", DateOrInstant(), "First instant; a date begins at midnight in the home zone.")
UNTIL: Final = Field("until", DateOrInstant(), "End, exclusive; a date ends as it begins.")

OFFER: Final = Record(
    "offer",
    "A product on certain terms, with the words to offer it.",
    (
        Field("id", ID, "Its name in campaigns and answers.", required=True),
        Field("product", Reference("product"), "The product that it sells.", required=True),
        Field("valid", Record("period", "From when, until when.", (FROM, UNTIL)), "When it may be made."),
        Field("value", Number(0, 1_000_000_000), "What an acceptance is worth.", required=True),
        Field("priority", Whole(0, 1_000_000), "Larger comes first, or weighs more.", default=1),
        Field("propensity", Number(0, 1), "Probability that it is accepted.", required=True),
        Field("anonymous", Flag(), "May be shown to an unknown subscriber.", default=False),
        Field("content", MapOf(Reference("channel"), MapOf(LANGUAGE, TEMPLATE)), "Message by channel and language."),
        Field(
            "script",
            MapOf(Reference("channel"), MapOf(LANGUAGE, TEMPLATE)),
            "Agent's line by pull channel and language.",
        ),
        DESCRIPTION,
    ),
)

EXEMPT: Final = Record(
    "exempt",
    "The two switches of exempt traffic.",
    (
        Field("obeys_caps", Flag(), "Caps stop its offers.", default=True),
        Field("counts", Flag(), "Its contacts count toward caps.", default=True),
    ),
)

CAMPAIGN: Final = Record(
    "campaign",
    "Which offers go to whom, on which triggers and channels.",
    (
        Field("id", ID, "Its name in answers.", required=True),
        Field("state", Choice(*CampaignState), "Only a live campaign makes offers.", required=True),
        FROM,
        UNTIL,
        Field("triggers", ListOf(Reference("trigger")), "Triggers that it answers.", required=True),
        Field("channels", ListOf(Reference("channel")), "Channels that it uses.", required=True),
        Field("purpose", Reference("purpose"), "Purpose that the subscriber must consent to.", required=True),
        Field("offers", ListOf(Reference("offer")), "Offers that it makes.", required=True),
        Field("condition", Text(8_192), "CEL: who it is for; without it, everybody."),
        Field("control_share", Number(0, 1), "Share of subscribers who do not get it.", default=0.0),
        Field("lever", Number(0, 1_000), "Factor of the score.", default=1.0),
        Field("exempt", EXEMPT, "Whether caps bind it, and whether it counts."),
        DESCRIPTION,
    ),
)

PURPOSE: Final = Record(
    "purpose",
    "A purpose of contact, consented to channel by channel.",
    (
        Field("id", ID, "Its name in campaigns.", required=True),
        Field("basis", Choice(*Basis), "opt_in: only with a grant. opt_out: unless refused.", required=True),
    ),
)

HOLIDAYS: Final = Record(
    "holidays",
    "Days that are holidays for quiet hours.",
    (
        Field("country", Pattern("[A-Z]{2}", "an ISO 3166 country code", "write it like US"), "Its public holidays."),
        Field("dates", ListOf(Date()), "Further holidays."),
    ),
)

QUIET_HOURS: Final = Record(
    "quiet_hours",
    "A local do-not-disturb window; it belongs to the day on which it starts.",
    (
        Field("id", ID, "Its name.", required=True),
        Field("classes", ListOf(Reference("channel class")), "Classes of channels that are silent.", required=True),
        Field("days", ListOf(Choice(*Day)), "Days on which it starts; holidays only as holiday.", default=list(Day)),
        Field("from", Clock(), "First minute.", required=True),
        Field("to", Clock(end=True), "End, exclusive; at or before the first minute: on the next day.", required=True),
    ),
)

WINDOW: Final = Record(
    "window",
    "How long an event counts.",
    (
        Field("rolling", Span(1, 366), "So long after the event."),
        Field(
            "calendar",
            Choice(WindowKind.DAY, WindowKind.WEEK, WindowKind.MONTH),
            "Until the local day, week or month ends.",
        ),
        Field("week_start", Choice(*WeekDay), "First day of a week.", only=("calendar", (WindowKind.WEEK,))),
    ),
    one_of=("rolling", "calendar"),
)

CAP: Final = Record(
    "cap",
    "At most so many events in a window.",
    (
        Field("id", ID, "Its name.", required=True),
        Field("scope", Choice(*Scope), "What it counts together.", required=True),
        Field("target", ID, "Id of the one offer, campaign, category or channel; else each by itself."),
        Field("per", Choice(*CapPer), "One subscriber's events, or everybody's.", required=True),
        Field("counts", Choice(*CapEvent), "The event.", required=True),
        Field(
            "window",
            Either(Choice(WindowKind.LIFETIME, otherwise="a mapping with rolling or calendar"), WINDOW),
            "How long an event counts.",
            required=True,
        ),
        Field("limit", Whole(0, 2**31 - 1), "Most events.", required=True),
    ),
)

NARROW: Final = Choice(*(scope for scope in Scope if scope is not Scope.CHANNEL))
QUIETING: Final = Span(1, 3_660, never=True)

COOL_DOWN: Final = Record(
    "cool_down",
    "How long a refusal stops offers.",
    (
        Field("after_refusal", QUIETING, "From a refusal on."),
        Field("refusal_scope", NARROW, "Offers that it stops.", default=Scope.OFFER),
        Field("after_not_now", QUIETING, 'From a "not now" on.'),
        Field("not_now_scope", NARROW, "Offers that it stops.", default=Scope.OFFER),
    ),
)

REOFFER: Final = Record(
    "reoffer",
    "How long an acceptance stops offers.",
    (
        Field("after_acceptance", QUIETING, "From an acceptance on.", required=True),
        Field("scope", NARROW, "Offers that it stops.", default=Scope.OFFER),
    ),
)

CONTACT_POLICY: Final = Record(
    "contact_policy",
    "What holds for every campaign.",
    (
        Field("purposes", ListOf(PURPOSE, high=CONSENT_PAIRS_MAX, unique=False), "Purposes of contact.", required=True),
        Field("holidays", HOLIDAYS, "Public and further holidays."),
        Field("quiet_hours", ListOf(QUIET_HOURS, 0, 64, unique=False), "Do-not-disturb windows.", default=[]),
        Field("caps", ListOf(CAP, 0, CAPS_MAX, unique=False), "Limits on contacts.", default=[]),
        Field("cool_down", COOL_DOWN, "After a refusal."),
        Field("reoffer", REOFFER, "After an acceptance."),
    ),
)

COUNTRY: Final = Record(
    "country",
    "Where subscribers live.",
    (
        Field("name", Text(100), "Its name.", required=True),
        Field("zones", ListOf(ZONE, 1, ZONES_MAX), "Its IANA zones.", required=True),
        Field("home_zone", ZONE, "The zone of dates and totals, one of the zones.", required=True),
    ),
)

CONTROL: Final = Record(
    "control",
    "Control groups.",
    (
        Field("salt", Text(100), "Any text; another one draws the groups anew.", required=True),
        Field("universal_share", Number(0, 1), "Share of subscribers who get no offer.", default=0.0),
    ),
)

RANKING: Final = Record(
    "ranking",
    "How candidates are ordered.",
    (
        Field("priority_first", Flag(), "Priority first, score among equals.", default=False),
        Field("factors", ListOf(Choice(*Factor)), "Factors of the score.", default=list(Factor)),
    ),
)

FILE: Final = Record(
    "catalogue_file",
    "One file of a catalogue. Lists may be spread over files; every other field stands in one of them.",
    (
        Field("catalogue", ID, "The catalogue's id."),
        Field("policy_version", Text(64), "Seeds ties: another one breaks them anew."),
        Field("country", COUNTRY, "Where subscribers live."),
        Field("languages", ListOf(LANGUAGE, 1, 64), "Languages; the first is the default."),
        Field("anonymous_offers", Flag(), "Unknown subscribers get offers marked anonymous."),
        Field("control", CONTROL, "Control groups."),
        Field("ranking", RANKING, "How candidates are ordered."),
        Field("labels", ListOf(LABEL, 0, LABELS_MAX, unique=False), "Facts about subscribers."),
        Field("attributes", ListOf(ATTRIBUTE, 0, ATTRIBUTES_MAX, unique=False), "Values about subscribers."),
        Field("triggers", ListOf(TRIGGER, 0, CODES_MAX, unique=False), "What happens, and who asks."),
        Field("channels", ListOf(CHANNEL, 0, CONSENT_PAIRS_MAX, unique=False), "Ways to reach subscribers."),
        Field("products", ListOf(PRODUCT, 0, CODES_MAX, unique=False), "What is sold."),
        Field("offers", ListOf(OFFER, 0, CODES_MAX, unique=False), "What is offered."),
        Field("campaigns", ListOf(CAMPAIGN, 0, CODES_MAX, unique=False), "To whom, when and where."),
        Field("contact_policy", CONTACT_POLICY, "What holds for every campaign."),
    ),
)

REQUIRED: Final = ("catalogue", "policy_version", "country", "languages", "contact_policy")
"""Fields that stand in exactly one file of every catalogue."""
LISTS: Final = ("labels", "attributes", "triggers", "channels", "products", "offers", "campaigns")
