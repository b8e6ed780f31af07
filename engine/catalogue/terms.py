"""The closed sets of words that a catalogue uses; the value of each member is the word in the file."""

from enum import StrEnum


class Family(StrEnum):
    """The eight families of labels."""

    BASIC = "basic"
    BUSINESS = "business"
    CONSUMPTION = "consumption"
    TERMINAL = "terminal"
    MARKETING_PREFERENCE = "marketing_preference"
    CHANNEL = "channel"
    SERVICE_PREFERENCE = "service_preference"
    INTERNET = "internet"


class LabelKind(StrEnum):
    """Whether a label ages."""

    STATIC = "static"
    DYNAMIC = "dynamic"


class ValueType(StrEnum):
    """Types of attributes and, all but decimal, of trigger fields."""

    BOOL = "bool"
    INT = "int"
    DECIMAL = "decimal"
    DOUBLE = "double"
    STRING = "string"
    TIMESTAMP = "timestamp"
    DURATION = "duration"


class Moment(StrEnum):
    """What kind of moment a trigger is."""

    FIRST = "first"
    ABNORMAL = "abnormal"
    SPECIAL = "special"
    SERVICE = "service"


class ChannelKind(StrEnum):
    """Pull: the subscriber or an agent asks. Push: the operator sends."""

    PULL = "pull"
    PUSH = "push"


class CampaignState(StrEnum):
    """Only a live campaign makes offers."""

    DRAFT = "draft"
    LIVE = "live"
    PAUSED = "paused"
    ENDED = "ended"


class Basis(StrEnum):
    """Opt-in: nothing without a grant. Opt-out: only a refusal stops."""

    OPT_IN = "opt_in"
    OPT_OUT = "opt_out"


class Scope(StrEnum):
    """What a cap, a cool-down or a re-offer rule covers; cool-downs and re-offer rules never use `channel`."""

    OFFER = "offer"
    CAMPAIGN = "campaign"
    CATEGORY = "category"
    CHANNEL = "channel"
    ALL = "all"


class CapPer(StrEnum):
    """Whose events a cap counts."""

    SUBSCRIBER = "subscriber"
    TOTAL = "total"


class CapEvent(StrEnum):
    """Which event of a contact a cap counts."""

    DECIDED = "decided"
    HANDED_OFF = "handed_off"
    SEEN = "seen"
    ACCEPTED = "accepted"


class WindowKind(StrEnum):
    """Rolling: so many seconds. Day, week, month: the subscriber's calendar (total: home zone). Lifetime: for good."""

    ROLLING = "rolling"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    LIFETIME = "lifetime"


class Day(StrEnum):
    """Kinds of days, in the order of the bits of quiet hours' day sets; Monday is 0."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"
    HOLIDAY = "holiday"


class WeekDay(StrEnum):
    """On which day a week starts; Monday is 0."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


class Factor(StrEnum):
    """Factors of the score, in the order in which they are multiplied; one that a catalogue does not name is 1.0."""

    PROPENSITY = "propensity"
    VALUE = "value"
    LEVER = "lever"
    PRIORITY = "priority"
