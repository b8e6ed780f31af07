"""Lays a list of conditions out to be evaluated across items (engine.dtypes.across)."""

from math import ceil
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.bits import words_of
from engine.breathing import breathe
from engine.dtypes.across import BLOCK_ITEMS, BLOCK_MATCHER, COMPARED_MAX, HELD_AT, NEVER, SCALE
from engine.dtypes.condition import FIXED, KNOWN, PROGRAM
from engine.matching_terms import Bools, Layout, Terms

Ints = npt.NDArray[np.int64]
_AND, _WITHOUT, _UNKNOWN = 0, 1, 2
"""Sorts of operands, in the order in which a condition has them."""
_INT64: Final = np.iinfo(np.int64)


class BlockCosts(NamedTuple):
    """What evaluating across items takes, in nanoseconds of the reference machine; `make micro` measures them, and only their ratios matter."""

    label_word: float = 60.0
    """To turn the labels of a word to bytes; for a block, as all but the last."""
    label: float = 4.0
    """To take a label that is asked about from them."""
    compared: float = 3.5
    """To compare all values with one cut."""
    ranked: float = 250.0
    """To rank all values among many cuts."""
    cut: float = 1.0
    """To spread the items over one of those cuts."""
    operand: float = 0.55
    """To join one operand of a condition."""
    position_word: float = 160.0
    """To turn 64 positions back to a word for each item."""
    value: float = 3.0
    """To read one item's value of a slot."""


def add_across(layout: Layout, terms: Terms, ageing: Bools, alone_ns: float) -> None:
    """Add the list, to be evaluated so when a block has items enough.

    `ageing`: (64 * label words,), the labels that may be past their age. `alone_ns`: what the list takes for one item by itself.
    """
    used = terms.used
    operands = _Operands(layout, HELD_AT + 3 * 64 * len(used))
    operands.add_labels(terms, ageing, used)
    scale_at = len(layout.scales)
    for key, of_key in terms.columns():
        operands.add_scale(key, terms.owner[of_key], terms.rows[of_key])
    shapes, place, flat = operands.by_shape(terms.count)
    whole = np.unique(terms.owner[terms.of(PROGRAM, FIXED)])
    pairs = np.array(operands.derived, np.int64).reshape(-1, 2)
    asked = np.count_nonzero((terms.needed | terms.forbidden).any(axis=1))
    labels_ns = BlockCosts().label_word * len(used) + BlockCosts().label * asked
    record = {
        "from_items": _from_items(
            np.array(layout.scales[scale_at:], SCALE), labels_ns, len(flat), words_of(terms.count), alone_ns
        ),
        "operands": operands.end + len(pairs),
        "label_word_at": layout.add_numbers(used),
        "label_words": len(used),
        "asked_at": _asked_labels(layout, terms, used),
        "scale_at": scale_at,
        "scales": len(layout.scales) - scale_at,
        "derived_at": operands.end,
        "derived": len(pairs),
        "pair_at": layout.add_numbers(pairs.ravel()),
        "shape_at": layout.add_numbers(shapes.ravel()),
        "shapes": len(shapes),
        "place_at": layout.add_numbers(place),
        "operand_at": layout.add_numbers(flat),
        "whole_at": layout.add_numbers(whole),
        "whole": len(whole),
    }
    assert BLOCK_MATCHER.names is not None
    layout.across.append(tuple(record[name] for name in BLOCK_MATCHER.names))


def _from_items(scales: npt.NDArray[np.void], labels_ns: float, operands: int, words: int, alone_ns: float) -> int:
    """Return from how many items of a block on the list costs less across them than one by one."""
    costs, compared = BlockCosts(), scales["rank_at"] < 0
    cuts = scales["lows"] + scales["highs"]
    block_ns = labels_ns + costs.operand * operands + costs.position_word * words
    block_ns += float(np.where(compared, costs.compared * cuts, costs.ranked + costs.cut * cuts).sum())
    saved_ns = alone_ns - costs.value * len(scales)
    return max(1, ceil(min(block_ns / saved_ns, NEVER))) if saved_ns > 0 else NEVER


def _asked_labels(layout: Layout, terms: Terms, used: Ints) -> int:
    """Add the labels that conditions ask about, by label word, as bits of their word; return where the starts of each word's are."""
    word, bit = np.nonzero((terms.needed | terms.forbidden).any(axis=1).reshape(-1, 64)[used])
    return layout.add_numbers(np.searchsorted(word, np.arange(len(used) + 1)) + layout.add_numbers(bit))


class _Operands:
    """The operands of a list, and which conditions have them."""

    def __init__(self, layout: Layout, end: int) -> None:
        self._layout = layout
        self._owner: list[Ints] = []
        self._sort: list[Ints] = []
        self._number: list[Ints] = []
        self.end = end
        self.derived: list[tuple[int, int]] = []
        """Pairs of operands; the derived ones are numbered from -1 downwards until `end` is known."""

    def _add(self, owner: Ints, sort: int, number: Ints | int) -> None:
        self._owner.append(owner)
        self._sort.append(np.full(len(owner), sort))
        self._number.append(np.broadcast_to(np.asarray(number, np.int64), owner.shape))
        breathe()

    def add_labels(self, terms: Terms, ageing: Bools, used: Ints) -> None:
        """Add the labels of the label words `used`."""
        place = np.full(len(terms.density) // 64, -1, np.int64)
        place[used] = np.arange(len(used))
        for (label, owner), sort, part in ((terms.needed_at, _AND, 0), (terms.forbidden_at, _WITHOUT, 1)):
            number = HELD_AT + 64 * place[label >> 6] + (label & 63)
            self._add(owner, sort, number + part * 64 * len(used))
            old = ageing[label]
            self._add(owner[old], _UNKNOWN, number[old] + 2 * 64 * len(used))

    def add_scale(self, key: Any, owner: Ints, rows: npt.NDArray[np.void]) -> None:
        """Add what conditions `owner` ask of one slot with the terms `rows`."""
        negated = rows["negated"] != 0
        unknown = self.end
        self.end += 2
        if key["kind"] == KNOWN:
            self._add(owner[~negated], _AND, unknown + 1)
            self._add(owner[negated], _WITHOUT, unknown + 1)
            self._add_record(key, unknown, *(np.empty(0, np.int64),) * 2)
            return
        low, high = rows["low"], rows["high"]
        from_low, to_high = low > _INT64.min, high < _INT64.max
        after = np.where(to_high, high, 0) + 1
        lows = np.unique(low[from_low & ~negated])
        highs = np.unique(np.concatenate([low[from_low & negated], after[to_high]]))
        low_at, high_at = self._add_record(key, unknown, lows, highs)
        self._add(owner, _UNKNOWN, unknown)
        plain = from_low & ~negated
        self._add(owner[plain], _AND, low_at + 1 + np.searchsorted(lows, low[plain]))
        plain = to_high & ~negated
        self._add(owner[plain], _WITHOUT, high_at + 1 + np.searchsorted(highs, after[plain]))
        for term in np.flatnonzero(negated).tolist():
            first = high_at + 1 + int(np.searchsorted(highs, low[term])) if from_low[term] else unknown + 1
            beyond = high_at + 1 + int(np.searchsorted(highs, after[term])) if to_high[term] else 0
            self.derived.append((first, beyond))
            self._add(owner[term : term + 1], _WITHOUT, -len(self.derived))
            breathe()

    def _add_record(self, key: Any, unknown: int, lows: Ints, highs: Ints) -> tuple[int, int]:
        """Add a SCALE; return where the operands of lows and of highs are."""
        cuts, rank_at = np.concatenate([lows, highs]), -1
        if len(cuts) > COMPARED_MAX:
            cuts = np.unique(cuts)
            starts = np.concatenate([[_INT64.min], cuts])
            ranks = np.stack([np.searchsorted(edges, starts, side="right") for edges in (lows, highs)], axis=1)
            rank_at = self._layout.add_numbers(ranks.ravel())
        low_at, high_at = self.end, self.end + len(lows) + 1
        self.end = high_at + len(highs) + 1
        self._layout.scales.append(
            (
                int(key["base"]), int(key["slot"]), int(key["kind"]), self._layout.add_cuts(cuts), len(cuts),
                rank_at, low_at, len(lows), high_at, len(highs), unknown,
            )
        )  # fmt: skip
        return low_at, high_at

    def by_shape(self, count: int) -> tuple[Ints, Ints, Ints]:
        """Return (shapes, 4): how many conditions, and operands of each sort; the conditions by shape; their operands in that order."""
        owner, sort, number = (np.concatenate(parts) for parts in (self._owner, self._sort, self._number))
        number = np.where(number < 0, self.end - 1 - number, number)
        breathe()
        entries = np.sort((owner * 3 + sort) << 32 | number)
        breathe()
        entries = entries[np.append(True, entries[1:] != entries[:-1])] if len(entries) else entries
        breathe()
        owned, flat = entries >> 32, entries & 0xFFFF_FFFF
        sizes = np.bincount(owned, minlength=3 * count).reshape(count, 3)
        place = np.lexsort(sizes.T[::-1])
        breathe()
        shapes, conditions = np.unique(sizes[place], axis=0, return_counts=True)
        breathe()
        rank = np.empty(count, np.int64)
        rank[place] = np.arange(count)
        flat = flat[np.argsort(rank[owned // 3], kind="stable")]
        return np.column_stack([conditions, shapes]), place, flat


assert BLOCK_ITEMS == 64
