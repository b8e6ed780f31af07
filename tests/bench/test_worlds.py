"""The benches' worlds: the same for the same seed, every key once, labels as frequent as said, and loaded without a rejected row."""

from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from bench import worlds
from engine.base.keys import SubscriberKeys, read_secret
from engine.base.snapshot import open_current


def _table(rows: int, seed: int, batch_rows: int = worlds.BLOCK_ROWS) -> pa.Table:
    return pa.Table.from_batches(worlds.subscribers(rows, seed, batch_rows))


def test_subscribers_are_the_same_whatever_the_rows_and_batches() -> None:
    rows = worlds.BLOCK_ROWS + 1_000
    whole = _table(rows, 3)
    assert whole.num_rows == rows
    assert [batch.num_rows for batch in worlds.subscribers(2_500, 3, 1_000)] == [1_000, 1_000, 500]
    assert _table(2_500, 3, 1_000).equals(whole.slice(0, 2_500))
    assert not _table(2_500, 4).equals(whole.slice(0, 2_500))


def test_subscribers_have_their_own_keys_and_labels_as_frequent_as_said() -> None:
    rows = worlds.BLOCK_ROWS * 2
    table = _table(rows, 5)
    texts = table.column("msisdn").to_pylist()
    assert len(set(texts)) == rows
    chosen = np.array([0, 17, 99_999, 100_000, rows - 1], np.int64)
    assert worlds.keys(chosen, 5) == [texts[k] for k in chosen]
    shares = worlds.label_shares()
    assert len(shares) == 248
    assert min(shares.values()) == pytest.approx(0.001)
    assert max(shares.values()) == pytest.approx(0.6)
    for name, share in shares.items():
        held = table.column(name).to_numpy().mean()
        assert abs(held - share) < 6 * (share / rows) ** 0.5 + 2**-16, name
    missing = [table.column(attribute.id).null_count / rows for attribute in worlds.schema().attributes]
    assert all(0.04 < share < 0.06 for share in missing)


def test_keys_far_into_a_country_stay_apart() -> None:
    last = worlds.WORLDS["country"]
    far = np.concatenate([np.arange(1_000), np.arange(last - 1_000, last)])
    assert len(set(worlds.keys(far, 1))) == 2_000
    step = 6_180_339_887
    assert worlds.keys(far[-1:], 1) == [f"+999{((last - 1) * step + 1_000_003) % 10**10:010}"]


def test_built_world_is_found_again_and_holds_everybody(tmp_path: Path) -> None:
    world = worlds.built(3_000, 7, tmp_path)
    before = (world.base / "current").stat().st_mtime_ns
    assert worlds.built(3_000, 7, tmp_path) == world
    assert (world.base / "current").stat().st_mtime_ns == before
    keys = SubscriberKeys(read_secret(world.key_secret_file), "msisdn", "US")
    snapshot = open_current(world.base, keys)
    schema = snapshot.manifest.schema
    assert (snapshot.manifest.rows, len(schema.labels), len(schema.attributes)) == (3_000, 256, 16)
    rows = {snapshot.find(int(found)) for found in keys.hash_many(worlds.keys(np.arange(3_000, dtype=np.int64), 7))}
    assert rows == set(range(3_000))
    assert [path.name for path in tmp_path.iterdir()] == [world.base.parent.name]


def test_parquet_holds_texts_as_strings(tmp_path: Path) -> None:
    worlds.write_parquet(tmp_path / "some.parquet", 300, 1)
    found = pq.read_table(tmp_path / "some.parquet")
    assert found.schema.field("plan").type == pa.string()
    assert found.column("plan").to_pylist() == _table(300, 1).column("plan").to_pylist()
    assert found.column("msisdn").to_pylist() == worlds.keys(np.arange(300, dtype=np.int64), 1)
