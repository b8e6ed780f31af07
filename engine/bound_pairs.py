"""The candidates of each (trigger, channel) laid out as engine.dtypes.pairs says. Runs once for each rulebook, never while deciding."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.bits import rows_of_bits, words_of
from engine.breathing import array_of, breathe
from engine.dtypes.pairs import CONTROL, GATE, PAIR, TARGET, Pairs
from engine.dtypes.rules import Rules
from engine.jit import frozen

Ints = npt.NDArray[Any]


class PairLayout(NamedTuple):
    """The pairs, and what else their kernels need made."""

    pairs: Pairs
    conditions: list[tuple[int, ...]]
    """The distinct lists of conditions; PAIR's `matcher` is an index."""
    valid_words: int
    """Words of Work.valid."""


def lay_out_pairs(rules: Rules, positions: Sequence[Ints]) -> PairLayout:
    """Return the layout of the pairs whose candidates `positions` has in rank order, trigger by trigger and channel by channel."""
    layout = _Layout(rules)
    channels = len(rules.channels)
    for number, candidates in enumerate(positions):
        layout.add(np.asarray(candidates, np.int32), number % channels)
    return layout.finished()


class _Layout:
    """The arrays while they grow."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._caps = _OwnCaps(rules)
        self._pairs: list[tuple[int, ...]] = []
        self._gates: list[tuple[int, ...]] = []
        self._controls: list[tuple[int, ...]] = []
        self._targets: list[tuple[int, ...]] = []
        self._candidate: list[Ints] = []
        self._equal_end: list[Ints] = []
        self._condition: list[Ints] = []
        self._places: list[Ints] = []
        self._masks: list[npt.NDArray[np.uint64]] = []
        self._lists: dict[tuple[int, ...], int] = {}
        self._positions = self._places_end = self._masks_end = self._valid_end = 0

    def add(self, candidates: Ints, channel: int) -> None:
        rows = self._rules.candidates[candidates]
        count, words = len(candidates), words_of(len(candidates))
        breathe()
        numbers, k = _numbered(rows["condition"])
        breathe()
        obeys = rows["obeys_caps"] != 0
        gate_at, control_at = len(self._gates), len(self._controls)
        self._add_gates(rows, channel)
        self._add_controls(rows)
        fixed = [
            rows["condition"] < 0,
            rows["anonymous"] != 0,
            obeys,
            obeys & (self._caps.exhausted[candidates] | self._caps.channel_exhausted[channel]),
            obeys & self._caps.in_total[candidates],
        ]
        self._pairs.append(
            (
                *(self._mask(positions) for positions in fixed),
                self._valid_end,
                self._positions,
                count,
                words,
                self._lists.setdefault(tuple(numbers), len(self._lists)),
                self._expansion(k, len(numbers)),
                gate_at,
                len(self._gates) - gate_at,
                control_at,
                len(self._controls) - control_at,
                *self._add_targets(rows["offer"]),
                *self._add_targets(rows["campaign"]),
                *self._add_targets(rows["category"]),
            )
        )
        self._candidate.append(candidates)
        self._equal_end.append(_equal_ends(rows))
        self._condition.append(k)
        self._positions += count
        self._valid_end += words

    def finished(self) -> PairLayout:
        pairs = Pairs(
            pairs=frozen(array_of(self._pairs, PAIR)),
            gates=frozen(array_of(self._gates, GATE)),
            controls=frozen(array_of(self._controls, CONTROL)),
            targets=frozen(array_of(self._targets, TARGET)),
            candidate=frozen(_joined(self._candidate, np.int32)),
            equal_end=frozen(_joined(self._equal_end, np.int32)),
            condition=frozen(_joined(self._condition, np.int32)),
            places=frozen(_joined(self._places, np.int32)),
            masks=frozen(_joined(self._masks, np.uint64)),
        )
        return PairLayout(pairs, list(self._lists), self._valid_end)

    def _mask(self, positions: npt.NDArray[np.bool_]) -> int:
        row = rows_of_bits(positions[None, :])[0]
        at, self._masks_end = self._masks_end, self._masks_end + len(row)
        self._masks.append(row)
        breathe()
        return at

    def _add_gates(self, rows: Any, channel: int) -> None:
        for purpose in np.unique(rows["purpose"]).tolist():
            of_purpose = rows["purpose"] == purpose
            bit = 1 << (purpose * len(self._rules.channels) + channel)
            self._gates.append((bit, self._mask(of_purpose), int(rows["opt_in"][of_purpose][0])))

    def _add_controls(self, rows: Any) -> None:
        has = (rows["control_all"] != 0) | (rows["control_threshold"] != 0)
        for campaign in np.unique(rows["campaign"][has]).tolist():
            of_campaign = rows["campaign"] == campaign
            row = rows[of_campaign][0]
            salt, threshold = int(row["control_salt"]), int(row["control_threshold"])
            self._controls.append((salt, threshold, self._mask(of_campaign), int(row["control_all"])))

    def _add_targets(self, codes: Ints) -> tuple[int, int]:
        at = len(self._targets)
        order = np.argsort(codes, kind="stable")
        values, starts, counts = np.unique(codes[order], return_index=True, return_counts=True)
        first = self._add_places(order)
        self._targets += zip(values.tolist(), (starts + first).tolist(), counts.tolist(), strict=True)
        return at, len(values)

    def _add_places(self, places: Ints) -> int:
        at, self._places_end = self._places_end, self._places_end + len(places)
        self._places.append(places.astype(np.int32))
        breathe()
        return at

    def _expansion(self, k: Ints, conditions: int) -> int:
        """Add which positions each condition is of; -1 when condition k is that of position k alone."""
        if conditions == len(k) and np.array_equal(k, np.arange(len(k))):
            return -1
        order = np.argsort(k, kind="stable")
        order = order[k[order] >= 0]
        starts = np.searchsorted(k[order], np.arange(conditions + 1))
        return self._add_places(np.concatenate([starts + self._places_end + conditions + 1, order]))


class _OwnCaps:
    """What the caps of each candidate and channel say whoever asks: any that allow nothing, any in total."""

    def __init__(self, rules: Rules) -> None:
        limit, cap = rules.instances["limit"], rules.instances["cap"]
        total = rules.caps["total"][cap] != 0
        self.exhausted = _any_entry(rules, rules.candidates, (limit <= 0) & ~total)
        self.in_total = _any_entry(rules, rules.candidates, total)
        self.channel_exhausted = _any_entry(rules, rules.channels, limit <= 0)


def _any_entry(rules: Rules, owners: Any, wanted: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return for each candidate or channel whether any of its entries of cap_of is one of the wanted instances."""
    before = np.concatenate([[0], np.cumsum(wanted[rules.cap_of])])
    start = owners["cap_start"]
    any_entry: npt.NDArray[np.bool_] = before[start + owners["cap_count"]] > before[start]
    return any_entry


def _numbered(conditions: Ints) -> tuple[list[int], Ints]:
    """Return the distinct conditions in order of first use, and for each position the place of its own in that list; -1 for none."""
    numbers = dict.fromkeys(conditions[conditions >= 0].tolist())
    places = {number: k for k, number in enumerate(numbers)}
    return list(numbers), np.array([places.get(number, -1) for number in conditions.tolist()], np.int32)


def _equal_ends(rows: Any) -> Ints:
    """Return for each position the end of the positions of its tier and score."""
    count = len(rows)
    differs = (rows["tier"][1:] != rows["tier"][:-1]) | (rows["score"][1:] != rows["score"][:-1])
    ends = np.append(np.flatnonzero(differs) + 1, count)
    return (
        ends[np.searchsorted(ends, np.arange(count), side="right")].astype(np.int32) if count else np.empty(0, np.int32)
    )


def _joined(parts: list[Any], dtype: Any) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype)
