"""Builds from real files: what is kept is exact, what is wrong costs its row, what cannot be loaded leaves the base in use alone."""

import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from bench.base_load import run
from engine.base.binding import Binding
from engine.base.describe import describe
from engine.base.folder import current_version
from engine.base.keys import SubscriberKeys
from engine.base.overlay import Overlay
from engine.base.schema import AttributeSpec, BaseSchema, LabelSpec
from engine.base.snapshot import open_current
from engine.catalogue.terms import ValueType
from loaders.base.build import Progress, build_base
from loaders.base.mapping import read_mapping
from loaders.base.progress import shown_progress
from loaders.base.rejects import BuildReport
from loaders.base.source import SourceError
from loaders.catalogue.problems import CatalogueErrors
from loaders.msisdn import parse_number

SECRET = bytes(range(16))
AS_OF_US = 1_780_000_000_000_000
SCHEMA = BaseSchema(
    (LabelSpec("long_tenure"), LabelSpec("pays_online"), LabelSpec("rich"), LabelSpec("two_year")),
    (
        AttributeSpec("charges", ValueType.DECIMAL, 2, 0, 1_000_000),
        AttributeSpec("joined", ValueType.TIMESTAMP),
        AttributeSpec("plan", ValueType.STRING),
        AttributeSpec("ratio", ValueType.DOUBLE),
        AttributeSpec("span", ValueType.DURATION),
        AttributeSpec("tenure", ValueType.INT, min=0, max=1200),
        AttributeSpec("vip", ValueType.BOOL),
    ),
    ("marketing/sms",),
    ("en", "es"),
).checked()
MAPPING = """
key: {column: id}
attributes: {charges: charges, joined: joined, plan: contract, ratio: ratio, span: {column: span}, tenure: months, vip: vip}
labels:
  long_tenure: months > 24
  pays_online: online
  rich: charges >= 90.5 && ratio / 2.0 > 0.2
  two_year: contract == "Two year" && joined < timestamp("2026-01-01T00:00:00Z") && span > duration("1h")
zone: {column: tz}
language: {column: lang}
consent: {marketing/sms: {column: sms, granted: [Yes], refused: [No]}}
"""
HEAD = "id,months,charges,ratio,contract,joined,span,vip,online,tz,lang,sms,unused\n"
GOOD = "A1,30,90.50,0.5,Two year,2025-05-05T10:00:00Z,2h,yes,Yes,America/Chicago,es,Yes,x\n"


def _build(tmp_path: Path, csv: bytes | str, mapping: str = MAPPING, **options: Any) -> BuildReport:
    source, file = tmp_path / "rows.csv", tmp_path / "mapping.yaml"
    source.write_bytes(csv if isinstance(csv, bytes) else csv.encode())
    file.write_text(mapping)
    return build_base(
        source, read_mapping(file, SCHEMA), SCHEMA, SECRET, tmp_path / "base", as_of_us=AS_OF_US, **options
    )


def _described(folder: Path, key: str) -> dict[str, Any]:
    keys = SubscriberKeys(SECRET)
    binding = Binding(open_current(folder, keys), SCHEMA, Overlay(4, 8))
    found = describe(binding, keys.hash_one(key), AS_OF_US)
    return {
        "found": found.found, "labels": [label.id for label in found.labels], "zone": found.zone, "language": found.language,
        "sms": found.consent[0].said, **{attribute.id: attribute.value for attribute in found.attributes},
    }  # fmt: skip


def test_build_csv_keeps_every_value_exactly(tmp_path: Path) -> None:
    empty = "B2,,,,,,,,,,,,\n"
    report = _build(
        tmp_path, HEAD + GOOD + empty + '"C, 3",0,0.1,1e-3,"é ""x""",1969-12-31T23:59:59.999999Z,-1m,0,No,,en,No,\n'
    )
    assert (report.rows_read, report.rows_kept, report.rows_rejected) == (3, 3, 0)
    assert _described(tmp_path / "base", "A1") == {
        "found": "found", "labels": ["long_tenure", "pays_online", "rich", "two_year"], "zone": "America/Chicago", "language": "es",
        "sms": "granted", "charges": Decimal("90.50"), "joined": 1_746_439_200_000_000, "plan": "Two year", "ratio": 0.5,
        "span": 7_200_000_000, "tenure": 30, "vip": True,
    }  # fmt: skip
    assert _described(tmp_path / "base", "B2") == {
        "found": "found",
        "labels": [],
        "zone": None,
        "language": None,
        "sms": "nothing",
    }
    assert _described(tmp_path / "base", "C, 3") == {
        "found": "found", "labels": [], "zone": None, "language": "en", "sms": "refused", "charges": Decimal("0.10"), "joined": -1,
        "plan": 'é "x"', "ratio": 0.001, "span": -60_000_000, "tenure": 0, "vip": False,
    }  # fmt: skip
    assert _described(tmp_path / "base", "D4")["found"] == "unknown"


BAD = [
    ("months", "abc"), ("months", "-1"), ("months", "1201"), ("months", "1.5"), ("months", "9" * 30), ("months", "1_0"), ("months", "٣"),
    ("charges", "1.005"), ("charges", "-0.01"), ("charges", "10000.01"), ("charges", "1e2"), ("charges", "NaN"), ("charges", "."),
    ("ratio", "nan"), ("ratio", "inf"), ("ratio", "1e999"), ("ratio", "0x10"), ("ratio", "1_0.0"),
    ("joined", "2025-05-05T10:00:00"), ("joined", "yesterday"), ("joined", "2025-02-30"), ("joined", "1" * 40),
    ("span", "5"), ("span", "1x"), ("span", "-"), ("span", "d"),
    ("vip", "perhaps"), ("online", "2"), ("tz", "Mars/Base"), ("tz", "../etc/passwd"), ("lang", "e n"), ("lang", "x" * 40), ("sms", "yes"),
    ("contract", "x" * 1025), ("id", ""), ("id", "   "), ("id", "x" * 257),
]  # fmt: skip


@pytest.mark.parametrize(("column", "cell"), BAD)
def test_build_csv_bad_cell_rejects_its_row_and_says_why(tmp_path: Path, column: str, cell: str) -> None:
    names = HEAD.strip().split(",")
    cells = dict(zip(names, GOOD.strip().split(","), strict=True)) | {"id": "Z9", column: cell}
    report = _build(tmp_path, HEAD + GOOD + ",".join(cells[name] for name in names) + "\n" + GOOD.replace("A1", "A2"))
    assert (report.rows_read, report.rows_kept, report.rows_rejected) == (3, 2, 1)
    assert [(reason.row, reason.column) for reason in report.reasons] == [(3, column)]
    assert "Z9" not in str(report)
    assert len(cell) < 9 or cell not in str(report)


def test_build_csv_bytes_that_are_not_utf8_and_lines_of_another_width(tmp_path: Path) -> None:
    rows = [HEAD.encode(), GOOD.encode(), GOOD.replace("Two year", "\udcff").encode(errors="surrogateescape"), b"short,1\n",
            GOOD.replace("A1", "A2").encode(), b"\xff" + GOOD.encode(), b"a" + b",1" * 40 + b"\n", GOOD.replace("A1", "A3").encode()]  # fmt: skip
    report = _build(tmp_path, b"".join(rows))
    assert [(reason.row, reason.column) for reason in report.reasons] == [
        (3, "contract"), (4, "(whole row)"), (6, "id"), (7, "(whole row)"),
    ]  # fmt: skip
    assert (report.rows_read, report.rows_kept, report.rows_rejected) == (7, 3, 4)


def test_build_duplicate_keys_the_first_is_kept(tmp_path: Path) -> None:
    report = _build(tmp_path, HEAD + GOOD + GOOD.replace("30", "31") + GOOD.replace("A1,30", " A1 ,32"))
    assert (report.rows_kept, report.rows_rejected) == (1, 2)
    assert [(reason.row, reason.column) for reason in report.reasons] == [(3, "id"), (4, "id")]
    assert _described(tmp_path / "base", "A1")["tenure"] == 30


def test_build_parquet_gives_what_the_csv_gives(tmp_path: Path) -> None:
    (tmp_path / "csv").mkdir()
    _build(tmp_path / "csv", HEAD + GOOD + "B2,,,,,,,,,,,,\n")
    table = pa.table({
        "id": pa.array(["A1", "B2"]).dictionary_encode(),
        "months": pa.array([30, None], pa.int16()),
        "charges": pa.array([Decimal("90.5"), None], pa.decimal128(20, 1)),
        "ratio": pa.array([0.5, None], pa.float32()),
        "contract": pa.array(["Two year", None], pa.large_string()).dictionary_encode(),
        "joined": pa.array([1_746_439_200_000_000_000, None], pa.timestamp("ns", "UTC")),
        "span": pa.array([7200, None], pa.duration("s")),
        "vip": pa.array([True, None]), "online": pa.array([True, None]),
        "tz": ["America/Chicago", None], "lang": ["es", None], "sms": ["Yes", None],
    })  # fmt: skip
    pq.write_table(table, tmp_path / "rows.parquet")
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    mapping = read_mapping(tmp_path / "mapping.yaml", SCHEMA)
    report = build_base(tmp_path / "rows.parquet", mapping, SCHEMA, SECRET, tmp_path / "base", as_of_us=AS_OF_US)
    assert report.rows_kept == 2
    assert report.version == current_version(tmp_path / "csv" / "base")


def test_build_parquet_values_beyond_their_type(tmp_path: Path) -> None:
    count = 7
    table = pa.table({
        "id": list(range(count)),
        "months": pa.array([1, 2**63, 3, 4, 5, 6, 7], pa.uint64()),
        "charges": pa.array([Decimal("1.001"), Decimal(1), Decimal(10**20), Decimal("2.000"), Decimal(3), Decimal(4), Decimal(5)], pa.decimal128(38, 3)),
        "ratio": [0.0, 0.0, 0.0, 0.0, float("nan"), float("inf"), 0.5],
        "contract": ["x"] * count,
        "joined": pa.array([0, 0, 0, 1, 0, 0, 0], pa.timestamp("ns")),
        "span": pa.array([0] * count, pa.duration("ms")), "vip": pa.array([0, 1, 0, 1, 0, 1, 0]), "online": [True] * count,
        "tz": [""] * count, "lang": [""] * count, "sms": [""] * count,
    })  # fmt: skip
    pq.write_table(table, tmp_path / "rows.parquet")
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    mapping = read_mapping(tmp_path / "mapping.yaml", SCHEMA)
    report = build_base(tmp_path / "rows.parquet", mapping, SCHEMA, SECRET, tmp_path / "base", as_of_us=AS_OF_US)
    assert report.rows_kept == 1
    assert [(reason.row, reason.column) for reason in report.reasons] == [
        (1, "charges"), (2, "months"), (3, "charges"), (4, "joined"), (5, "ratio"), (6, "ratio"),
    ]  # fmt: skip
    assert open_current(tmp_path / "base", SubscriberKeys(SECRET)).manifest.rows == 1


@pytest.mark.parametrize(
    ("csv", "match"),
    [
        ("", "heading"),
        ("id\nA1\n", "has no column charges, contract"),
        (HEAD.replace("unused", "id"), "id is there more than once"),
        (HEAD + "A1," + "x" * (13 << 20) + "\n", "longer than"),
        (HEAD + '"A1' + GOOD * 160_000, "longer than|quote"),
        (HEAD + GOOD + '"A2,' + GOOD * 20, "row 3 opens a quote that is never closed"),
        (HEAD + GOOD + 'A2,"30' + GOOD * 20, "row 3 opens a quote that is never closed"),
        (b"\xff\xfe\x00" + HEAD.encode(), "heading|has no column"),
        (HEAD, "none of its 0 rows can be kept.*it has none"),
        (
            HEAD + GOOD.replace("A1", "") * 3,
            "none of its 3 rows can be kept.*row 2, column id: expected a subscriber key",
        ),
    ],
)
def test_build_file_that_cannot_be_loaded_leaves_the_base_in_use(tmp_path: Path, csv: bytes | str, match: str) -> None:
    first = _build(tmp_path, HEAD + GOOD).version
    with pytest.raises(SourceError, match=match):
        _build(tmp_path, csv)
    assert current_version(tmp_path / "base") == first
    assert sorted(path.name for path in (tmp_path / "base").iterdir()) == sorted([first, "current"])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_build_line_of_another_width_that_is_not_utf8_stops_the_load_and_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="Row #3: Expected 13 columns, got 2, and bytes that are not UTF-8") as caught:
        _build(tmp_path, HEAD.encode() + GOOD.encode() + b"+14125550182,\xff\n")
    assert "4125550182" not in str(caught.value)


def test_build_parquet_column_of_a_type_that_cannot_serve(tmp_path: Path) -> None:
    names = [name for name in HEAD.strip().split(",") if name != "unused"]
    table = pa.table({name: pa.array(["x"]) if name != "charges" else pa.array([0.1]) for name in names})
    pq.write_table(table, tmp_path / "rows.parquet")
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    with pytest.raises(SourceError, match="column charges for charges: double cannot give an exact decimal"):
        build_base(
            tmp_path / "rows.parquet",
            read_mapping(tmp_path / "mapping.yaml", SCHEMA),
            SCHEMA,
            SECRET,
            tmp_path / "base",
            as_of_us=AS_OF_US,
        )
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(SourceError, match="cannot be read"):
        build_base(
            tmp_path / "rows.parquet",
            read_mapping(tmp_path / "mapping.yaml", SCHEMA),
            SCHEMA,
            SECRET,
            tmp_path / "base",
            as_of_us=AS_OF_US,
        )


def test_build_rows_with_their_own_as_of(tmp_path: Path) -> None:
    mapping = MAPPING + "as_of: {column: unused}\n"
    rows = [
        GOOD.replace(",x\n", f",{text}\n").replace("A1", f"A{k}")
        for k, text in enumerate(["2026-05-01T00:00:00.9Z", "", "2099-01-01"])
    ]
    report = _build(tmp_path, HEAD + "".join(rows), mapping)
    assert [(reason.row, reason.column) for reason in report.reasons] == [(3, "unused"), (4, "unused")]
    snapshot = open_current(tmp_path / "base", SubscriberKeys(SECRET))
    assert snapshot.row_as_of_us(0) == 1_777_593_600_000_000


def test_build_msisdn_forms_and_many_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loaders.base.source.BLOCK_BYTES", 1 << 16)
    monkeypatch.setattr("loaders.base.source.BATCH_ROWS", 300)
    mapping = MAPPING.replace("{column: id}", "{column: id, kind: msisdn, region: US}")
    tail = GOOD[2:]
    rows = [f"+1212{k:07}{tail}" for k in range(2_000_000, 2_003_000)]
    rows[2_999] = f'"(212) 555-1234"{tail}'
    rows[2_998] = f"nonsense{tail}"
    seen: list[Progress] = []
    report = _build(tmp_path, HEAD + "".join(rows), mapping, progress=seen.append)
    assert (report.rows_kept, report.rows_rejected) == (2_999, 1)
    assert report.reasons[0].row == 3_000
    assert len(seen) > 10
    assert seen[-1].rows_read == 3_000
    assert [progress.stage for progress in seen] == sorted(progress.stage for progress in seen)
    assert {progress.stage: progress.done for progress in seen} == {"reading": pytest.approx(1.0), "writing": 1.0}
    keys = SubscriberKeys(SECRET, "msisdn", "US", parse_number)
    snapshot = open_current(tmp_path / "base", keys)
    assert snapshot.find(keys.hash_one("+1 212 555 1234")) >= 0
    assert snapshot.find(keys.hash_one("12122000001")) >= 0


def test_read_mapping_reports_every_mistake_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_text(
        "key: {column: id, kind: imsi}\nattributes: {tenur: months}\nlabels: {rich: [1]}\ncolours: x\nconsent: {a/b: {column: c}}\n"
        "columns: {x: number}\nbool: {true: [a], false: [a]}\ncsv: {delimiter: ab}\nzone: {colum: z}\n"
    )
    with pytest.raises(CatalogueErrors) as caught:
        read_mapping(path, SCHEMA)
    lines = [problem.line for problem in caught.value.problems]
    assert set(lines) == set(range(1, 10))
    path.write_text(MAPPING.replace("months > 24", "monts > 24").replace("online\n", "1 + 1\n"))
    (tmp_path / "rows.csv").write_text(HEAD + GOOD)
    mapping = read_mapping(path, SCHEMA)
    with pytest.raises(CatalogueErrors) as caught:
        build_base(tmp_path / "rows.csv", mapping, SCHEMA, SECRET, tmp_path / "base", as_of_us=AS_OF_US)
    assert [problem.line for problem in caught.value.problems] == [5, 6]
    assert not (tmp_path / "base").exists()


def test_shown_progress_without_a_terminal_writes_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loaders.base.progress.LINE_EVERY_S", 0.0)
    stream = io.StringIO()
    with shown_progress(stream) as show:
        show(Progress(1_000, 2, 0.5))
    assert stream.getvalue() == "reading: 50%, 1,000 rows, 2 rejected\n"


def test_bench_base_load_smallest_size(tmp_path: Path) -> None:
    measured = run(3_000, 7, tmp_path)
    assert measured["rows"] == 3_000
    assert measured["bytes_per_subscriber"] <= 130
    assert np.isfinite(measured["rows_per_s"])
