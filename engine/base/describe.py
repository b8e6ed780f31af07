"""Everything that is known of one subscriber at an instant, for people and for SubscriberService: read by the same gather as decisions."""

from typing import Literal

import msgspec
import numpy as np

from engine.base.binding import Binding
from engine.base.overlay import ATTRIBUTE, LABEL, LANGUAGE, PAIR, ZONE
from engine.base.values import Value, decode_value
from engine.catalogue.terms import ValueType
from engine.dtypes.view import ERASED, FOUND, View, new_view

Source = Literal["base", "live"]


class LabelState(msgspec.Struct, frozen=True):
    """A label that the subscriber has; one that is not fresh is past its maximum age and counts as unknown."""

    id: str
    fresh: bool
    set_us: int
    source: Source


class AttributeState(msgspec.Struct, frozen=True):
    """A value that is known: int microseconds for timestamps and durations."""

    id: str
    value: Value
    source: Source


class ConsentState(msgspec.Struct, frozen=True):
    """What was said of a `purpose/channel`."""

    pair: str
    said: Literal["granted", "refused", "nothing"]
    source: Source


class Description(msgspec.Struct, frozen=True):
    """One subscriber; of an unknown one only consent, of an erased one nothing but that every consent is refused."""

    found: Literal["unknown", "found", "erased"]
    as_of_us: int | None
    """Of the row in the base."""
    labels: list[LabelState]
    attributes: list[AttributeState]
    consent: list[ConsentState]
    zone: str | None
    zone_source: Source
    language: str | None
    language_source: Source


def describe(binding: Binding, subscriber: int, now_us: int) -> Description:
    """Return what a decision at `now_us` would read of this subscriber. It uses row 0 of `binding.languages`."""
    view = new_view(1, binding.label_words, len(binding.schema.attributes))
    binding.gather(np.array([subscriber], np.uint64), np.array([now_us], np.int64), view, 0, 1)
    live = {(family, name): at_us for family, name, _, at_us in binding.overlay.changes_of(subscriber)}
    row = binding.snapshot.find(subscriber)
    found = int(view.found[0])
    as_of_us = binding.snapshot.row_as_of_us(row) if row >= 0 and found == FOUND else None
    language = int(binding.languages[0])
    return Description(
        found="erased" if found == ERASED else "found" if found == FOUND else "unknown",
        as_of_us=as_of_us,
        labels=_labels(binding, view, live, as_of_us or 0),
        attributes=_attributes(binding, view, live),
        consent=_consent(binding, view, live),
        zone=binding.zone_names[view.zone[0]] if view.zone[0] >= 0 else None,
        zone_source=_source(live, ZONE, ""),
        language=binding.language_names[language] if language >= 0 else None,
        language_source=_source(live, LANGUAGE, ""),
    )


def _source(live: dict[tuple[str, str], int], family: str, name: str) -> Source:
    return "live" if (family, name) in live else "base"


def _labels(binding: Binding, view: View, live: dict[tuple[str, str], int], as_of_us: int) -> list[LabelState]:
    states = []
    for label, bit in zip(binding.schema.labels, binding.label_bits.tolist(), strict=True):
        present, fresh = (int(words[0, bit >> 6]) >> (bit & 63) & 1 for words in (view.present, view.fresh))
        if present:
            set_us = live.get((LABEL, label.id), as_of_us)
            states.append(LabelState(label.id, bool(fresh), set_us, _source(live, LABEL, label.id)))
    return states


def _attributes(binding: Binding, view: View, live: dict[tuple[str, str], int]) -> list[AttributeState]:
    states = []
    for slot, attribute in enumerate(binding.schema.attributes):
        if not view.known[0, slot]:
            continue
        value: Value
        if attribute.type == ValueType.STRING:
            code = int(view.values[0, slot])
            value = next(text for text, known in binding.strings[slot].items() if known == code)
        else:
            value = decode_value(attribute, int(view.values[0, slot]), int(view.nanos[0, slot]))
        states.append(AttributeState(attribute.id, value, _source(live, ATTRIBUTE, attribute.id)))
    return states


def _consent(binding: Binding, view: View, live: dict[tuple[str, str], int]) -> list[ConsentState]:
    states = []
    for bit, pair in enumerate(binding.schema.pairs):
        refused, granted = (int(word[0]) >> bit & 1 for word in (view.refused, view.granted))
        source: Source = "live" if view.found[0] == ERASED else _source(live, PAIR, pair)
        states.append(ConsentState(pair, "refused" if refused else "granted" if granted else "nothing", source))
    return states
