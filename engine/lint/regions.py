"""What is surely so of a subscriber and a request when a condition is true: a region that holds every match, and perhaps more.

    labels that are there | labels that are not | slots that are known, and not | values of a slot as intervals | tests of a string | programs

A condition matches when each of its terms is true, so its region is what the terms say together. Simple terms are said exactly; of a program, only
that it is true. So a region that is empty proves that the condition never matches, and a term that follows from a region is true at every match.
Values lie within their attribute's declared range: bases reject what does not, and so do live changes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from engine.catalogue.model import INT64_MAX, INT64_MIN, Catalogue
from engine.catalogue.terms import ValueType
from engine.cel.conditions import Condition, Term
from engine.cel.schema import SlotType
from engine.dtypes import operation as op
from engine.dtypes.condition import (
    FIXED,
    KNOWN,
    LABELS_ALL,
    LABELS_NONE,
    PROGRAM,
    RANGE,
    RANGE_DOUBLE,
    RANGE_TEXT,
    TRUE,
)
from engine.lint.intervals import EVERYTHING, NOTHING, Intervals, complement, intersection, interval, is_subset
from engine.lint.text_facts import TextFact, are_contradictory, possible_texts, text_fact
from engine.rulebook import Rulebook

BOOLS: Final = interval(0, 1)

Step = tuple[object, ...]
Program = tuple[Step, ...]
"""Instructions with what they refer to in place of its number, so that equal programs of different conditions are equal."""


@dataclass(slots=True)
class Region:
    """The region of some terms of a condition."""

    has: int = 0
    """Labels that are present and fresh: a bit for each index into Schema.labels."""
    lacks: int = 0
    """Labels that are absent."""
    known: set[int] = field(default_factory=set)
    """Slots with a value."""
    unknown: set[int] = field(default_factory=set)
    values: dict[int, Intervals] = field(default_factory=dict)
    """By slot, within its declared range; doubles in the order of double_order."""
    texts: dict[int, list[TextFact]] = field(default_factory=dict)
    programs: set[Program] = field(default_factory=set)
    never: bool = False
    """A term is false as it stands."""


class Regions:
    """Makes regions of a rulebook's conditions, and tells what follows from them."""

    def __init__(self, rulebook: Rulebook) -> None:
        self.rulebook = rulebook
        self.declared = declared_ranges(rulebook.catalogue)
        self.bounds = dict(self.declared)
        for index, slot in enumerate(rulebook.schema.slots):
            if slot.type == SlotType.BOOL:
                self.bounds[index] = BOOLS

    def of(self, condition: Condition, terms: Iterable[Term] | None = None) -> Region:
        """Return the region of a condition, or of some of its terms."""
        region = Region()
        for term in condition.terms if terms is None else terms:
            self._add(region, condition, term)
        return region

    def _add(self, region: Region, condition: Condition, term: Term) -> None:
        if term.kind == LABELS_ALL:
            region.has |= mask_of(term)
        elif term.kind == LABELS_NONE:
            region.lacks |= mask_of(term)
        elif term.kind == FIXED:
            region.never = region.never or term.low != TRUE
        elif term.kind == PROGRAM:
            region.programs.add(program_of(condition, term))
        elif term.kind == KNOWN and term.negated:
            region.unknown.add(term.slot)
        else:
            region.known.add(term.slot)
            if term.kind in (RANGE, RANGE_DOUBLE):
                before = region.values.get(term.slot, self.bounds.get(term.slot, EVERYTHING))
                region.values[term.slot] = intersection(before, values_of(term))
            elif term.kind == RANGE_TEXT:
                region.texts.setdefault(term.slot, []).append(text_fact(condition, term))

    def is_empty(self, region: Region) -> bool:
        """Return whether surely nothing lies in the region."""
        return bool(
            region.never
            or region.has & region.lacks
            or region.known & region.unknown
            or NOTHING in region.values.values()
            or any(are_contradictory(facts) for facts in region.texts.values())
        )

    def follows(self, region: Region, condition: Condition, term: Term) -> bool:
        """Return whether a term, of any condition of the rulebook, is surely true everywhere in the region."""
        if term.kind == LABELS_ALL:
            return mask_of(term) & ~region.has == 0
        if term.kind == LABELS_NONE:
            return mask_of(term) & ~region.lacks == 0
        if term.kind == FIXED:
            return term.low == TRUE
        if term.kind == PROGRAM:
            return program_of(condition, term) in region.programs
        if term.kind == KNOWN:
            return term.slot in (region.unknown if term.negated else region.known)
        if term.slot not in region.known:
            return False
        if term.kind == RANGE_TEXT:
            fact, facts = text_fact(condition, term), region.texts.get(term.slot, [])
            texts = possible_texts(facts)
            return fact in facts or (texts is not None and all(fact.holds(text) for text in texts))
        values = region.values.get(term.slot, self.bounds.get(term.slot, EVERYTHING))
        return is_subset(values, values_of(term))

    def implies(self, region: Region, condition: Condition) -> bool:
        """Return whether a condition is surely true everywhere in the region."""
        return all(self.follows(region, condition, term) for term in condition.terms)


def declared_ranges(catalogue: Catalogue) -> dict[int, Intervals]:
    """Return the values that int and decimal attributes declare, by slot; only of those that leave some out."""
    return {
        slot: interval(attribute.min, attribute.max)
        for slot, attribute in enumerate(catalogue.attributes)
        if attribute.type in (ValueType.INT, ValueType.DECIMAL)
        and (attribute.min, attribute.max) != (INT64_MIN, INT64_MAX)
    }


def mask_of(term: Term) -> int:
    """Return the labels of a term, a bit for each index."""
    return sum(1 << label for label in set(term.labels))


def values_of(term: Term) -> Intervals:
    """Return the values of which a range is true."""
    inside = interval(term.low, term.high)
    return complement(inside) if term.negated else inside


def program_of(condition: Condition, term: Term) -> Program:
    """Return a program's instructions with what they refer to."""
    return tuple(_step(condition, *condition.code[at]) for at in range(term.first, term.first + term.count))


def _step(condition: Condition, operation: int, a: int, b: int, name: int) -> Step:
    if operation == op.PUSH:
        return operation, condition.texts[a] if b else condition.constants[a]
    if operation == op.LOAD_DECIMAL:
        return operation, a, condition.constants[b]
    if operation == op.LOAD_TEXT:
        return operation, a, condition.functions[b]
    if operation == op.INSTANT_PART and b >= 0:
        return operation, a, condition.zones[b]
    del name  # which bit stands for an unknown value, numbered in each condition by itself
    return operation, a, b
