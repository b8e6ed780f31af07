"""The bench of scans runs in its smallest size, and decides the same however it is asked."""

from pathlib import Path

from bench.catalogues import shelf_of, write_rulebook
from bench.scanning import run
from bench.worlds import built
from engine.base.snapshot import open_current
from engine.rulebook import load_rulebook


def test_bench_scanning_smallest_size(tmp_path: Path) -> None:
    world = built(300, 1, tmp_path / "worlds")
    rulebook = load_rulebook(write_rulebook(tmp_path, shelf_of(10, 1)))
    figures = run(rulebook, open_current(world.base, None))
    assert (figures["subscribers"], figures["candidates"]) == (300, 10)
    assert figures["offered"] > 200
    for name in ("answered", "counted", "segments", "against", "rounds"):
        assert figures[f"{name}_s"] > 0, name
