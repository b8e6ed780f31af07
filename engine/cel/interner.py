"""Numbers for the strings of text tables: known ones when bound, those of trigger fields as they arrive.

    numbers: | table of function 0: one row a code of its slot | table of function 1 | ...

A dynamic slot's tables have `rows` reserved rows each. `intern` gives a new string the slot's next code and fills that row of every table of
the slot, so the kernel has one mechanism: numbers[base + code]. Codes hold until the next `reset_if_needed`, that is, for one batch.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from engine.breathing import breathe
from engine.cel.texts import TextConstant, TextFunction, TextValue, evaluate_text


class Pool:
    """Texts by number: those known when bound in the order of code points, then new ones as they come."""

    def __init__(self, known: set[str]) -> None:
        self.texts = sorted(known)
        self.known_count = len(self.texts)
        self.numbers = {text: number for number, text in enumerate(self.texts)}

    def number(self, text: str) -> int:
        """Return the text's number, a new one when it is new."""
        number = self.numbers.get(text)
        if number is None:
            number = self.numbers[text] = len(self.texts)
            self.texts.append(text)
        return number

    def forget(self) -> None:
        """Drop what came after binding."""
        for text in self.texts[self.known_count :]:
            del self.numbers[text]
        del self.texts[self.known_count :]


class Interner:
    """Codes for the strings of dynamic slots; owned by the thread that fills batches."""

    def __init__(self, pool: Pool, numbers: npt.NDArray[np.int32], rows: int) -> None:
        self._pool = pool
        self._numbers = numbers
        self._rows = rows
        self._tables: dict[int, list[tuple[TextFunction, int]]] = {}
        self._codes: dict[int, dict[str, int]] = {}

    def add(self, slot: int, function: TextFunction, base: int) -> None:
        """Note that the table at `base` holds `function` for dynamic slot `slot`."""
        self._tables.setdefault(slot, []).append((function, base))

    def asks(self, slot: int) -> bool:
        """Return whether some condition asks for the dynamic slot's strings: the code of any other is 0."""
        return slot in self._tables

    def reset_if_needed(self, batch_items: int) -> bool:
        """Forget every code when a slot may lack rows for a batch of `batch_items`, and return whether it did; call it before filling one, never within."""
        assert batch_items <= self._rows, "rows of dynamic slots are reserved for the largest batch"
        if self._codes and any(len(codes) + batch_items > self._rows for codes in self._codes.values()):
            self._codes.clear()
            self._pool.forget()
            return True
        return False

    def intern(self, slot: int, text: str) -> int:
        """Return the code of `text` in dynamic slot `slot` (a Schema.slots index): what View.values holds. 0 when no condition asks for it."""
        tables = self._tables.get(slot)
        if tables is None:
            return 0
        codes = self._codes.setdefault(slot, {})
        code = codes.get(text)
        if code is None:
            code = len(codes)
            assert code < self._rows, "reset_if_needed was not called before this batch"
            for function, base in tables:
                self._numbers[base + code] = number_of(function, text, self._pool)
            codes[text] = code
        return code


def number_of(function: TextFunction, text: str, pool: Pool) -> int:
    """Return what a text table holds for `text`: 0 or 1 for a test, a size, or the number of a string."""
    value = evaluate_text(function.tree, text)
    return pool.number(value) if isinstance(value, str) else int(value)


def gives_text(function: TextFunction) -> bool:
    """Return whether a function's result is a string."""
    tree = function.tree
    return isinstance(tree, TextValue | TextConstant) or tree.function == "_+_"


def known_texts(functions: Sequence[TextFunction], dictionaries: Mapping[int, Sequence[str]]) -> set[str]:
    """Return every string that the functions give over the dictionaries that are known."""
    found: set[str] = set()
    for function in functions:
        if gives_text(function):
            for text in dictionaries.get(function.slot, ()):
                found.add(str(evaluate_text(function.tree, text)))
                breathe()
    return found
