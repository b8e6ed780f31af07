"""What a scan is asked, and how a question that makes no sense is refused."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

from engine.limits import OFFERS_PER_ANSWER_MAX

ROUNDS_MAX = 20
"""Rounds of at most OFFERS_PER_ANSWER_MAX offers fit into what the ledger keeps of one subscriber."""


class QuestionError(Exception):
    """A part of the question is wrong; `option` is the part, as the command names it."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Whom and what a scan looks at."""

    at_us: int
    """The instant of every decision."""
    triggers: tuple[str, ...] = ()
    """Ids; empty: all that have a candidate."""
    channels: tuple[str, ...] = ()
    offers_max: int = OFFERS_PER_ANSWER_MAX
    """Most offers of a request; the channel's own limit applies as well."""
    fields: dict[str, str] = field(default_factory=dict)
    """Trigger fields as texts, by name; those that are not given are unknown."""
    segments: tuple[str, ...] = ()
    """engine.whatif.splits.split_of"""
    sample: int | None = None
    """Look only at so many subscribers: the first by hash."""
    rounds: int = 1
    """How often each subscriber has each trigger; more than once with holds."""
    starved_share: float = 0.01
    """An offer is starved when it is chosen for a smaller share of those whom it reaches, or for nobody."""


def known(option: str, kind: str, name: str, names: Iterable[str]) -> str:
    """Return the name; raises QuestionError when it is none of these."""
    names = sorted(names)
    if name in names:
        return name
    near = get_close_matches(name, names, 1)
    there = f"did you mean {near[0]}?" if near else f"there are {', '.join(names[:20])}" if names else "there is none"
    raise QuestionError(option, f"expected a {kind} of the catalogue, was {name!r}; {there}")
