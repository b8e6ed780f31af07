"""Reasons, stages and instants in plain words."""

from datetime import datetime, tzinfo
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from touchpoint.v1 import reason_pb2

REASONS: Final = {
    "UNKNOWN_SUBSCRIBER": "nobody of that name or number is in the base",
    "SUBSCRIBER_ERASED": "the subscriber was forgotten",
    "CLOCK_UNCONFIRMED": "the server's clock jumped, and push waits until an operator confirms it",
    "NO_CANDIDATE": "no campaign names this trigger and this channel",
    "CAMPAIGN_NOT_LIVE": "the campaign is not live",
    "CAMPAIGN_NOT_STARTED": "the campaign starts later",
    "CAMPAIGN_ENDED": "the campaign is over",
    "OFFER_NOT_VALID": "the offer is not valid now",
    "CONSENT_MISSING": "the customer never agreed to be contacted so",
    "CONSENT_REFUSED": "the customer does not want to be contacted so",
    "NOT_ELIGIBLE": "the campaign's condition is not met",
    "CONDITION_UNKNOWN": "something that the campaign's condition needs is not known",
    "CONDITION_ERROR": "the campaign's condition failed",
    "CONTROL_UNIVERSAL": "the customer is in the group that gets no offers, for comparison",
    "CONTROL_CAMPAIGN": "the customer is in the campaign's control group, for comparison",
    "QUIET_HOURS": "it is a quiet hour where the customer is",
    "COOL_DOWN_REFUSED": "the customer said no to something like it not long ago",
    "COOL_DOWN_NOT_NOW": "the customer said not now",
    "ALREADY_ACCEPTED": "the customer has it already",
    "CAP_REACHED": "a contact cap is reached",
    "LEDGER_FULL": "the ledger has no room for one more contact of this customer",
    "STATE_UNAVAILABLE": "what the customer was offered before cannot be looked up at the moment",
    "EXCLUSIVE_GROUP": "a better offer of the same kind is in the answer",
    "RANKED_OUT": "better offers took every place",
    "OFFERED": "offered",
    "HOLD_ENDED": "the offer is no longer held",
    "DEADLINE_PASSED": "it is too late to send it",
}


def reason_name(reason: int) -> str:
    """Return a reason's short name, such as CAP_REACHED; an unknown number as it is."""
    try:
        return reason_pb2.Reason.Name(reason_pb2.Reason.ValueType(reason)).removeprefix("REASON_")
    except ValueError:
        return str(reason)


def reason_words(reason: int) -> str:
    """Return a reason in plain words, with its name."""
    name = reason_name(reason)
    return f"{REASONS[name]} ({name})" if name in REASONS else name


def stage_name(stage: int) -> str:
    """Return a stage's short name in small letters."""
    try:
        return reason_pb2.Stage.Name(reason_pb2.Stage.ValueType(stage)).removeprefix("STAGE_").lower()
    except ValueError:
        return str(stage)


def instant_words(stamp: Timestamp, zone: tzinfo | None = None) -> str:
    """Return an instant on the wall clock of `zone` (None: this machine's)."""
    moment = datetime.fromtimestamp(stamp.seconds + stamp.nanos / 1e9, tz=zone).astimezone(zone)
    return moment.strftime("%a %Y-%m-%d %H:%M:%S %Z")
