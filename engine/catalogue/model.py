"""A catalogue as its authors mean it: references checked, units resolved; loaders/catalogue reads it from YAML.

Durations and instants are int64 microseconds, dates have become instants (local midnight in the home zone), lists are
sorted by id, so that the order in the files changes nothing. It goes through msgspec.msgpack unchanged.
"""

from decimal import Decimal
from typing import Final

import msgspec

from engine.catalogue.policy import ContactPolicy
from engine.catalogue.terms import CampaignState, ChannelKind, Factor, Family, LabelKind, Moment, ValueType

INT64_MIN: Final = -(1 << 63)
INT64_MAX: Final = (1 << 63) - 1


class Country(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where subscribers live."""

    name: str
    zones: tuple[str, ...]
    """IANA names, sorted, at least one; an unknown zone takes the most restrictive of them."""
    home_zone: str
    """One of `zones`: dates in the catalogue and totals are on its calendar."""


class Control(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Control groups, drawn by a salted hash of the subscriber."""

    salt: str = ""
    universal_share: float = 0.0
    """0 to 1: the share of subscribers who get no offer at all."""


class Ranking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How candidates are ordered."""

    priority_first: bool = False
    """Higher priority comes first, and score decides among equals."""
    factors: tuple[Factor, ...] = (Factor.PROPENSITY, Factor.VALUE, Factor.LEVER, Factor.PRIORITY)
    """Factors of the score, in the order of Factor; one that is missing is 1.0."""


class Label(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A yes-or-no fact about a subscriber."""

    id: str
    family: Family
    kind: LabelKind
    max_age_us: int | None = None
    """Dynamic labels: 1 second to 10 years; older is unknown. Static labels: None."""
    description: str = ""


class Attribute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value about a subscriber; `subscriber.<id>` in conditions and messages."""

    id: str
    type: ValueType
    min: int = INT64_MIN
    """Int: the smallest value. Decimal: the smallest value times 10**scale. Else int64's smallest."""
    max: int = INT64_MAX
    """Int: the largest value. Decimal: the largest value times 10**scale. Else int64's largest."""
    scale: int = 0
    """Decimal: digits after the point, 0 to 9; else 0."""
    float32: bool = False
    """Double only: stored in 32 bits, because the author says that they are enough."""
    unit: str = ""
    description: str = ""


class TriggerField(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value that comes with a trigger; one name has one type in all triggers."""

    id: str
    type: ValueType
    """Never decimal."""
    unit: str = ""
    description: str = ""


class Trigger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that happened, or a place that asks."""

    id: str
    moment: Moment
    placement: bool = False
    """It may be asked for by name, without an event."""
    fields: tuple[TriggerField, ...] = ()
    description: str = ""


class Channel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A way to reach a subscriber."""

    id: str
    kind: ChannelKind
    channel_class: str
    """What quiet hours name it by (`class` in the file)."""
    max_offers: int = 1
    """1 to OFFERS_PER_ANSWER_MAX."""
    hold_us: int = 0
    """Pull: how long a shown offer is held, 1 second to 1 day; push: 0."""
    queue_deadline_us: int = 0
    """Push: how long a message may wait to be sent, 1 second to 7 days; pull: 0."""
    inbound_exempt: bool = False
    """Pull only: quiet hours do not stop it."""
    defer_quiet_hours: bool = False
    """Push only: a message may wait for the end of quiet hours."""
    content_chars_max: int | None = None
    """Characters of a rendered message, 1 to 100,000; None: as many as a message may have at all."""
    description: str = ""


class Product(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an offer sells."""

    id: str
    name: dict[str, str]
    """By language; the default language is there."""
    price: Decimal
    """0 or more, in the catalogue's currency; its digits after the point are kept as written."""
    category: str
    stickiness: int = 0
    """0 to 10: how much it binds."""
    exclusive_group: str | None = None
    """At most one product of a group in one answer; None: a group of its own."""
    description: str = ""


class Offer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A product on certain terms, with the words to offer it."""

    id: str
    product: str
    from_us: int | None = None
    """First instant; None: open."""
    until_us: int | None = None
    """End, exclusive; None: open."""
    value: float
    """0 to 1e9: what an acceptance is worth."""
    priority: int = 1
    """0 to 1,000,000."""
    propensity: float
    """0 to 1: fixed probability that it is accepted."""
    anonymous: bool = False
    """May be shown to an unknown subscriber, when the catalogue allows that."""
    content: dict[str, dict[str, str]] = {}
    """Template source by channel, then language; the default language is there for each channel."""
    script: dict[str, dict[str, str]] = {}
    """One line for the agent, by pull channel with content, then language."""
    description: str = ""


class Campaign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which offers go to whom, on which triggers and channels."""

    id: str
    state: CampaignState
    from_us: int | None = None
    """First instant; None: open."""
    until_us: int | None = None
    """End, exclusive; None: open."""
    triggers: tuple[str, ...]
    channels: tuple[str, ...]
    purpose: str
    offers: tuple[str, ...]
    condition: str | None = None
    """CEL source; None: everybody."""
    control_share: float = 0.0
    """0 to 1."""
    lever: float = 1.0
    """0 to 1,000: a factor of the score."""
    obeys_caps: bool = True
    """False: caps do not stop its offers."""
    counts: bool = True
    """False: its contacts count toward no cap."""
    description: str = ""


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides. All lists are sorted by id."""

    id: str
    policy_version: str
    """Seeds tie-breaks: a new version draws them anew."""
    country: Country
    languages: tuple[str, ...]
    """BCP 47 tags in the author's order; the first is the default."""
    anonymous_offers: bool = False
    control: Control = Control()
    ranking: Ranking = Ranking()
    labels: tuple[Label, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    channels: tuple[Channel, ...] = ()
    products: tuple[Product, ...] = ()
    offers: tuple[Offer, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    contact_policy: ContactPolicy = ContactPolicy()
