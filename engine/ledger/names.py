"""The ledger's own name table: stable 16-bit codes of ids, in order of first use, and the totals' slot of each entity.

Contacts outlive rulebooks, so they name offers by these codes and not by a rulebook's row. A code is never taken back.
"""

from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from engine.limits import CODES_MAX

Kind = Literal["offer", "campaign", "category", "channel"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
TOTALLED: Final[tuple[Kind, ...]] = ("offer", "campaign", "category")
"""The kinds that have totals, in the order of the rows of `slot_of`."""


class LedgerFullError(Exception):
    """A bound of the ledger is reached; nothing was changed."""


class Names:
    """Codes 1, 2, ... by kind, at most `codes_max` each; 0 is no code."""

    def __init__(self, codes_max: int = CODES_MAX) -> None:
        assert 0 < codes_max <= CODES_MAX
        self._codes_max = codes_max
        self._codes: dict[Kind, dict[str, int]] = {kind: {} for kind in KINDS}
        self._ids: dict[Kind, list[str]] = {kind: [] for kind in KINDS}
        self._slot_of = np.full((len(TOTALLED), 64), -1, np.int32)
        self.codes_ahead = 0
        """How many codes beyond those here a contact may have: of names that another replica gave codes to while a rulebook is in use here."""
        self.slot_count = 0
        """How many total slots are given out: 0 to slot_count - 1."""

    @property
    def slot_of(self) -> npt.NDArray[np.int32]:
        """(TOTALLED, codes) int32: the total slot of each code, -1 where there is none; replaced when it grows."""
        return self._slot_of

    def code(self, kind: Kind, name: str) -> int:
        """Return the code of this id, a new one if it was never met; raises LedgerFullError when all codes are taken."""
        codes = self._codes[kind]
        known = codes.get(name)
        if known is not None:
            return known
        if len(codes) == self._codes_max:
            raise LedgerFullError(
                f"ledger names: expected at most {self._codes_max} different {kind} ids over the ledger's life, "
                f"{name!r} would be one more; start a new ledger, or reuse ids"
            )
        code = len(codes) + 1
        codes[name] = code
        self._ids[kind].append(name)
        if kind in TOTALLED:
            self._give_slot(TOTALLED.index(kind), code)
        return code

    def has(self, kind: Kind, name: str) -> bool:
        """Return whether this id has a code."""
        return name in self._codes[kind]

    def name(self, kind: Kind, code: int) -> str:
        """Return the id of a code; raises IndexError when no such code was given."""
        if code < 1:
            raise IndexError(f"{kind} code: expected 1 to {len(self._ids[kind])}, was {code}")
        return self._ids[kind][code - 1]

    def given(self) -> list[tuple[Kind, str]]:
        """Return all (kind, id) in an order that gives new Names the same codes and slots."""
        slots = {
            self.total_slot(kind, code): (kind, name)
            for kind in TOTALLED
            for code, name in enumerate(self._ids[kind], 1)
        }
        others: list[tuple[Kind, str]] = [
            (kind, name) for kind in KINDS if kind not in TOTALLED for name in self._ids[kind]
        ]
        return [slots[slot] for slot in range(self.slot_count)] + others

    def count(self, kind: Kind) -> int:
        """Return how many codes of this kind are given out."""
        return len(self._codes[kind])

    def total_slot(self, kind: Kind, code: int) -> int:
        """Return the slot of an offer, campaign or category in the totals."""
        slot = int(self._slot_of[TOTALLED.index(kind), code])
        assert slot >= 0, (kind, code)
        return slot

    def _give_slot(self, row: int, code: int) -> None:
        if code >= self._slot_of.shape[1]:
            grown = np.full((len(TOTALLED), 2 * self._slot_of.shape[1]), -1, np.int32)
            grown[:, : self._slot_of.shape[1]] = self._slot_of
            self._slot_of = grown
        self._slot_of[row, code] = self.slot_count
        self.slot_count += 1
