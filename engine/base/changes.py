"""A live change of one subscriber: checked against what the binding knows, then applied whole or not at all."""

from typing import Literal, TypeAlias

import msgspec

from engine.base.binding import TEXT, Binding
from engine.base.overlay import ATTRIBUTE, LABEL, LANGUAGE, PAIR, ZONE, Write
from engine.base.schema import AttributeSpec
from engine.base.values import Value, check_text, encode_value
from engine.catalogue.terms import ValueType
from engine.dtypes.base import (
    CLEAR_VALUE,
    GRANT,
    REFUSE,
    REMOVE_LABEL,
    SET_LABEL,
    SET_LANGUAGE,
    SET_MICROS,
    SET_NAME,
    SET_VALUE,
    SET_ZONE,
    WITHDRAW,
)

Said: TypeAlias = Literal["granted", "refused", "withdrawn"]
_CONSENT_KINDS: dict[str, int] = {"granted": GRANT, "refused": REFUSE, "withdrawn": WITHDRAW}


class UnknownSubscriberError(LookupError):
    """Labels, attributes, language and zone can be changed only of a subscriber whom the base holds."""


class ErasedSubscriberError(Exception):
    """The subscriber was erased: nothing of them is kept any more but the refusal."""


class ChangeError(ValueError):
    """The change names what the catalogue has not, or a value out of its range: `problems` lists everything that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be changed; what is not named stays."""

    at_us: int
    """When it became so: a label's age counts from here, and a base as of then or later that is loaded afterwards covers it."""
    labels: dict[str, bool] = {}
    """True sets, False removes."""
    attributes: dict[str, Value | None] = {}
    """None clears."""
    consent: dict[str, Said] = {}
    """By `purpose/channel`. Withdrawn takes a grant back, and what the base says of a refusal holds again; a refusal ends only with a grant."""
    language: str | None = None
    zone: str | None = None


def apply_change(binding: Binding, subscriber: int, change: Change) -> list[Write]:
    """Apply it, so that the next gather sees it; return what was written to the overlay.

    Raises UnknownSubscriberError, ErasedSubscriberError, ChangeError or OverlayFullError, and has then changed nothing.
    """
    if binding.overlay.is_erased(subscriber):
        raise ErasedSubscriberError("this subscriber was erased; nothing can be changed")
    beyond_consent = change.labels or change.attributes or change.language is not None or change.zone is not None
    if beyond_consent and binding.snapshot.find(subscriber) < 0:
        raise UnknownSubscriberError("the base does not hold this subscriber; only consent can be recorded, or erasure")
    problems: list[str] = []
    writes = (
        _labels(binding, change, problems)
        + _attributes(binding, change, problems)
        + _consent(binding, change, problems)
    )
    writes += _place(binding, change, problems)
    if problems:
        raise ChangeError(problems)
    binding.overlay.write(subscriber, writes, change.at_us)
    return writes


def _labels(binding: Binding, change: Change, problems: list[str]) -> list[Write]:
    known = {label.id for label in binding.schema.labels}
    problems += [f"label {name!r:.80} is not in the catalogue" for name in change.labels if name not in known]
    return [Write(SET_LABEL if on else REMOVE_LABEL, LABEL, name) for name, on in change.labels.items()]


def _attributes(binding: Binding, change: Change, problems: list[str]) -> list[Write]:
    specs = {attribute.id: (slot, attribute) for slot, attribute in enumerate(binding.schema.attributes)}
    writes = []
    for name, value in change.attributes.items():
        if name not in specs:
            problems.append(f"attribute {name!r:.80} is not in the catalogue")
            continue
        try:
            writes.append(_attribute(binding, *specs[name], value))
        except ValueError as error:
            problems.append(str(error))
    return writes


def _attribute(binding: Binding, slot: int, attribute: AttributeSpec, value: Value | None) -> Write:
    if value is None:
        return Write(CLEAR_VALUE, ATTRIBUTE, attribute.id)
    if attribute.type == ValueType.STRING:
        text = check_text(attribute, value)
        if text not in binding.strings[slot] and binding.on_new_string is None:
            raise ValueError(
                f"attribute {attribute.id}: {text!r:.80} is not among the values of the base; load a base that has it"
            )
        return Write(SET_NAME, ATTRIBUTE, attribute.id, value_family=TEXT + attribute.id, value_name=text)
    micros = attribute.type in (ValueType.TIMESTAMP, ValueType.DURATION)
    return Write(SET_MICROS if micros else SET_VALUE, ATTRIBUTE, attribute.id, encode_value(attribute, value))


def _consent(binding: Binding, change: Change, problems: list[str]) -> list[Write]:
    problems += [
        f"consent {pair!r:.80} is not a purpose/channel of the catalogue"
        for pair in change.consent
        if pair not in binding.schema.pairs
    ]
    return [Write(_CONSENT_KINDS[said], PAIR, pair) for pair, said in change.consent.items()]


def _place(binding: Binding, change: Change, problems: list[str]) -> list[Write]:
    writes = []
    for kind, family, name, known in (
        (SET_ZONE, ZONE, change.zone, binding.zone_names),
        (SET_LANGUAGE, LANGUAGE, change.language, binding.language_names),
    ):
        if name is None:
            continue
        if name not in known:
            problems.append(f"{family} {name!r:.80}: expected one of {', '.join(known)}")
        writes.append(Write(kind, family, "", value_family=family, value_name=name))
    return writes
