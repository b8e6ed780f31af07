"""What a base holds: labels, attributes with their declared ranges, consent pairs. A catalogue asks for one; a snapshot states its own."""

from hashlib import blake2b

import msgspec

from engine.catalogue.model import INT64_MAX, INT64_MIN, Catalogue
from engine.catalogue.terms import ValueType
from engine.limits import ATTRIBUTES_MAX, CONSENT_PAIRS_MAX, LABELS_MAX


class LabelSpec(msgspec.Struct, frozen=True):
    """A label; `max_age_us` is None for a static one. A snapshot keeps the name only: ages belong to the rulebook."""

    id: str
    max_age_us: int | None = None


class AttributeSpec(msgspec.Struct, frozen=True):
    """An attribute; `min` and `max` bound the encoded integer (int: the value; decimal: times 10**scale) and decide how narrowly it is stored."""

    id: str
    type: ValueType
    scale: int = 0
    min: int = INT64_MIN
    max: int = INT64_MAX
    float32: bool = False


class BaseSchema(msgspec.Struct, frozen=True):
    """Everything in sorted order of id; pairs are `purpose/channel` in the order of their bits."""

    labels: tuple[LabelSpec, ...] = ()
    attributes: tuple[AttributeSpec, ...] = ()
    pairs: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    """Zones that live changes may name, beside those of the snapshot's own rows."""

    def checked(self) -> "BaseSchema":
        """Return self; raises ValueError when ids are not sorted and unique or there are more than the engine's bounds."""
        for what, ids, most in (
            ("labels", [label.id for label in self.labels], LABELS_MAX),
            ("attributes", [attribute.id for attribute in self.attributes], ATTRIBUTES_MAX),
            ("consent pairs", list(self.pairs), CONSENT_PAIRS_MAX),
        ):
            if len(set(ids)) != len(ids) or (what != "consent pairs" and ids != sorted(ids)):
                raise ValueError(f"{what}: expected unique ids in sorted order, was {ids}")
            if len(ids) > most:
                raise ValueError(f"{what}: expected at most {most}, was {len(ids)}")
        return self

    def digest(self) -> str:
        """Return the hash of what decides a row's layout and meaning: 32 hexadecimal digits, the same for the same labels, attributes and pairs."""
        parts = ([label.id for label in self.labels], self.attributes, self.pairs)
        return blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()


def base_schema_of(catalogue: Catalogue) -> BaseSchema:
    """Return what the base must hold for this catalogue."""
    purposes = sorted(purpose.id for purpose in catalogue.contact_policy.purposes)
    channels = sorted(channel.id for channel in catalogue.channels)
    return BaseSchema(
        labels=tuple(LabelSpec(label.id, label.max_age_us) for label in sorted(catalogue.labels, key=lambda x: x.id)),
        attributes=tuple(
            AttributeSpec(a.id, a.type, a.scale, a.min, a.max, a.float32)
            for a in sorted(catalogue.attributes, key=lambda x: x.id)
        ),
        pairs=tuple(f"{purpose}/{channel}" for purpose in purposes for channel in channels),
        languages=catalogue.languages,
        zones=tuple(sorted(catalogue.country.zones)),
    ).checked()
