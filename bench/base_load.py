"""How fast a base is built from Parquet, and how many bytes a subscriber takes: 64 labels and 16 attributes, generated from a seed.

    python -m bench.base_load --rows 1000000

The schema is the published one of the target (150,000 rows a second on one core, 130 bytes a subscriber): 60 labels are bool columns, 4
are CEL over columns; attributes are flags, small integers, scaled decimals, dictionary codes and one instant; two consent pairs, zone, language.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from engine.base.schema import AttributeSpec, BaseSchema, LabelSpec
from engine.catalogue.terms import ValueType
from loaders.base.build import build_base
from loaders.base.mapping import read_mapping

SECRET = bytes(range(16))
AS_OF_US = 1_780_000_000_000_000
EXPRESSIONS = {
    "z_long_tenure": "tenure_months > 24",
    "z_two_year": 'contract == "Two year"',
    "z_valuable": "monthly_charges >= 90.0 && dropped_calls < 3",
    "z_at_risk": "contract != 'Two year' && (complaints > 2 || overdue)",
}
FLAGS = [f"flag_{k:02}" for k in range(60)]
ATTRIBUTES = (
    *(AttributeSpec(name, ValueType.BOOL) for name in ("overdue", "roaming", "senior")),
    *(AttributeSpec(name, ValueType.INT, min=0, max=200) for name in ("age", "complaints", "dropped_calls", "lines")),
    *(AttributeSpec(name, ValueType.INT, min=0, max=1_200) for name in ("contract_months", "tenure_months")),
    AttributeSpec("data_mb", ValueType.INT, min=0, max=10_000_000),
    *(AttributeSpec(n, ValueType.DECIMAL, 2, 0, 1_000_000) for n in ("arpu", "monthly_charges", "total_charges")),
    *(AttributeSpec(name, ValueType.STRING) for name in ("contract", "handset")),
    AttributeSpec("joined", ValueType.TIMESTAMP),
)


def schema() -> BaseSchema:
    """Return the published schema: 64 labels, 16 attributes."""
    assert len(ATTRIBUTES) == 16
    return BaseSchema(
        tuple(LabelSpec(label) for label in sorted([*FLAGS, *EXPRESSIONS])),
        tuple(sorted(ATTRIBUTES, key=lambda attribute: attribute.id)),
        ("marketing/app", "marketing/sms"),
        ("en", "es"),
    ).checked()


def write_parquet(path: Path, rows: int, seed: int) -> None:
    """Write the generated subscribers."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {"msisdn": np.char.add("+1212", (rng.permutation(rows) + 10_000_000).astype(str))}
    columns |= {flag: rng.random(rows) < 0.2 for flag in FLAGS}
    for attribute in ATTRIBUTES:
        columns[attribute.id] = _values(rng, attribute, rows)
    for name, texts in (
        ("tz", ["America/Chicago", "America/New_York"]),
        ("lang", ["en", "es"]),
        ("app", ["Yes", "No", ""]),
    ):
        columns[name] = np.array(texts)[rng.integers(0, len(texts), rows)]
    columns["sms"] = columns["app"]
    pq.write_table(pa.table(columns), path, row_group_size=1 << 17)


def _values(rng: np.random.Generator, attribute: AttributeSpec, rows: int) -> Any:
    if attribute.type == ValueType.BOOL:
        return rng.random(rows) < 0.3
    if attribute.type == ValueType.STRING:
        return np.array([f"{attribute.id} {k}" for k in range(40)] + ["Two year"])[rng.integers(0, 41, rows)]
    if attribute.type == ValueType.TIMESTAMP:
        return pa.array(AS_OF_US - rng.integers(0, 10**15, rows), pa.timestamp("us", "UTC"))
    values = rng.integers(attribute.min, attribute.max + 1, rows)
    missing = rng.random(rows) < 0.05
    if attribute.type == ValueType.DECIMAL:
        words = np.zeros((rows, 2), np.int64)
        words[:, 0] = values
        valid = pa.py_buffer(np.packbits(~missing, bitorder="little"))
        return pa.Array.from_buffers(pa.decimal128(12, attribute.scale), rows, [valid, pa.py_buffer(words)])
    return pa.array(values, pa.int32(), mask=missing)


def write_mapping(path: Path) -> None:
    """Write the mapping that goes with the file; JSON is YAML."""
    named = {attribute.id: attribute.id for attribute in ATTRIBUTES}
    mapping = {
        "key": {"column": "msisdn", "kind": "msisdn", "region": "US"},
        "attributes": named,
        "labels": {flag: flag for flag in FLAGS} | EXPRESSIONS,
        "zone": {"column": "tz"},
        "language": {"column": "lang"},
        "consent": {f"marketing/{name}": {"column": name} for name in ("app", "sms")},
    }
    path.write_text(json.dumps(mapping, indent=1), encoding="utf-8")


def run(rows: int, seed: int, folder: Path) -> dict[str, float | int]:
    """Generate, build, and return what was measured."""
    source, mapping = folder / "subscribers.parquet", folder / "mapping.yaml"
    write_parquet(source, rows, seed)
    write_mapping(mapping)
    pa.set_cpu_count(1)
    began_s = time.process_time()
    report = build_base(source, read_mapping(mapping, schema()), schema(), SECRET, folder / "base", as_of_us=AS_OF_US)
    assert report.rows_kept == rows, report
    return {
        "rows": rows,
        "seconds": round(report.seconds, 3),
        "rows_per_s": round(report.rows_per_s),
        "rows_per_cpu_s": round(rows / (time.process_time() - began_s)),
        "bytes_per_subscriber": round(report.bytes_per_subscriber, 2),
    }


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(arguments.rows, arguments.seed, Path(folder))))


if __name__ == "__main__":
    main()
