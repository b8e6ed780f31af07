"""Why a candidate was stopped, or a decision holds no offer: codes in the order of the stages, so that the largest code got furthest."""

from enum import IntEnum
from typing import Final


class Stage(IntEnum):
    """The stages of a decision, in order; counts by stage are reported with every decision."""

    REQUEST = 0
    VALIDITY = 1
    CONSENT = 2
    ELIGIBILITY = 3
    CONTROL = 4
    QUIET_HOURS = 5
    COOL_DOWN = 6
    CAP = 7
    EXCLUSIVE = 8
    RANK = 9
    OFFERED = 10


class Reason(IntEnum):
    """Reason codes as uint8; code // 10 is the stage. A decision without an offer reports the largest code among its candidates."""

    UNKNOWN_SUBSCRIBER = 1
    SUBSCRIBER_ERASED = 2
    CLOCK_UNCONFIRMED = 3
    NO_CANDIDATE = 4

    CAMPAIGN_NOT_LIVE = 10
    CAMPAIGN_NOT_STARTED = 11
    CAMPAIGN_ENDED = 12
    OFFER_NOT_VALID = 13

    CONSENT_MISSING = 20
    CONSENT_REFUSED = 21

    NOT_ELIGIBLE = 30
    CONDITION_UNKNOWN = 31
    CONDITION_ERROR = 32

    CONTROL_UNIVERSAL = 40
    CONTROL_CAMPAIGN = 41

    QUIET_HOURS = 50

    COOL_DOWN_REFUSED = 60
    COOL_DOWN_NOT_NOW = 61
    ALREADY_ACCEPTED = 62

    CAP_REACHED = 70
    LEDGER_FULL = 71
    STATE_UNAVAILABLE = 72

    EXCLUSIVE_GROUP = 80

    RANKED_OUT = 90

    OFFERED = 100


STAGE_COUNT: Final = len(Stage)

assert all(reason // 10 in set(Stage) for reason in Reason)
