"""Reason codes and outcome results by name; a code's tens are its stage."""

REASONS = {
    "UNKNOWN_SUBSCRIBER": 1,
    "SUBSCRIBER_ERASED": 2,
    "CLOCK_UNCONFIRMED": 3,
    "NO_CANDIDATE": 4,
    "CAMPAIGN_NOT_LIVE": 10,
    "CAMPAIGN_NOT_STARTED": 11,
    "CAMPAIGN_ENDED": 12,
    "OFFER_NOT_VALID": 13,
    "CONSENT_MISSING": 20,
    "CONSENT_REFUSED": 21,
    "NOT_ELIGIBLE": 30,
    "CONDITION_UNKNOWN": 31,
    "CONDITION_ERROR": 32,
    "CONTROL_UNIVERSAL": 40,
    "CONTROL_CAMPAIGN": 41,
    "QUIET_HOURS": 50,
    "COOL_DOWN_REFUSED": 60,
    "COOL_DOWN_NOT_NOW": 61,
    "ALREADY_ACCEPTED": 62,
    "CAP_REACHED": 70,
    "LEDGER_FULL": 71,
    "STATE_UNAVAILABLE": 72,
    "EXCLUSIVE_GROUP": 80,
    "RANKED_OUT": 90,
    "OFFERED": 100,
}
STAGES = 11


def stage(reason: str) -> int:
    """The number of the stage at which the reason stops a candidate."""
    return REASONS[reason] // 10
