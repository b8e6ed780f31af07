"""A campaign's condition in CEL, asked about one subscriber, one trigger and one instant."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.oracle.cel import ERROR, UNKNOWN, Timestamp, evaluate


@dataclass(frozen=True)
class Facts:
    """What a condition may ask about. Missing attributes and fields are absent."""

    labels: dict[str, str]
    """true, false or unknown"""
    attributes: dict[str, Any]
    """Instants as Timestamps."""
    zone: str | None
    now_us: int
    trigger_us: int | None
    fields: dict[str, Any]


def truth(condition: str, facts: Facts) -> str:
    """`true`, `false`, `unknown` or `error`."""
    labels = {name: {"true": True, "unknown": None}[value] for name, value in facts.labels.items() if value != "false"}
    result = evaluate(condition, names(facts), labels)
    if result is UNKNOWN or result is ERROR:
        return "unknown" if result is UNKNOWN else "error"
    return "true" if result else "false"


def names(facts: Facts) -> dict[str, Any]:
    """The values by the names that conditions use; None is missing."""
    return {
        "now": Timestamp(facts.now_us * 1000),
        "subscriber.zone": facts.zone,
        "trigger.time": None if facts.trigger_us is None else Timestamp(facts.trigger_us * 1000),
        **{f"subscriber.{name}": plain(value) for name, value in facts.attributes.items()},
        **{f"trigger.{name}": value for name, value in facts.fields.items()},
    }


def plain(value: Any) -> Any:
    """A decimal is compared as the double nearest to it."""
    return float(value) if isinstance(value, Decimal) else value
