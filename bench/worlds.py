"""Synthetic subscribers of the published schema (bench/world/), the same for the same seed whatever the number of rows, made some at a time.

A world is a name for a number of subscribers: tiny, city, country. Keys are telephone numbers under +999, a country code that nobody has.
Each label that has a column of its own holds for a share of the subscribers between 0.1 and 60 %; none is missing there; 5 % of the attributes' values are.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from bench.resident import forget_peak, status_bytes
from engine.base.schema import AttributeSpec, BaseSchema, base_schema_of
from engine.catalogue.terms import ValueType
from loaders.base.build import Progress, build_base
from loaders.base.mapping import Mapping, read_mapping
from loaders.catalogue.load import load_catalogue

WORLDS: Final = {"tiny": 10_000, "city": 1_000_000, "country": 100_000_000}
"""Subscribers of each world."""
FOLDER: Final = Path(__file__).parent / "world"
CATALOGUE: Final = FOLDER / "catalogue"
MAPPING: Final = FOLDER / "mapping.yaml"
AS_OF_US: Final = 1_780_000_000_000_000
SECRET: Final = blake2b(b"the numbers of synthetic worlds are nobody's, so this is no secret", digest_size=16).digest()
BLOCK_ROWS: Final = 1 << 16
"""Rows that one generator of random numbers makes."""

_NUMBERS: Final = 10**10
_STEP: Final = 6_180_339_887
"""Odd and no multiple of 5, so that i * _STEP modulo _NUMBERS meets every number once."""
_SHARE_MIN, _SHARE_MAX = 0.001, 0.6
_MISSING: Final = 0.05
_TEXTS: Final = {"handset": 2_000, "plan": 40, "region": 50}
_ROW_GROUP_ROWS: Final = 1 << 18
_LOAD: Final = "load.json"
_SHAPED_BY: Final = (
    *("engine/dtypes/base.py", "loaders/base/*.py"),
    *(
        f"engine/base/{name}.py"
        for name in ("blocks", "keys", "layout", "manifest", "records", "schema", "values", "write")
    ),
)
"""The code that decides what a built base holds; what only reads one is left out, so that a change to it builds nothing anew."""


class World(NamedTuple):
    """A built world; the names are those of the server's settings."""

    base: Path
    key_secret_file: Path
    rows: int


@cache
def schema() -> BaseSchema:
    """Return the published schema: 256 labels, 16 attributes, ten consent pairs."""
    return base_schema_of(load_catalogue(CATALOGUE, now_us=AS_OF_US))


@cache
def mapping() -> Mapping:
    """Return the mapping of the generated file."""
    return read_mapping(MAPPING, schema())


def label_shares() -> dict[str, float]:
    """Return, by label with a column of its own, the share of subscribers for whom it holds: neighbours differ, all lie on one exponential curve."""
    names = [label for label, expression in sorted(mapping().labels.items()) if expression.source == label]
    ranks = np.argsort([blake2b(name.encode(), digest_size=8).digest() for name in names])
    shares = _SHARE_MIN * (_SHARE_MAX / _SHARE_MIN) ** (ranks / (len(names) - 1))
    return dict(zip(names, shares.tolist(), strict=True))


def keys(numbers: npt.NDArray[np.int64], seed: int) -> list[str]:
    """Return the keys of these subscribers, counted from 0, as callers write them."""
    return [bytes(row).decode() for row in _digits(numbers, seed)]


def _digits(numbers: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.uint8]:
    """Return the keys as (n, 14) ASCII."""
    # i * _STEP would pass 64 bits, so both halves of i are taken modulo _NUMBERS on their own.
    low, high = numbers % 100_000, numbers // 100_000
    left = (high * (_STEP * 100_000 % _NUMBERS) + low * _STEP + seed * 1_000_003) % _NUMBERS
    out = np.empty((len(numbers), 14), np.uint8)
    out[:, :4] = np.frombuffer(b"+999", np.uint8)
    for column in range(13, 3, -1):
        out[:, column] = left % 10 + ord("0")
        left = left // 10
    return out


def subscribers(rows: int, seed: int, batch_rows: int = BLOCK_ROWS) -> Iterator[pa.RecordBatch]:
    """Yield the first `rows` subscribers in batches of at most `batch_rows` and BLOCK_ROWS; fewer rows are the beginning of more."""
    for start in range(0, rows, BLOCK_ROWS):
        block = _block(start, seed).slice(0, min(BLOCK_ROWS, rows - start))
        for at in range(0, block.num_rows, batch_rows):
            yield block.slice(at, batch_rows)


def _block(start: int, seed: int) -> pa.RecordBatch:
    rng = np.random.default_rng([seed, start // BLOCK_ROWS])
    digits = _digits(np.arange(start, start + BLOCK_ROWS, dtype=np.int64), seed)
    offsets = np.arange(0, 14 * (BLOCK_ROWS + 1), 14, dtype=np.int32)
    columns: dict[str, Any] = {
        "msisdn": pa.Array.from_buffers(pa.string(), BLOCK_ROWS, [None, pa.py_buffer(offsets), pa.py_buffer(digits)])
    }
    for attribute in schema().attributes:
        columns[attribute.id] = _values(rng, attribute)
    columns["zone"] = _texts(rng, schema().zones, missing=0.02)
    columns["language"] = _texts(rng, schema().languages, missing=0.03)
    for rule in sorted(mapping().consent.values(), key=lambda rule: rule.column):
        columns[rule.column] = _texts(rng, ("yes", "yes", "yes", "no"), missing=0.1)
    for name, share in label_shares().items():
        held = rng.integers(0, 1 << 16, BLOCK_ROWS, np.uint16) < np.uint16(round(share * (1 << 16)))
        columns[name] = _bools(held)
    labels = label_shares()
    fields = [pa.field(name, values.type, nullable=name not in labels) for name, values in columns.items()]
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=pa.schema(fields))


def _bools(held: npt.NDArray[np.bool_], valid: Any = None) -> Any:
    packed = pa.py_buffer(np.packbits(held, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(held), [valid, packed])


def _texts(rng: np.random.Generator, texts: tuple[str, ...], missing: float) -> Any:
    codes = rng.integers(0, len(texts), BLOCK_ROWS, np.int32)
    mask = rng.random(BLOCK_ROWS, np.float32) < missing
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=mask), pa.array(texts))


def _values(rng: np.random.Generator, attribute: AttributeSpec) -> Any:
    """Return a block of an attribute, skewed towards small values, as amounts are."""
    if attribute.type == ValueType.STRING:
        count = _TEXTS[attribute.id]
        return _texts(rng, tuple(f"{attribute.id}_{k:02}" for k in range(count)), _MISSING)
    valid = pa.py_buffer(np.packbits(rng.random(BLOCK_ROWS, np.float32) >= _MISSING, bitorder="little"))
    if attribute.type == ValueType.BOOL:
        return _bools(rng.random(BLOCK_ROWS, np.float32) < 0.07, valid)
    share = rng.random(BLOCK_ROWS) ** 3
    if attribute.type == ValueType.DOUBLE:
        return pa.Array.from_buffers(pa.float32(), BLOCK_ROWS, [valid, pa.py_buffer(share.astype(np.float32))])
    if attribute.type == ValueType.TIMESTAMP:
        instants = AS_OF_US - (share * 10**15).astype(np.int64)
        return pa.Array.from_buffers(pa.timestamp("us", "UTC"), BLOCK_ROWS, [valid, pa.py_buffer(instants)])
    values = attribute.min + (share * (attribute.max + 1 - attribute.min)).astype(np.int64)
    if attribute.type == ValueType.DECIMAL:
        words = np.stack([values, values >> 63], axis=1)
        kind = pa.decimal128(12, attribute.scale)
        return pa.Array.from_buffers(kind, BLOCK_ROWS, [valid, pa.py_buffer(words)])
    return pa.Array.from_buffers(pa.int32(), BLOCK_ROWS, [valid, pa.py_buffer(values.astype(np.int32))])


def write_parquet(path: Path, rows: int, seed: int) -> None:
    """Write the subscribers as a Parquet file with texts as strings, some at a time."""
    first = next(subscribers(1, seed)).schema
    texts = [field.name for field in first if pa.types.is_dictionary(field.type)]
    held: list[pa.RecordBatch] = []
    with pq.ParquetWriter(path, first, compression="snappy", use_dictionary=texts, store_schema=False) as writer:
        for batch in subscribers(rows, seed):
            held.append(batch)
            if sum(one.num_rows for one in held) >= _ROW_GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(held), _ROW_GROUP_ROWS)
                held = []
        if held:
            writer.write_table(pa.Table.from_batches(held), _ROW_GROUP_ROWS)


def cache_folder() -> Path:
    """Return where built worlds are kept: $XDG_CACHE_HOME/touchpoint/worlds, or ~/.cache/touchpoint/worlds."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "touchpoint" / "worlds"


def built(rows: int, seed: int, folder: Path | None = None) -> World:
    """Return the base of `rows` subscribers, built once and kept: its folder is named by rows, seed and what it is made from."""
    folder = folder or cache_folder()
    final = folder / f"{rows}-{seed}-{_made_from()}"
    if not final.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        work = Path(tempfile.mkdtemp(prefix=".world-", dir=folder))
        try:
            _build(work, rows, seed)
            work.rename(final)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return World(final / "base", final / "key-secret", rows)


def load_figures(world: World) -> dict[str, float]:
    """Return what was measured when the world's base was loaded."""
    figures: dict[str, float] = json.loads((world.base.parent / _LOAD).read_text(encoding="utf-8"))
    return figures


def _build(work: Path, rows: int, seed: int) -> None:
    source = work / "subscribers.parquet"
    began = time.monotonic()
    write_parquet(source, rows, seed)
    made_s = time.monotonic() - began
    subprocess.run((sys.executable, "-m", "bench.worlds", source, work / "base", work / _LOAD, str(made_s)), check=True)
    source.unlink()
    secret = work / "key-secret"
    secret.write_text(SECRET.hex() + "\n", encoding="ascii")
    secret.chmod(0o600)


def _load(source: Path, base: Path, figures: Path, made_s: float) -> None:
    """Load the file in this process, on one core, and write down what it took."""
    pa.set_cpu_count(1)
    own_bytes = 0

    def look(_: Progress) -> None:
        nonlocal own_bytes
        own_bytes = max(own_bytes, status_bytes("RssAnon"))

    parts = mapping(), schema()
    forget_peak()
    began_s = time.process_time()
    report = build_base(source, *parts, SECRET, base, as_of_us=AS_OF_US, progress=look)
    cpu_s = time.process_time() - began_s
    assert not report.rows_rejected, report
    found = {
        "rows_per_s_per_core": round(report.rows_read / cpu_s),
        "rows_per_s": round(report.rows_per_s),
        "seconds": round(report.seconds, 2),
        "cpu_seconds": round(cpu_s, 2),
        "peak_own_bytes": own_bytes,
        "peak_resident_bytes": status_bytes("VmHWM"),
        "parquet_bytes": source.stat().st_size,
        "parquet_made_s": round(made_s, 2),
    }
    figures.write_text(json.dumps(found), encoding="utf-8")


def _made_from() -> str:
    """Return a digest of the schema, the mapping, the generator and the code that builds."""
    root = FOLDER.parent.parent
    paths = [Path(__file__), MAPPING, *CATALOGUE.glob("*.yaml")]
    for pattern in _SHAPED_BY:
        shaping = list(root.glob(pattern))
        assert shaping, pattern
        paths += shaping
    digest = blake2b(digest_size=8)
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    _load(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
