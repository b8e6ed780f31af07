"""Rules of five terms, three labels and two ranges, drawn from a seed: what catalogues' conditions and the rivals' rules are written from."""

from functools import cache
from typing import Final, NamedTuple

import numpy as np

from bench.worlds import label_shares, schema
from engine.catalogue.terms import ValueType

COMMON: Final = 0.2
"""Share from which on a rule asks for a label; it asks that rarer ones are absent."""
_WIDTH: Final = 0.5
"""Share of the subscribers within a range, if their value is known."""


class LabelTerm(NamedTuple):
    """The subscriber has the label, or must not have it."""

    label: str
    wanted: bool


class RangeTerm(NamedTuple):
    """low <= attribute <= high, in units of 10**-scale."""

    attribute: str
    scale: int
    low: int
    high: int


class Rule(NamedTuple):
    """All of its terms hold."""

    labels: tuple[LabelTerm, ...]
    ranges: tuple[RangeTerm, ...]

    def cel(self) -> str:
        """Return the rule as a campaign's condition."""
        terms = [
            f'{"" if term.wanted else "!("}"{term.label}" in subscriber.labels{"" if term.wanted else ")"}'
            for term in self.labels
        ]
        for term in self.ranges:
            name = f"subscriber.{term.attribute}"
            terms.append(f"{name} >= {_literal(term.low, term.scale)} && {name} <= {_literal(term.high, term.scale)}")
        return " && ".join(terms)


def _literal(value: int, scale: int) -> str:
    return str(value) if scale == 0 else f"{value / 10**scale:.{scale}f}"


def rules(count: int, seed: int, *, ageing: bool = True) -> list[Rule]:
    """Return rules of one to two common labels, one to two absent ones, and two ranges that each hold for about half of the subscribers.

    Unless `ageing`, labels are asked about that do not age: the worlds' base is of a fixed day, so under today's clock the others are unknown.
    """
    rng = np.random.default_rng([seed, 5])
    common, rare = _labels(ageing)
    columns = [a for a in schema().attributes if a.type in (ValueType.INT, ValueType.DECIMAL)]
    made = []
    for _ in range(count):
        asked = int(rng.integers(1, 3))
        labels = [LabelTerm(str(name), True) for name in rng.choice(common, asked, replace=False)]
        labels += [LabelTerm(str(name), False) for name in rng.choice(rare, 3 - asked, replace=False)]
        chosen = rng.choice(len(columns), 2, replace=False)
        made.append(Rule(tuple(labels), tuple(_range(rng, int(place)) for place in chosen)))
    return made


@cache
def static_labels() -> frozenset[str]:
    """Return the labels that do not age."""
    return frozenset(label.id for label in schema().labels if label.max_age_us is None)


def broad_rules(count: int, seed: int) -> list[Rule]:
    """Return rules of five terms that hold for four in five subscribers: rare labels absent, ranges that only a missing value fails."""
    rng = np.random.default_rng([seed, 6])
    rarest = sorted(static_labels() & label_shares().keys(), key=label_shares().__getitem__)[:20]
    columns = [a for a in schema().attributes if a.type in (ValueType.INT, ValueType.DECIMAL)]
    made = []
    for _ in range(count):
        labels = tuple(LabelTerm(str(name), False) for name in rng.choice(rarest, 3, replace=False))
        chosen = [columns[int(place)] for place in rng.choice(len(columns), 2, replace=False)]
        made.append(Rule(labels, tuple(RangeTerm(a.id, a.scale, a.min, a.max) for a in chosen)))
    return made


def _labels(ageing: bool) -> tuple[list[str], list[str]]:
    shares = {name: share for name, share in label_shares().items() if ageing or name in static_labels()}
    return [n for n, share in shares.items() if share >= COMMON], [n for n, share in shares.items() if share < COMMON]


def _range(rng: np.random.Generator, place: int) -> RangeTerm:
    """Return a range of a column; values are the cube of a uniform share of their span (see bench.worlds)."""
    attribute = [a for a in schema().attributes if a.type in (ValueType.INT, ValueType.DECIMAL)][place]
    first = rng.uniform(0, 1 - _WIDTH)
    step = 25 if attribute.scale else 1
    low, high = (
        (attribute.min + int(share**3 * (attribute.max + 1 - attribute.min))) // step * step
        for share in (first, first + _WIDTH)
    )
    return RangeTerm(attribute.id, attribute.scale, max(low, attribute.min), min(high, attribute.max))
