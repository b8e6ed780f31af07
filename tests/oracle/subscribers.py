"""What is known of a subscriber."""

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
