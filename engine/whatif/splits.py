"""How a scan divides subscribers: by a label, by an attribute's values or ranges, by zone."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.base.binding import Binding
from engine.base.schema import AttributeSpec
from engine.base.values import encode_value
from engine.catalogue.terms import ValueType
from engine.cel.literals import parse_double, parse_duration, parse_timestamp
from engine.cel.values import duration_text, timestamp_text
from engine.dtypes.tally import DOUBLE_RANGES, LABEL, RANGES, SPLIT, VALUES, ZONE, Splits
from engine.dtypes.view import new_view
from engine.jit import frozen
from engine.kernels.cel_number import double_of_bits, double_order
from engine.limits import BATCH_ITEMS_MAX
from engine.whatif.question import QuestionError, known

OPTION: Final = "--segment"
VALUES_MAX: Final = 32
"""Values of one attribute that are told apart; the rest is one segment."""
_SECOND_NS: Final = 1_000_000_000
_DAYS: Final = re.compile(r"(\d+)d(.*)")


@dataclass(frozen=True, slots=True)
class Split:
    """One way to divide subscribers: SPLIT's kind, `at` and list, and the segments' names, the last that of those who are not known."""

    name: str
    kind: int
    at: int
    names: tuple[str, ...]
    numbers: tuple[int, ...] = ()
    """RANGES: cuts. VALUES: by code, its segment."""
    hidden: tuple[int, ...] = ()
    """Segments that nobody can be in."""


def splits_of(texts: Sequence[str], binding: Binding, at_us: int) -> list[Split]:
    """Return the splits that the texts ask for, each `NAME` or `NAME=VALUE,...`; raises QuestionError.

    NAME is a label, an attribute or `zone`; `label:NAME` and `attribute:NAME` where both have it. VALUES are the values of a string that are told apart, or,
    of what is ordered, the least values of the ranges after the first. Without them: the values that are there, or quarters, as the first rows tell.
    """
    return [_split(text, binding, at_us) for text in texts]


def _split(text: str, binding: Binding, at_us: int) -> Split:
    given, equals, listed = text.partition("=")
    values = listed.split(",") if equals else []
    kind, _, name = given.rpartition(":")
    labels = {label.id: bit for label, bit in zip(binding.schema.labels, binding.label_bits.tolist(), strict=True)}
    slots = {attribute.id: slot for slot, attribute in enumerate(binding.schema.attributes)}
    if kind not in ("", "label", "attribute"):
        raise QuestionError(OPTION, f"expected NAME, label:NAME or attribute:NAME, was {given!r}")
    if name == "zone" and not kind:
        return Split(name, ZONE, 0, (*binding.zone_names, "unknown"))
    if name in labels and kind != "attribute":
        if equals:
            raise QuestionError(OPTION, f"{name} is a label, which has no values: expected {name} alone, was {text!r}")
        return Split(name, LABEL, labels[name], ("has", "has not", "unknown"))
    names = labels if kind == "label" else slots if kind == "attribute" else {**labels, **slots, "zone": 0}
    slot = slots[known(OPTION, f"{kind or 'label or attribute'}", name, names)]
    attribute = binding.schema.attributes[slot]
    if attribute.type == ValueType.BOOL:
        return Split(name, VALUES, slot, ("false", "true", "other", "unknown"), (0, 1), (2,))
    if attribute.type == ValueType.STRING:
        return _by_text(name, slot, values or _common(binding, slot, at_us), binding.dictionaries[slot])
    return _by_range(attribute, slot, values, binding, at_us)


def _by_text(name: str, slot: int, values: Sequence[str], dictionary: Sequence[str]) -> Split:
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    segments = tuple(numbers.get(text, len(numbers)) for text in dictionary)
    hidden = () if len(numbers) in segments else (len(numbers),)
    return Split(name, VALUES, slot, (*numbers, "other", "unknown"), segments, hidden)


def _by_range(attribute: AttributeSpec, slot: int, values: Sequence[str], binding: Binding, at_us: int) -> Split:
    doubles = attribute.type == ValueType.DOUBLE
    given = [_encoded(attribute, value) for value in values]
    cuts = given or _quarters(_sampled(binding, slot, at_us), doubles)
    keys = [int(double_order(cut)) if doubles else cut for cut in cuts]
    if sorted(set(keys)) != keys:
        raise QuestionError(OPTION, f"{attribute.id}: expected values in rising order, was {','.join(values)!r}")
    shown = [_shown(attribute, cut) for cut in cuts]
    names = ["all"]
    if shown:
        between = [f"{low} to < {high}" for low, high in pairwise(shown)]
        names = [f"< {shown[0]}", *between, f">= {shown[-1]}"]
    return Split(attribute.id, DOUBLE_RANGES if doubles else RANGES, slot, (*names, "unknown"), tuple(keys))


def _encoded(attribute: AttributeSpec, text: str) -> int:
    """Return a cut as views hold it; instants and durations in whole seconds."""
    try:
        if attribute.type == ValueType.TIMESTAMP:
            seconds, nanos = parse_timestamp(text)
        elif attribute.type == ValueType.DURATION:
            seconds, nanos = divmod(duration_ns(text), _SECOND_NS)
        elif attribute.type == ValueType.DOUBLE:
            return encode_value(attribute, parse_double(text))
        elif attribute.type == ValueType.DECIMAL:
            return encode_value(attribute, Decimal(text))
        else:
            return int(text)
    except (ValueError, InvalidOperation):
        raise QuestionError(OPTION, f"{attribute.id}: expected a {attribute.type}, was {text!r}") from None
    if nanos:
        raise QuestionError(OPTION, f"{attribute.id}: expected whole seconds, was {text!r}")
    return seconds


def duration_ns(text: str) -> int:
    """Return the nanoseconds of a duration as conditions write it, or with days before it; raises ValueError."""
    days = _DAYS.fullmatch(text)
    if days is None:
        return parse_duration(text)
    return int(days[1]) * 86_400 * _SECOND_NS + (parse_duration(days[2]) if days[2] else 0)


def _shown(attribute: AttributeSpec, cut: int) -> str:
    if attribute.type == ValueType.TIMESTAMP:
        return timestamp_text(cut, 0)
    if attribute.type == ValueType.DURATION:
        return duration_text(cut * _SECOND_NS)
    if attribute.type == ValueType.DOUBLE:
        return f"{double_of_bits(cut):g}"
    return str(Decimal(cut).scaleb(-attribute.scale))


def _sampled(binding: Binding, slot: int, at_us: int) -> npt.NDArray[np.int64]:
    """Return the values of the slot that the first subscribers have; they stand in order of a hash."""
    count = min(len(binding.snapshot.rows.hashes), BATCH_ITEMS_MAX)
    view = new_view(max(count, 1), binding.label_words, len(binding.schema.attributes))
    binding.gather(binding.snapshot.rows.hashes[:count], np.full(count, at_us), view, 0, count)
    values: npt.NDArray[np.int64] = view.values[:count, slot][view.known[:count, slot] != 0]
    return values


def _quarters(values: npt.NDArray[np.int64], doubles: bool) -> list[int]:
    found: Any = values.view(np.float64) if doubles else values
    if not len(found):
        return []
    quarters = np.unique(np.quantile(found, (0.25, 0.5, 0.75), method="lower"))
    return [int(value) for value in quarters.view(np.int64)]


def _common(binding: Binding, slot: int, at_us: int) -> list[str]:
    """Return the strings that are there, the most frequent when there are many."""
    dictionary = binding.dictionaries[slot]
    if len(dictionary) <= VALUES_MAX:
        return dictionary
    seen = np.bincount(_sampled(binding, slot, at_us), minlength=len(dictionary))
    codes = np.argsort(-seen, kind="stable")[: VALUES_MAX - 1]
    return [dictionary[code] for code in sorted(codes.tolist())]


def bind_splits(splits: Sequence[Split]) -> tuple[Splits, int]:
    """Return what the kernel reads and writes, and how many segments there are in all."""
    records, lists, first = [], [0], 0
    for split in splits:
        records.append((split.kind, split.at, first, len(split.names), len(lists), len(split.numbers)))
        lists += split.numbers
        first += len(split.names)
    segment = np.zeros((BATCH_ITEMS_MAX, max(1, len(splits))), np.int32)
    return Splits(frozen(np.array(records, SPLIT)), frozen(np.array(lists, np.int64)), segment), max(1, first)
