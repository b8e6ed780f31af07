"""A world made ready to be served: base and rulebook in files, and how its subscribers' keys are made."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.catalogues import question, shelf_of, write_rulebook
from bench.generator import Target
from bench.requests import DECIDE, DECIDE_BATCH, DECIDE_COLUMNS, Keys
from bench.subjects import Subject, touchpoint
from bench.wire import Answer
from bench.worlds import World, built, keys


class Asked(NamedTuple):
    """What every call asks."""

    offers_max: int = 1
    items: int = 0
    """Decisions of a call; 0: it is a Decide call."""
    tables: bool = False
    """Whether several are a table, not a batch."""


class Operator(NamedTuple):
    """What a server of ours serves in a bench."""

    folder: Path
    rulebook: Path
    world: World
    keys: Keys
    offers: int

    def target(self, address: str, kind: Answer, asked: Asked) -> Target:
        """Return what is asked of a server at an address; an empty handler is asked the same."""
        path = (DECIDE_COLUMNS if asked.tables else DECIDE_BATCH) if asked.items else DECIDE
        room = max(16_384, (1_024 if asked.tables else 8_192) * asked.items)
        room = 1 << (room - 1).bit_length()
        return Target(address, path, question(asked.offers_max), self.keys, kind, asked.items, room)

    @contextmanager
    def served(self, decisions_max: int, name: str = "touchpoint", **more: Any) -> Iterator[Subject]:
        """Run our server over it, with room for so many decisions and more settings, under a name that begins with ours."""
        with touchpoint(self.folder, self.parts, decisions_max, name, **more) as subject:
            yield subject

    @property
    def parts(self) -> dict[str, Path]:
        """The settings that say what is served."""
        world = self.world
        return {"rulebook": self.rulebook, "base": world.base, "key_secret_file": world.key_secret_file}


def keys_of(rows: int, seed: int) -> Keys:
    """Return how the world's keys are made."""
    texts = keys(np.arange(3), seed)
    prefix = texts[0][:4]
    first, second, third = (int(text[4:]) for text in texts)
    digits = len(texts[0]) - len(prefix)
    found = Keys(prefix, digits, first, (second - first) % 10**digits, rows)
    assert (third - second) % 10**digits == found.step
    return found


@contextmanager
def operator(rows: int, offers: int, seed: int) -> Iterator[Operator]:
    """Build an operator with so many subscribers and offers; the base is kept for later runs, the rest goes at the end."""
    world = built(rows, seed)
    with tempfile.TemporaryDirectory(prefix="touchpoint-bench-") as name:
        folder = Path(name)
        yield Operator(folder, write_rulebook(folder, shelf_of(offers, seed)), world, keys_of(rows, seed), offers)
