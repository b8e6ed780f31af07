"""The gather against the plain reading of the rows that a base was made from, at edge sizes; `find_row` against a search."""

import random
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.base.schema import BaseSchema
from tests.engine.base.world import (
    AS_OF_US,
    ATTRIBUTES,
    DAY_US,
    KEYS,
    bound,
    build,
    expected_of,
    gathered,
    random_people,
    read_plainly,
    schema_with,
)


@pytest.mark.parametrize("labels", [0, 1, 63, 64, 65, 130])
@pytest.mark.parametrize("rows_as_of", [False, True])
def test_gather_label_counts_and_ages(tmp_path: Path, labels: int, rows_as_of: bool) -> None:
    rng = random.Random(labels)
    schema = schema_with(labels)
    people = random_people(rng, schema, 40)
    binding = bound(build(tmp_path, schema, people, rows_as_of=rows_as_of), schema)
    for now_us in (AS_OF_US, AS_OF_US + DAY_US, AS_OF_US + DAY_US + 1, AS_OF_US + 8 * DAY_US, AS_OF_US - DAY_US):
        view = gathered(binding, [p.hash for p in people], now_us)
        for row, person in enumerate(people):
            as_of_us = person.as_of_s * 1_000_000 if rows_as_of else AS_OF_US
            assert read_plainly(binding, view, row) == expected_of(schema, person, now_us, as_of_us)


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 300])
@pytest.mark.parametrize("attributes", [0, 1, 8, 9, 11])
@pytest.mark.parametrize("pairs", [0, 1, 8, 9, 64])
def test_gather_row_attribute_and_pair_counts(tmp_path: Path, rows: int, attributes: int, pairs: int) -> None:
    schema = schema_with(3, ATTRIBUTES[:attributes], pairs)
    people = random_people(random.Random(rows * 100 + attributes), schema, rows)
    binding = bound(build(tmp_path, schema, people), schema)
    view = gathered(binding, [*[p.hash for p in people], 0, 1, (1 << 64) - 1])
    for row, person in enumerate(people):
        assert read_plainly(binding, view, row) == expected_of(schema, person, AS_OF_US, AS_OF_US)
    assert view.found[rows:].tolist() == [0, 0, 0]
    assert not view.present[rows:].any()
    assert not view.granted[rows:].any()
    assert (view.zone[rows:] == -1).all()
    assert (view.values[:, attributes:] == 1).all(), "slots beyond the attributes are not the gather's"


def test_gather_rulebook_that_reads_part_of_the_base_in_another_order(tmp_path: Path) -> None:
    schema = schema_with(70, pairs=10)
    people = random_people(random.Random(5), schema, 50)
    snapshot = build(tmp_path, schema, people)
    part = BaseSchema(
        schema.labels[40:69], schema.attributes[3:9], tuple(reversed(schema.pairs[2:9])), ("fr",), ("Europe/Paris",)
    )
    binding = bound(snapshot, part)
    view = gathered(binding, [p.hash for p in people])
    for row, person in enumerate(people):
        assert read_plainly(binding, view, row) == expected_of(part, person, AS_OF_US, AS_OF_US)
    assert binding.language_names == ["fr", "es"]


def test_gather_ages_are_the_rulebooks(tmp_path: Path) -> None:
    schema = schema_with(3)
    person = random_people(random.Random(1), schema, 1)[0]
    person.labels = {label.id for label in schema.labels}
    snapshot = build(tmp_path, schema, [person])
    aged = msgspec.structs.replace(
        schema, labels=tuple(msgspec.structs.replace(label, max_age_us=k) for k, label in enumerate(schema.labels))
    )
    for late_us in range(4):
        view = gathered(bound(snapshot, aged), [person.hash], AS_OF_US + late_us)
        assert int(view.fresh[0, 0]) == sum(1 << k for k in range(3) if late_us <= k)


def test_gather_only_the_asked_rows(tmp_path: Path) -> None:
    schema = schema_with(5)
    people = random_people(random.Random(2), schema, 6)
    binding = bound(build(tmp_path, schema, people), schema)
    whole = gathered(binding, [p.hash for p in people])
    view = gathered(binding, [0] * 6)
    hashes = np.array([p.hash for p in people], np.uint64)
    binding.gather(hashes, np.full(6, AS_OF_US, np.int64), view, 2, 4)
    assert view.found.tolist() == [0, 0, 1, 1, 0, 0]
    pairs: list[tuple[Any, Any]] = list(zip(view, whole, strict=True))
    for part, all_of_it in pairs:
        assert (part[2:4] == all_of_it[2:4]).all()


def test_find_row_every_neighbour_of_every_hash(tmp_path: Path) -> None:
    schema = schema_with(1, ())
    snapshot = build(tmp_path, schema, random_people(random.Random(3), schema, 500))
    hashes = snapshot.rows.hashes.tolist()
    for row, subscriber in enumerate(hashes):
        assert snapshot.find(subscriber) == row
        for other in (subscriber - 1, subscriber + 1):
            if other not in hashes and 0 <= other < 1 << 64:
                assert snapshot.find(other) == -1
    assert snapshot.find(KEYS.hash_one("nobody")) == -1
