"""The demo's wide table: the sample unchanged, numbers that nobody has, and PROVENANCE.md naming every column."""

import csv
import hashlib
import re
from pathlib import Path

import phonenumbers
import pytest

from loaders.demo.places import PLACES, msisdn_of, place_of
from loaders.demo.synthesis import SAMPLE, wide_rows, write_wide

PROVENANCE = SAMPLE.parent / "PROVENANCE.md"


def test_sample_is_the_file_whose_digest_provenance_states() -> None:
    assert hashlib.sha256(SAMPLE.read_bytes()).hexdigest() in PROVENANCE.read_text()


def test_sample_columns_are_kept_as_they_are() -> None:
    with SAMPLE.open(newline="") as lines:
        for original, wide in zip(csv.DictReader(lines), wide_rows(), strict=True):
            assert original.items() <= wide.items()


def test_every_column_is_accounted_for(tmp_path: Path) -> None:
    write_wide(tmp_path / "wide.csv", "2026-11-21T00:00:00Z")
    with (tmp_path / "wide.csv").open(newline="") as lines:
        columns = set(next(csv.reader(lines)))
    table = [
        line.split("|")[1]
        for line in PROVENANCE.read_text().splitlines()
        if line.startswith("| ") and "---" not in line
    ]
    stated = {name.strip() for cell in table for name in cell.split(",")} - {"column"}
    assert stated == columns


def test_wide_table_is_the_same_each_time(tmp_path: Path) -> None:
    assert write_wide(tmp_path / "a.csv", "2026-11-21T00:00:00Z") == 4930
    write_wide(tmp_path / "b.csv", "2026-11-21T00:00:00Z")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_numbers_are_fictional_distinct_and_possible() -> None:
    numbers = [row["msisdn"] for row in wide_rows()]
    assert len(set(numbers)) == len(numbers) == 4930
    assert all(re.fullmatch(r"\+1[2-9]\d\d55501\d\d", number) for number in numbers)
    assert all(phonenumbers.is_possible_number(phonenumbers.parse(number)) for number in numbers)


def test_zones_are_those_of_the_area_codes() -> None:
    zones = {place.area_code: place.zone for place in PLACES}
    assert all(zones[row["msisdn"][2:5]] == row["zone"] for row in wide_rows())


def test_no_number_past_the_last_fictional_one() -> None:
    assert msisdn_of(4_999) == f"+1{place_of(4_999).area_code}5550199"
    with pytest.raises(ValueError, match="fictional"):
        msisdn_of(5_000)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="21 columns"):
        next(iter(wide_rows(tmp_path / "other.csv")))
