"""What is known of a subscriber: what the base says, and what was said live over it."""

from copy import copy
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.catalogue import Catalogue, Label

Pair = tuple[str, str]
"""(purpose, channel)"""


@dataclass
class Subscriber:
    hash: int
    zone: str | None = None
    labels: dict[str, int] = field(default_factory=dict)
    """When each present label was set."""
    attributes: dict[str, Any] = field(default_factory=dict)
    """A missing value is absent."""
    granted: set[Pair] = field(default_factory=set)
    refused: set[Pair] = field(default_factory=set)
    """A refusal wins over a grant of the same source; what is said live replaces both."""
    language: str | None = None

    def grant(self, pair: Pair) -> None:
        self.granted.add(pair)
        self.refused.discard(pair)

    def refuse(self, pair: Pair) -> None:
        self.refused.add(pair)
        self.granted.discard(pair)

    def label_truths(self, catalogue: Catalogue, now_us: int) -> dict[str, str]:
        """Every label of the catalogue: true, false or unknown."""
        return {label.id: self.label_truth(label, now_us) for label in catalogue.labels.values()}

    def label_truth(self, label: Label, now_us: int) -> str:
        if label.id not in self.labels:
            return "false"
        fresh = label.max_age_us is None or now_us - self.labels[label.id] <= label.max_age_us
        return "true" if fresh else "unknown"


@dataclass(frozen=True)
class Said:
    """One live change. Its value: of a label, whether it is there; of an attribute, its value or None; of a consent
    pair, `granted`, `refused` or `withdrawn`; of the zone and the language, its name."""

    value: Any
    at_us: int

    @property
    def lasts(self) -> bool:
        """Refusals and withdrawals survive every base."""
        return self.value in ("refused", "withdrawn")


class Live:
    """What was said live of one subscriber, by (kind, name): label, attribute, consent, zone, language."""

    def __init__(self) -> None:
        self.said: dict[tuple[str, Any], Said] = {}

    def say(self, kind: str, name: Any, said: Said) -> None:
        """What is said last holds; but a refusal ends only with a grant that is not older: neither a withdrawal nor an older grant ends it."""
        before = self.said.get((kind, name))
        refused = kind == "consent" and before is not None and before.value == "refused"
        if before is not None and refused:
            older = said.at_us < before.at_us
            if said.value == "withdrawn" or (said.value == "granted" and older):
                return
        self.said[kind, name] = said

    def cover(self, as_of_us: int) -> None:
        """Drop what a base as of this instant covers."""
        self.said = {
            key: said
            for key, said in self.said.items()
            if said.at_us > as_of_us or (key[0] == "consent" and said.lasts)
        }

    def over(self, row: Subscriber, found: bool) -> Subscriber:
        """The row with the live changes over it. Of someone whom the base has not, only consent, zone and language count."""
        person = copy(row)
        person.labels, person.attributes = dict(row.labels), dict(row.attributes)
        person.granted, person.refused = set(row.granted), set(row.refused)
        for (kind, name), said in self.said.items():
            if kind in ("zone", "language"):
                setattr(person, kind, said.value)
            elif kind == "consent":
                say_consent(person, name, said.value)
            elif found:
                say_value(person, kind, name, said)
        return person


def say_consent(person: Subscriber, pair: Pair, said: str) -> None:
    if said == "granted":
        person.grant(pair)
    elif said == "refused":
        person.refuse(pair)
    else:
        person.granted.discard(pair)


def say_value(person: Subscriber, kind: str, name: str, said: Said) -> None:
    """A label set or taken away, an attribute's value set or cleared."""
    values: dict[str, Any] = person.labels if kind == "label" else person.attributes
    if said.value is None or (kind == "label" and not said.value):
        values.pop(name, None)
    else:
        values[name] = said.at_us if kind == "label" else said.value
