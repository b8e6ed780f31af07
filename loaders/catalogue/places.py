"""Where the things of a catalogue stand in its files, down to an item of a list or a stretch of a condition."""

from collections.abc import Mapping
from typing import Any

from engine.cel.errors import error_at
from loaders.catalogue.gather import Gathered
from loaders.catalogue.positions import place_in
from loaders.catalogue.problems import Place
from loaders.catalogue.reading import Word


class Places:
    """Finds places in what was read."""

    def __init__(self, gathered: Gathered) -> None:
        self._ids = gathered.ids

    def of(self, kind: str, name: str, field: str = "", part: str = "") -> Place:
        """Return where a thing stands, or its field, or that part of the field; the nearest of these that the files have.

        `kind` is campaign, offer, channel, product, cap, purpose or quiet hours; `part` an item of a list, a key of a mapping, or a stretch of a text.
        """
        entry = self._ids[kind][name]
        if field not in entry.nodes:
            return entry.at("id")
        return _within(entry.get(field), part) or entry.at(field)


def _within(value: Any, part: str) -> Place | None:
    if not part:
        return None
    if isinstance(value, Word):
        at = value.find(part)
        if at < 0:
            return None
        found = error_at("", at, value)
        return place_in(value.node, found.line, found.column)
    items = value if isinstance(value, list | Mapping) else ()
    return next((item.place for item in items if isinstance(item, Word) and item == part), None)
