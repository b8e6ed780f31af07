"""Live changes: bound at once, described exactly, folded by the rules when a new snapshot comes, refused when there is no room."""

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.base.changes import Change, ChangeError, ErasedSubscriberError, Said, UnknownSubscriberError, apply_change
from engine.base.describe import describe
from engine.base.overlay import ATTRIBUTE, LANGUAGE, Overlay, OverlayFullError, Write
from engine.dtypes.base import SET_LANGUAGE, SET_NAME, SET_VALUE
from tests.engine.base.world import (
    AS_OF_US,
    DAY_US,
    KEYS,
    Person,
    bound,
    build,
    expected_of,
    gathered,
    random_people,
    random_value,
    read_plainly,
    schema_with,
)

SCHEMA = schema_with(5)
PAIR = SCHEMA.pairs[0]
NOW_US = AS_OF_US + 100


def _one(tmp_path: Path, person: Person, overlay: Overlay | None = None, as_of_us: int = AS_OF_US) -> Any:
    snapshot = build(
        tmp_path / str(as_of_us),
        SCHEMA,
        [person, Person("another", zone="Asia/Tokyo", language="es")],
        as_of_us=as_of_us,
    )
    return bound(snapshot, SCHEMA, overlay)


def _read(binding: Any, person: Person, now_us: int = NOW_US) -> dict[str, Any]:
    return read_plainly(binding, gathered(binding, [person.hash], now_us), 0)


def test_apply_change_binds_the_next_gather(tmp_path: Path) -> None:
    person = Person("p", {"label_0000", "label_0001"}, {"b_int8": 5, "i_string": "gold"}, refused={PAIR})
    binding = _one(tmp_path, person)
    apply_change(binding, person.hash, Change(
        at_us=NOW_US, labels={"label_0001": False, "label_0002": True},
        attributes={"b_int8": None, "c_int16": -7, "f_decimal": Decimal("12.34"), "j_timestamp": -1, "g_double": 0.5},
        consent={PAIR: "granted", SCHEMA.pairs[1]: "refused"}, language="es", zone="America/Chicago",
    ))  # fmt: skip
    assert _read(binding, person) == {
        "found": 1,
        "values": {"i_string": "gold", "c_int16": -7, "f_decimal": 1234, "j_timestamp": -1, "g_double": 0.5},
        "labels": {"label_0000", "label_0002"}, "fresh": {"label_0000", "label_0002"},
        "granted": {PAIR}, "refused": {SCHEMA.pairs[1]}, "zone": "America/Chicago", "language": "es",
    }  # fmt: skip
    apply_change(binding, person.hash, Change(at_us=NOW_US, labels={"label_0002": False}, attributes={"c_int16": 9}))
    read = _read(binding, person)
    assert read["labels"] == {"label_0000"}
    assert read["values"]["c_int16"] == 9


def test_gather_live_label_ages_from_its_own_instant(tmp_path: Path) -> None:
    person = Person("p", {"label_0001"})
    binding = _one(tmp_path, person)
    late_us = AS_OF_US + 2 * DAY_US
    assert _read(binding, person, late_us)["fresh"] == set()
    apply_change(binding, person.hash, Change(at_us=late_us - DAY_US, labels={"label_0001": True}))
    assert _read(binding, person, late_us)["fresh"] == {"label_0001"}
    assert _read(binding, person, late_us + 1)["fresh"] == set()
    assert _read(binding, person, late_us + 1)["labels"] == {"label_0001"}


def test_gather_erased_and_unknown_subscribers(tmp_path: Path) -> None:
    person = Person("p", {"label_0000"}, {"b_int8": 1}, {PAIR})
    binding = _one(tmp_path, person)
    stranger = KEYS.hash_one("stranger")
    apply_change(binding, stranger, Change(at_us=NOW_US, consent={PAIR: "refused"}))
    view = gathered(binding, [stranger])
    assert (view.found[0], view.refused[0], view.granted[0]) == (0, 1, 0)
    for change in (
        {"labels": {"label_0000": True}},
        {"attributes": {"b_int8": 1}},
        {"language": "es"},
        {"zone": "America/Chicago"},
    ):
        with pytest.raises(UnknownSubscriberError):
            apply_change(binding, stranger, Change(at_us=NOW_US, **change))
    for subscriber in (person.hash, stranger):
        binding.overlay.erase(subscriber)
        view = gathered(binding, [subscriber])
        assert (view.found[0], view.refused[0], view.granted[0]) == (2, 7, 0)
        assert not view.present.any()
        assert not view.known[:, :-2].any()
        with pytest.raises(ErasedSubscriberError):
            apply_change(binding, subscriber, Change(at_us=NOW_US, consent={PAIR: "granted"}))
        assert describe(binding, subscriber, NOW_US).found == "erased"


@pytest.mark.parametrize(
    ("base", "said", "granted", "refused"),
    [
        ("granted", ["withdrawn"], False, False),
        ("granted", ["refused"], False, True),
        ("refused", ["granted"], True, False),
        ("refused", ["withdrawn"], False, True),
        ("nothing", ["refused", "withdrawn"], False, True),
        ("nothing", ["refused", "granted"], True, False),
        ("nothing", ["granted", "withdrawn"], False, False),
    ],
)
def test_consent_last_word_but_a_refusal_ends_only_with_a_grant(
    tmp_path: Path, base: str, said: list[Any], granted: bool, refused: bool
) -> None:
    person = Person("p", granted={PAIR} if base == "granted" else set(), refused={PAIR} if base == "refused" else set())
    binding = _one(tmp_path, person)
    for word in said:
        apply_change(binding, person.hash, Change(at_us=NOW_US, consent={PAIR: word}))
    read = _read(binding, person)
    assert (PAIR in read["granted"], PAIR in read["refused"]) == (granted, refused)


@pytest.mark.parametrize(("granted_us", "ends"), [(NOW_US - 1, False), (NOW_US, True), (NOW_US + 1, True)])
def test_a_grant_dated_before_the_refusal_that_it_meets_is_ignored(tmp_path: Path, granted_us: int, ends: bool) -> None:
    person = Person("p")
    binding = _one(tmp_path, person)
    apply_change(binding, person.hash, Change(at_us=NOW_US, consent={PAIR: "refused"}))
    apply_change(binding, person.hash, Change(at_us=granted_us, consent={PAIR: "granted"}))
    read = _read(binding, person)
    assert (PAIR in read["granted"], PAIR in read["refused"]) == (ends, not ends)


def test_on_new_base_covers_what_is_not_later(tmp_path: Path) -> None:
    person = Person("p", {"label_0000"}, {"b_int8": 1}, refused={SCHEMA.pairs[2]})
    overlay = Overlay(16, 64)
    binding = _one(tmp_path, person, overlay)
    apply_change(binding, person.hash, Change(
        at_us=AS_OF_US + 10, labels={"label_0003": True}, attributes={"b_int8": 2},
        consent={SCHEMA.pairs[0]: "refused", SCHEMA.pairs[2]: "granted"}, language="es",
    ))  # fmt: skip
    apply_change(
        binding, person.hash, Change(at_us=AS_OF_US + 11, labels={"label_0004": True}, attributes={"c_int16": 3})
    )
    erased = KEYS.hash_one("another")
    overlay.erase(erased)
    newer = _one(tmp_path, person, overlay, AS_OF_US + 10)
    assert overlay.on_new_base(newer.snapshot) == 4
    read = _read(newer, person)
    assert read["labels"] == {"label_0000", "label_0004"}
    assert read["values"] == {"b_int8": 1, "c_int16": 3}
    assert read["refused"] == {SCHEMA.pairs[0], SCHEMA.pairs[2]}
    assert read["granted"] == set()
    assert read["language"] is None
    assert gathered(newer, [erased]).found[0] == 2


def test_what_is_told_under_a_base_stays_with_it_however_old_it_is(tmp_path: Path) -> None:
    person = Person("p", {"label_0000"}, {"b_int8": 1, "c_int16": 1})
    overlay = Overlay(16, 64)
    first = _one(tmp_path, person, overlay)
    assert overlay.on_new_base(first.snapshot) == 0
    apply_change(first, person.hash, Change(at_us=AS_OF_US - 5, attributes={"b_int8": 2, "c_int16": 2}))
    assert overlay.on_new_base(first.snapshot) == 0
    assert _read(first, person)["values"] == {"b_int8": 2, "c_int16": 2}
    copy = Overlay(16, 64)
    copy.restore(*overlay.state())
    again = _one(tmp_path, person, copy)
    assert copy.on_new_base(again.snapshot) == 0
    assert _read(again, person)["values"] == {"b_int8": 2, "c_int16": 2}
    second = _one(tmp_path, person, overlay, AS_OF_US + 10)
    overlay.base = second.snapshot.version
    apply_change(second, person.hash, Change(at_us=AS_OF_US - 5, attributes={"c_int16": 3}))
    assert overlay.on_new_base(second.snapshot) == 1
    assert _read(second, person)["values"] == {"b_int8": 1, "c_int16": 3}
    assert overlay.on_new_base(first.snapshot) == 1


def test_on_new_base_rows_with_an_as_of_of_their_own(tmp_path: Path) -> None:
    person = Person("p", as_of_s=AS_OF_US // 1_000_000)
    overlay = Overlay(16, 64)
    binding = _one(tmp_path, person, overlay)
    apply_change(binding, person.hash, Change(at_us=AS_OF_US + 5, attributes={"b_int8": 2}))
    later = bound(
        build(tmp_path / "rows", SCHEMA, [person], rows_as_of=True, as_of_us=AS_OF_US + DAY_US), SCHEMA, overlay
    )
    assert overlay.on_new_base(later.snapshot) == 0, "the row is older than the change"
    assert _read(later, person)["values"] == {"b_int8": 2}


def test_apply_change_wrong_names_and_values_are_all_listed_and_nothing_changes(tmp_path: Path) -> None:
    person = Person("p", values={"b_int8": 1, "i_string": "gold"})
    binding = _one(tmp_path, person)
    with pytest.raises(ChangeError) as caught:
        apply_change(binding, person.hash, Change(
            at_us=NOW_US, labels={"nope": True, "label_0000": True},
            attributes={"b_int8": 201, "f_decimal": Decimal("0.001"), "g_double": float("nan"), "i_string": "silver", "zz": 1, "a_bool": 1},
            consent={"x/y": "granted"}, language="xx", zone="Mars/Base",
        ))  # fmt: skip
    assert len(caught.value.problems) == 10
    assert _read(binding, person)["values"] == {"b_int8": 1, "i_string": "gold"}
    assert _read(binding, person)["labels"] == set()


def test_string_values_that_are_new_get_a_code_from_the_callback(tmp_path: Path) -> None:
    from engine.base.binding import Binding

    person = Person("p", values={"i_string": "gold"})
    overlay = Overlay(16, 64)
    snapshot = build(tmp_path, SCHEMA, [person])
    slot = [attribute.id for attribute in SCHEMA.attributes].index("i_string")
    asked: list[tuple[int, str]] = []

    def code(slot: int, text: str) -> int:
        asked.append((slot, text))
        return len(asked)

    binding = Binding(snapshot, SCHEMA, overlay, code)
    apply_change(binding, person.hash, Change(at_us=NOW_US, attributes={"i_string": "silver"}))
    assert _read(binding, person)["values"] == {"i_string": "silver"}
    assert asked == [(slot, "silver")]
    assert describe(binding, person.hash, NOW_US).attributes[0].value == "silver"
    assert _read(bound(snapshot, SCHEMA, overlay), person)["values"] == {}, "without the callback the value is unknown"


def test_overlay_full_refuses_and_forgets_nothing(tmp_path: Path) -> None:
    overlay = Overlay(3, 64)
    binding = _one(tmp_path, Person("p"), overlay)
    strangers = [KEYS.hash_one(f"stranger {k}") for k in range(4)]
    for stranger in strangers[:3]:
        apply_change(binding, stranger, Change(at_us=NOW_US, consent={PAIR: "refused"}))
    with pytest.raises(OverlayFullError, match="at most 3 changed subscribers"):
        apply_change(binding, strangers[3], Change(at_us=NOW_US, consent={PAIR: "refused"}))
    with pytest.raises(OverlayFullError):
        overlay.erase(strangers[3])
    apply_change(binding, strangers[0], Change(at_us=NOW_US, consent={PAIR: "granted"}))
    view = gathered(binding, strangers)
    assert view.granted.tolist() == [1, 0, 0, 0]
    assert view.refused.tolist() == [0, 1, 1, 0]


def test_overlay_agrees_with_a_plain_model_under_random_changes(tmp_path: Path) -> None:
    rng = random.Random(11)
    people = random_people(rng, SCHEMA, 30)
    for person in people:
        person.values["i_string"] = rng.choice(["basic", "gold"])
    overlay = Overlay(64, 256)
    binding = bound(build(tmp_path, SCHEMA, people), SCHEMA, overlay)
    refused_in_base = {person.key: set(person.refused) for person in people}
    last: dict[tuple[str, str], Said] = {}
    words: tuple[Said, ...] = ("granted", "refused", "withdrawn")
    for _ in range(300):
        person, at_us = rng.choice(people), NOW_US
        attribute = rng.choice(SCHEMA.attributes)
        label, pair = rng.choice(SCHEMA.labels).id, rng.choice(SCHEMA.pairs)
        value: Any = rng.choice(["basic", "gold", None]) if attribute.id == "i_string" else random_value(rng, attribute)
        on, said = rng.random() < 0.5, rng.choice(words)
        raw = Decimal(value).scaleb(-2) if attribute.scale else bool(value) if attribute.id == "a_bool" else value
        apply_change(
            binding,
            person.hash,
            Change(at_us=at_us, labels={label: on}, attributes={attribute.id: raw}, consent={pair: said}),
        )
        person.labels = person.labels | {label} if on else person.labels - {label}
        person.values.pop(attribute.id, None) if value is None else person.values.update({attribute.id: value})
        if said != "withdrawn":
            person.refused = person.refused | {pair} if said == "refused" else person.refused - {pair}
            last[person.key, pair] = said
        elif last.get((person.key, pair)) == "granted":
            person.refused = person.refused | ({pair} & refused_in_base[person.key])
        person.granted = person.granted | {pair} if said == "granted" else person.granted - {pair}
    view = gathered(binding, [p.hash for p in people], NOW_US)
    for row, person in enumerate(people):
        assert read_plainly(binding, view, row) == expected_of(SCHEMA, person, NOW_US, AS_OF_US)
    assert np.unique(view.found).tolist() == [1]


def test_describe_tells_values_exactly_and_where_they_come_from(tmp_path: Path) -> None:
    person = Person(
        "p", {"label_0001"}, {"f_decimal": 1234, "k_duration": -1, "h_float": 1.5}, {PAIR}, zone="Asia/Tokyo"
    )
    binding = _one(tmp_path, person)
    apply_change(binding, person.hash, Change(at_us=NOW_US, attributes={"b_int8": 4}, labels={"label_0002": True}))
    found = describe(binding, person.hash, AS_OF_US + 2 * DAY_US)
    assert {(a.id, a.value, a.source) for a in found.attributes} == {
        ("b_int8", 4, "live"), ("f_decimal", Decimal("12.34"), "base"), ("h_float", 1.5, "base"), ("k_duration", -1, "base"),
    }  # fmt: skip
    assert [(x.id, x.fresh, x.set_us, x.source) for x in found.labels] == [
        ("label_0001", False, AS_OF_US, "base"), ("label_0002", True, NOW_US, "live"),
    ]  # fmt: skip
    assert (found.zone, found.zone_source, found.language, found.as_of_us) == ("Asia/Tokyo", "base", None, AS_OF_US)
    assert [c.said for c in found.consent] == ["granted", "nothing", "nothing"]


def test_state_names_what_is_there_and_nothing_else() -> None:
    overlay = Overlay(8)
    for subscriber, text in ((1, "hers alone"), (2, "said of both"), (3, "said of both")):
        overlay.base = f"base {subscriber}"
        writes = [
            Write(SET_NAME, ATTRIBUTE, "name", value_family="text:name", value_name=text),
            Write(SET_VALUE, ATTRIBUTE, "age", 2),
        ]
        overlay.write(subscriber, [*writes, Write(SET_LANGUAGE, LANGUAGE, "", 0, LANGUAGE, f"l{subscriber}")], 5)
    overlay.erase(1)
    overlay.drop(3)
    persons, changes, names = overlay.state()
    assert set(names) == {
        ("attribute", "name"),
        ("attribute", "age"),
        ("text:name", "said of both"),
        ("language", ""),
        ("language", "l2"),
        ("base", "base 2"),
    }
    copy = Overlay(8)
    copy.restore(persons, changes, names)
    assert copy.changes_of(2) == overlay.changes_of(2)
    assert copy.is_erased(1)
    assert copy.person(3) == -1
    values = {names[change["name"]]: int(change["value"]) for change in changes}
    assert names[values["attribute", "name"]] == ("text:name", "said of both")
    assert names[values["language", ""]] == ("language", "l2")
    assert values["attribute", "age"] == 2
    assert {names[change["base"]] for change in changes} == {("base", "base 2")}
