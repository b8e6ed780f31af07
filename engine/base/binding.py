"""One rulebook's view of one snapshot and the overlay: where each label, attribute, consent pair, zone and language lies, and the gather."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.base.layout import Field
from engine.base.manifest import SnapshotError
from engine.base.overlay import ATTRIBUTE, LABEL, LANGUAGE, PAIR, ZONE, Overlay
from engine.base.schema import BaseSchema
from engine.base.snapshot import Snapshot
from engine.breathing import ROWS_AT_ONCE, breathe
from engine.bundles import reference
from engine.catalogue.terms import ValueType
from engine.dtypes.base import FIELD, PLAN, Asked, Live, ReadPlan
from engine.dtypes.view import View
from engine.jit import direct, frozen
from engine.kernels.gather import CONTACT, WHOLE, gather
from engine.limits import BATCH_ITEMS_MAX

_gather: Final = direct(gather)

TEXT: Final = "text:"
DENSITY_ROWS: Final = 4_096


class Binding:
    """Reads subscribers for one rulebook; made by `bind`.

    `on_new_string(slot, text)`, when given, returns the code of a string that a live change brings and the base's dictionary has not;
    without it such a change is refused.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        schema: BaseSchema,
        overlay: Overlay,
        on_new_string: Callable[[int, str], int] | None = None,
    ) -> None:
        _check(snapshot, schema)
        manifest = snapshot.manifest
        self.snapshot = snapshot
        self.schema = schema
        self.overlay = overlay
        self.on_new_string = on_new_string
        self.label_words = manifest.layout.words
        """W: words of View.present and View.fresh."""
        base_bits = {label.id: bit for bit, label in enumerate(manifest.schema.labels)}
        self.label_bits: npt.NDArray[np.int32] = np.array([base_bits[label.id] for label in schema.labels], np.int32)
        """(labels,): the bit of each of the rulebook's labels."""
        self.zone_names = sorted({*manifest.zones, *schema.zones})
        """What View.zone indexes."""
        self.language_names = [*schema.languages, *sorted(set(manifest.languages) - set(schema.languages))]
        """What `languages` indexes: the rulebook's own first, in its order."""
        self.dictionaries: dict[int, list[str]] = {
            slot: snapshot.dictionaries[attribute.id]
            for slot, attribute in enumerate(schema.attributes)
            if attribute.type == ValueType.STRING
        }
        """By slot of a string attribute: the string of each code of the base."""
        self.languages: npt.NDArray[np.int16] = np.full(BATCH_ITEMS_MAX, -1, np.int16)
        """(BATCH_ITEMS_MAX,): what the last gather found, -1 unknown."""
        self.strings: dict[int, dict[str, int]] = {slot: _codes(texts) for slot, texts in self.dictionaries.items()}
        """By slot: the code of each string, those of live changes too."""
        self.plan: ReadPlan = _read_plan(snapshot, schema, self)
        """How the kernels read the snapshot's rows."""
        self._bound = np.full(overlay.names_max, -1, np.int32)
        self._names_bound = 0
        self._positions = self._name_positions()
        self.live: Live = overlay.live(frozen(self._bound))
        """The overlay with this binding's meaning of its names, as of the last `bind_names`."""
        self._live: Any = reference(self.live)
        self._nobody: Any = reference(self.live._replace(table=frozen(np.zeros(1, np.int32))))
        """The overlay as long as nobody is in it: one slot of a table, where the real one costs a cache miss for each subscriber."""
        self._rows: Any = reference(snapshot.rows)
        self._plan: Any = reference(self.plan)

    def gather(
        self,
        subscribers: npt.NDArray[np.uint64],
        now_us: npt.NDArray[np.int64],
        view: View,
        start: int,
        stop: int,
    ) -> None:
        """Fill the view's and `languages`' rows [start, stop) for these hashes and instants ((n,) each); of View.values, nanos, known the attribute slots."""
        assert 0 <= start <= stop <= min(len(subscribers), len(now_us), len(view.found), BATCH_ITEMS_MAX)
        assert view.present.shape[1] == self.label_words
        assert view.values.shape[1] >= len(self.schema.attributes)
        asked = self.asked(subscribers, now_us)
        gather(self._rows, self._plan, self.changes(), asked, view, start, stop, WHOLE)

    def asked(self, subscribers: npt.NDArray[np.uint64], now_us: npt.NDArray[np.int64]) -> Asked:
        """Return whom to ask about, with `languages` to be written."""
        return Asked(frozen(subscribers), frozen(now_us), self.languages)

    def gather_asked(self, asked: Any, view: Any, count: int, parts: int = CONTACT) -> None:
        """Fill the first `count` rows, attributes left for `load_attributes`; for whoever keeps references to whom it asks about (`asked`) and to its view.

        `parts`: of engine.kernels.gather, CONTACT or MATCHED.
        """
        _gather(self._rows, self._plan, self.changes(), asked, view, 0, count, parts)

    def changes(self) -> Any:
        """Return what kernels take for the overlay, its names bound."""
        self.bind_names()
        return self._live if self.overlay.person_count else self._nobody

    def label_density(self) -> npt.NDArray[np.float64]:
        """Return (64 * label words,): the share of subscribers that have each label, as DENSITY_ROWS of the shard's tell; rows stand in order of a hash."""
        own = self.snapshot.own_rows[:DENSITY_ROWS]
        rows = len(own)
        if not rows:
            return np.zeros(64 * self.label_words)
        words, stride = self.label_words, self.snapshot.manifest.layout.stride
        labels = self.snapshot.rows.r8[own.start * stride : own.stop * stride].reshape(rows, stride)[:, : 8 * words]
        held = np.zeros(64 * words, np.int64)
        for start in range(0, rows, ROWS_AT_ONCE):
            some = labels[start : start + ROWS_AT_ONCE]
            held += np.unpackbits(some, axis=1, bitorder="little").sum(axis=0, dtype=np.uint16)
            breathe()
        share: npt.NDArray[np.float64] = held / rows
        return share

    def ageing(self) -> npt.NDArray[np.bool_]:
        """Return (64 * label words,): the labels that may be past their age."""
        ageing: npt.NDArray[np.bool_] = self.plan.label_age_us[: 64 * self.label_words] >= 0
        return ageing

    def bind_names(self) -> None:
        """Give the overlay's new names their meaning in this binding."""
        names = self.overlay.names
        while self._names_bound < len(names):
            family, name = names[self._names_bound]
            self._bound[self._names_bound] = self._position(family, name)
            self._names_bound += 1

    def _position(self, family: str, name: str) -> int:
        if not family.startswith(TEXT):
            return self._positions.get((family, name), -1)
        slot = self._positions.get((ATTRIBUTE, family.removeprefix(TEXT)), -1)
        codes = self.strings.get(slot)
        if codes is None:
            return -1
        if name not in codes and self.on_new_string is not None:
            codes[name] = self.on_new_string(slot, name)
        return codes.get(name, -1)

    def _name_positions(self) -> dict[tuple[str, str], int]:
        families = (
            (LABEL, [label.id for label in self.schema.labels], self.label_bits.tolist()),
            (ATTRIBUTE, [attribute.id for attribute in self.schema.attributes], range(len(self.schema.attributes))),
            (PAIR, self.schema.pairs, range(len(self.schema.pairs))),
            (ZONE, self.zone_names, range(len(self.zone_names))),
            (LANGUAGE, self.language_names, range(len(self.language_names))),
        )
        return {(family, name): k for family, names, ks in families for name, k in zip(names, ks, strict=True)}


def _codes(texts: list[str]) -> dict[str, int]:
    codes: dict[str, int] = {}
    for start in range(0, len(texts), ROWS_AT_ONCE):
        codes |= {text: code for code, text in enumerate(texts[start : start + ROWS_AT_ONCE], start)}
        breathe()
    return codes


def _check(snapshot: Snapshot, schema: BaseSchema) -> None:
    """Raise SnapshotError with every difference between what the rulebook declares and what the base holds."""
    held = snapshot.manifest.schema
    labels, pairs = {label.id for label in held.labels}, set(held.pairs)
    attributes = {attribute.id: attribute for attribute in held.attributes}
    problems = [f"label {label.id} is missing" for label in schema.labels if label.id not in labels]
    problems += [f"consent {pair} is missing" for pair in schema.pairs if pair not in pairs]
    for attribute in schema.attributes:
        have = attributes.get(attribute.id)
        if have is None:
            problems.append(f"attribute {attribute.id} is missing")
        elif (have.type, have.scale, have.float32) != (attribute.type, attribute.scale, attribute.float32):
            problems.append(f"attribute {attribute.id} is {_type(have)}, the catalogue says {_type(attribute)}")
    if problems:
        raise SnapshotError(
            f"{snapshot.folder}: the base does not fit the catalogue: {'; '.join(problems)}. Build the base again with this catalogue"
        )


def _type(attribute: object) -> str:
    kind, scale, float32 = (getattr(attribute, name) for name in ("type", "scale", "float32"))
    return f"{kind}" + (f" of scale {scale}" if scale else "") + (" in 32 bits" if float32 else "")


def _field(field: Field, bias: int | None = None) -> tuple[int, int, int, int, int, int]:
    at = field.offset // field.width if field.width else 0
    return field.bias if bias is None else bias, field.limit, at, field.bit, field.width, field.kind


def _read_plan(snapshot: Snapshot, schema: BaseSchema, binding: Binding) -> ReadPlan:
    manifest, layout = snapshot.manifest, snapshot.manifest.layout
    slots = {attribute.id: k for k, attribute in enumerate(manifest.schema.attributes)}
    fields = [_field(layout.attributes[slots[attribute.id]]) for attribute in schema.attributes]
    fields += [_field(layout.zone, 0), _field(layout.language, len(manifest.zones))]
    codes = [binding.zone_names.index(zone) for zone in manifest.zones]
    codes += [binding.language_names.index(language) for language in manifest.languages]
    bits = {pair: k for k, pair in enumerate(schema.pairs)}
    plan = np.zeros(1, PLAN)
    plan[0] = (
        manifest.rows, layout.stride, 64 - manifest.directory_bits, layout.words, len(schema.attributes),
        layout.presence, layout.granted, layout.refused, layout.pair_bytes,
        layout.as_of // 4 if layout.as_of >= 0 else -1, manifest.as_of_us,
        manifest.schema.pairs == schema.pairs, (1 << len(schema.pairs)) - 1,
    )  # fmt: skip
    ages = np.full(max(64 * layout.words, 1), -1, np.int64)
    ages[binding.label_bits] = [-1 if label.max_age_us is None else label.max_age_us for label in schema.labels]
    classes = np.unique(np.append(ages, -1))
    members = ages[: 64 * layout.words][None, :] == classes[:, None]
    masks = np.packbits(members, axis=1, bitorder="little").view(np.uint64).reshape(len(classes), layout.words)
    return ReadPlan(
        frozen(plan),
        frozen(np.array(fields, FIELD)),
        frozen(np.array([bits.get(pair, -1) for pair in manifest.schema.pairs], np.int32)),
        frozen(np.array(codes, np.int32)),
        frozen(ages),
        frozen(classes),
        frozen(masks),
    )
