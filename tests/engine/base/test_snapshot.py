"""Snapshots that must be refused: a byte flipped anywhere, files cut, swapped or gone, another secret, format or schema."""

import json
import random
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from engine.base.binding import Binding
from engine.base.folder import current_version, prune, set_current, versions
from engine.base.keys import SubscriberKeys
from engine.base.manifest import (
    DATA_FILES,
    DICTIONARIES,
    DIRECTORY,
    HASHES,
    MANIFEST,
    ROWS,
    SnapshotError,
    encode_manifest,
    read_manifest,
)
from engine.base.overlay import Overlay
from engine.base.schema import AttributeSpec, BaseSchema, LabelSpec
from engine.base.snapshot import damage_of, open_current, open_snapshot
from engine.catalogue.terms import ValueType
from tests.engine.base.world import AS_OF_US, ATTRIBUTES, KEYS, SECRET, build, random_people, schema_with


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    schema = schema_with(9)
    snapshot = build(tmp_path / "base", schema, random_people(random.Random(1), schema, 20))
    return snapshot.folder


def _edit(path: Path, change: Callable[[bytearray], object]) -> None:
    raw = bytearray(path.read_bytes())
    change(raw)
    path.chmod(0o640)
    path.write_bytes(raw)


@pytest.mark.parametrize("name", [MANIFEST, *DATA_FILES])
def test_open_a_flipped_byte_anywhere(folder: Path, name: str) -> None:
    path = folder / name
    whole = path.read_bytes()
    rng = random.Random(name)
    places = {0, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(60))}
    for place in sorted(places):

        def flip(raw: bytearray, place: int = place) -> None:
            raw[place] ^= 1 << rng.randrange(8)

        _edit(path, flip)
        if name in (MANIFEST, DICTIONARIES):
            with pytest.raises(SnapshotError, match=r"build the base again|another secret|configure"):
                open_snapshot(folder, KEYS)
        if name != MANIFEST:
            _, damages = damage_of(folder)
            assert [damage.path for damage in damages] == [path]
        path.write_bytes(whole)
    open_snapshot(folder, KEYS)
    assert damage_of(folder)[1] == []


def test_damage_of_a_file_of_several_blocks_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.base.blocks.BLOCK_BYTES", 1_000)
    schema = schema_with(9)
    snapshot = build(tmp_path / "base", schema, random_people(random.Random(1), schema, 100))
    path = snapshot.folder / ROWS
    size = path.stat().st_size
    assert len(snapshot.manifest.files[ROWS].blocks) == -(-size // 1_000) > 3
    whole = path.read_bytes()

    def flip(raw: bytearray) -> None:
        raw[1_999] ^= 1
        raw[2_500] ^= 128
        raw[-1] ^= 4

    _edit(path, flip)
    seen: list[float] = []
    manifest, damages = damage_of(tmp_path / "base", seen.append)
    assert manifest.version == snapshot.version
    assert [(damage.offset, damage.bytes) for damage in damages] == [
        (1_000, 1_000), (2_000, 1_000), (size // 1_000 * 1_000, size % 1_000),
    ]  # fmt: skip
    written = sha256(whole[1_000:2_000]).hexdigest()
    there = sha256(path.read_bytes()[1_000:2_000]).hexdigest()
    assert (damages[0].expected, damages[0].actual) == (written, there)
    for part in (str(path), "bytes 1000 and 2000", written, there):
        assert part in str(damages[0])
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


@pytest.mark.parametrize("name", [MANIFEST, *DATA_FILES])
def test_open_a_file_cut_lengthened_or_gone(folder: Path, name: str) -> None:
    path = folder / name
    whole = path.read_bytes()
    for raw in (whole[:-1], whole[: len(whole) // 2], b"", whole + b"\0"):
        path.chmod(0o640)
        path.write_bytes(raw)
        with pytest.raises(SnapshotError, match=name):
            open_snapshot(folder, KEYS)
        with pytest.raises(SnapshotError, match=name):
            damage_of(folder)
    path.unlink()
    with pytest.raises(SnapshotError, match="cannot be read"):
        open_snapshot(folder, KEYS)
    with pytest.raises(SnapshotError, match="cannot be read"):
        damage_of(folder)


def test_open_files_of_another_snapshot(folder: Path, tmp_path: Path) -> None:
    schema = schema_with(9)
    other = build(tmp_path / "other", schema, random_people(random.Random(2), schema, 20)).folder
    for name in (HASHES, DIRECTORY, ROWS):
        kept = (folder / name).read_bytes()
        shutil.copy(other / name, tmp_path / "swapped")
        (tmp_path / "swapped").replace(folder / name)
        if (other / name).read_bytes() != kept:
            refused = False
            try:
                refused = bool(damage_of(folder)[1])
            except SnapshotError as error:
                refused = name in str(error)
            assert refused
        (folder / name).chmod(0o640)
        (folder / name).write_bytes(kept)


@pytest.mark.parametrize(
    "keys", [SubscriberKeys(bytes(16)), SubscriberKeys(SECRET, "msisdn"), SubscriberKeys(SECRET, "opaque", "US")]
)
def test_open_with_another_secret_or_kind_of_key(folder: Path, keys: SubscriberKeys) -> None:
    with pytest.raises(SnapshotError, match=r"another secret|configure"):
        open_snapshot(folder, keys)
    assert SECRET.hex() not in (folder / MANIFEST).read_text()


def test_open_without_keys_for_whoever_asks_for_nobody_by_key(folder: Path) -> None:
    snapshot, keyed = open_snapshot(folder, None), open_snapshot(folder, KEYS)
    assert (snapshot.version, snapshot.bytes) == (keyed.version, keyed.bytes)
    assert np.array_equal(snapshot.rows.r8, keyed.rows.r8)
    snapshot.read_ahead(0, len(snapshot.rows.hashes))
    shutil.rmtree(snapshot.folder)
    snapshot.read_ahead(0, 1)
    assert np.array_equal(snapshot.rows.r8, keyed.rows.r8)


def test_open_another_format_or_a_sealed_but_inconsistent_manifest(folder: Path) -> None:
    path = folder / MANIFEST
    manifest = json.loads(path.read_text())
    path.chmod(0o640)
    path.write_text(json.dumps(manifest | {"format": 1}))
    with pytest.raises(SnapshotError, match="expected format 2, was 1"):
        open_snapshot(folder, KEYS)
    path.write_text("[1]")
    with pytest.raises(SnapshotError, match="expected format 2"):
        open_snapshot(folder, KEYS)


@pytest.mark.parametrize(
    ("name", "value"), [("rows", 21), ("directory_bits", 40), ("schema_hash", "0"), ("zones", ("x",))]
)
def test_open_a_resealed_manifest_that_lies(folder: Path, name: str, value: object) -> None:
    import msgspec

    manifest = msgspec.structs.replace(read_manifest(folder), **{name: value})
    (folder / MANIFEST).chmod(0o640)
    (folder / MANIFEST).write_bytes(encode_manifest(manifest))
    with pytest.raises(SnapshotError, match="inconsistent"):
        open_snapshot(folder, KEYS)


def test_binding_refuses_what_the_base_has_not_and_lists_it_all(folder: Path) -> None:
    wanted = BaseSchema(
        (LabelSpec("label_0000"), LabelSpec("nowhere")),
        (
            AttributeSpec("a_bool", ValueType.INT),
            AttributeSpec("b_missing", ValueType.INT),
            AttributeSpec("f_decimal", ValueType.DECIMAL, 3),
        ),
        ("purpose_0/channel_0", "purpose_9/channel_0"),
    )
    with pytest.raises(SnapshotError) as caught:
        Binding(open_snapshot(folder, KEYS), wanted, Overlay(4, 8))
    for part in (
        "label nowhere",
        "a_bool is bool",
        "b_missing is missing",
        "f_decimal is decimal of scale 2",
        "purpose_9/channel_0",
        "Build the base",
    ):
        assert part in str(caught.value)


def test_folder_keeps_the_current_snapshot_and_goes_back(tmp_path: Path) -> None:
    schema = schema_with(2, ATTRIBUTES[:2])
    made = [
        build(tmp_path, schema, random_people(random.Random(k), schema, 5), as_of_us=AS_OF_US + k * 1_000_000).version
        for k in range(4)
    ]
    assert versions(tmp_path) == made
    assert current_version(tmp_path) == made[3]
    set_current(tmp_path, made[0])
    assert open_current(tmp_path, KEYS).version == made[0]
    assert prune(tmp_path, 1) == made[1:3]
    assert versions(tmp_path) == [made[0], made[3]]
    with pytest.raises(SnapshotError, match="expected a snapshot named"):
        set_current(tmp_path, "../elsewhere")
    with pytest.raises(SnapshotError, match="build a base"):
        current_version(tmp_path / "nothing")


def test_write_the_same_rows_in_any_order_gives_the_same_version(tmp_path: Path) -> None:
    schema = schema_with(70)
    people = random_people(random.Random(4), schema, 60)
    first = build(tmp_path / "a", schema, people)
    second = build(tmp_path / "b", schema, list(reversed(people)))
    assert first.version == second.version
    assert build(tmp_path / "a", schema, people).version == first.version
    assert [p.name for p in (tmp_path / "a").iterdir() if p.name.startswith(".")] == []
