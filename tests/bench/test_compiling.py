"""The bench of compiling runs in its smallest size, on a catalogue that is right, each campaign with a condition of its own."""

from pathlib import Path

from bench.compiling import run
from bench.large_catalogue import catalogue_files


def test_bench_compiling_smallest_size(tmp_path: Path) -> None:
    figures = run(offers=40, campaigns=20, rounds=1, seed=1, folder=tmp_path)
    assert (figures["candidates"], figures["conditions"]) == (40, 20)
    for stage in ("yaml", "yaml_and_read", "check", "texts", "rulebook", "encode", "compile", "decode", "bind_rules"):
        assert figures[f"{stage}_s"] > 0, stage


def test_large_catalogues_are_the_same_for_the_same_numbers() -> None:
    assert list(catalogue_files(30, 10, 5)) == list(catalogue_files(30, 10, 5)) != list(catalogue_files(30, 10, 6))
