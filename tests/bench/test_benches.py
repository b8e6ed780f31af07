"""Each bench in its smallest size: real servers and engines, the keys that it promises, answers that are checked."""

import json
from pathlib import Path
from typing import Any

import pytest
from click import ClickException
from click.testing import CliRunner

import bench.charts
from bench import columns_alone, start
from bench.command import NAMES
from bench.command import bench as command
from bench.measured import RunError
from bench.operator import Operator
from bench.reload import check_within
from bench.rules import rules
from engine.jit import COMPILED

pytestmark = pytest.mark.skipif(not COMPILED, reason="a server of plain Python answers too few calls to measure")


@pytest.fixture(autouse=True)
def charts_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench.charts, "FOLDER", tmp_path / "charts")


def smallest(name: str) -> dict[str, Any]:
    """Run a bench's smallest size and return its JSON."""
    done = CliRunner().invoke(command, [name, "--json", "--smallest"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.output)
    assert found["bench"] == name
    assert found["seed"] == 1
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["versions"]["numba"]
    for path in found.get("charts", []):
        assert Path(path).read_bytes().startswith(b"\x89PNG")
    for runs in found.get("percentiles", {}).values():
        for run in runs:
            assert run["failed"] == 0
            latency = run["latency_ms"]
            assert 0 < latency["p50"] <= latency["p99"] <= latency["p99_99"] <= latency["max"]
    return found


def test_rpc() -> None:
    found = smallest("rpc")
    for key in ("ratio_vs_grpc_aio_empty", "ratio_vs_native_empty", "p99_ms_at_half_load"):
        assert found[key] > 0, key
    assert (found["ratio_vs_cpp_empty"] is None) == ("cpp_empty" in found["missing"])
    assert found["offered_share"] >= 0.95


def test_batch() -> None:
    found = smallest("batch")
    assert found["decisions_per_s"] > 0
    assert found["ratio_vs_echo"] > 0
    assert found["offered_share"] >= 0.95


def test_columns() -> None:
    found = smallest("columns")
    assert found["decisions_per_s"] > 0
    assert found["ratio_vs_echo"] > 0
    assert found["offered_share"] >= 0.95


def test_columns_without_grpc() -> None:
    found = columns_alone.run(rows=2_000, offers=10, tables=2, seed=1)
    assert found["us_per_decision"] > 0
    assert set(found["us_by_stage"]) == set(columns_alone.STAGES)
    assert found["offered_share"] >= 0.95


def test_load() -> None:
    found = smallest("load")
    assert found["p99_ms_at_half_load"] >= found["p50_ms_at_half_load"] > 0
    assert len(found["charts"]) == 1


def test_reload() -> None:
    found = smallest("reload")
    assert found["p99_ratio"] > 0
    assert found["reloads"] == 1


@pytest.mark.parametrize("span", [(9.9, 10.5), (14.5, 15.1), (9.0, 16.0)])
def test_a_reload_that_is_not_within_its_run_fails_it(span: tuple[float, float]) -> None:
    check_within((10.0, 15.0), 10.0, 5.0)
    with pytest.raises(RunError, match="--seconds"):
        check_within(span, 10.0, 5.0)


def test_steady() -> None:
    """Far fewer decisions, for which what fills once, such as messages heard lately, has not filled yet."""
    found = smallest("steady")
    assert found["decisions"] >= 160_000
    assert found["offered_share"] >= 0.95
    assert found["growth_bytes"] <= 4 << 20
    assert found["growth_blocks"] <= 10_000


def test_engine() -> None:
    found = smallest("engine")
    assert set(found["us_per_decision"]) == {"1", "16", "256"}
    assert found["us_per_decision"]["256"] < found["us_per_decision"]["1"]
    assert found["offered_share"] >= 0.95


def test_match() -> None:
    found = smallest("match")
    assert found["equal"] is True
    for name in ("blazerules_batch", "blazerules_single", "zen", "datalogic"):
        assert found[f"ratio_vs_{name}"] > 0
    for each in found["by_rules"].values():
        assert each["us"]["ours"] > 0
        assert each["us"]["ours_match_only"] > 0
        assert min(each["events_checked"].values()) >= 16
        assert each["matches_per_event"] > 0


def test_scale() -> None:
    found = smallest("scale")
    assert len(found["us_by_offers"]) == len(found["us_by_subscribers"]) == 2
    assert found["offers_exponent"] < 5
    assert len(found["charts"]) == 2


def test_memory() -> None:
    found = smallest("memory")
    assert found["bytes_per_subscriber"] > 0
    assert 0 < found["attach_s"] <= 3
    assert found["load"]["rows_per_s_per_core"] > 0


def test_start(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = start._start
    given: list[dict[str, str]] = []

    def with_kernels_at_hand(served: Operator, environment: dict[str, str], to: frozenset[int]) -> start.Started:
        given.append(environment)
        return begin(served, {}, to)

    # An empty cache costs a minute of compilation, which other tests have paid for already.
    monkeypatch.setattr(start, "_start", with_kernels_at_hand)
    found = smallest("start")
    assert [sorted(environment) for environment in given] == [["XDG_CACHE_HOME"]] * 2
    assert all(figure.value(found) > 0 for figure in start.FIGURES)


def test_every_bench_has_a_test_of_its_smallest_size() -> None:
    assert {f"test_{name}" for name in NAMES} <= set(globals())


def test_figures_are_found_in_what_a_bench_returns() -> None:
    """A table for people names the figures by their keys: one that was renamed would silently be `not measured`."""
    done = CliRunner().invoke(command, ["engine", "--smallest"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "us_per_decision.256" in done.output
    assert "at least 0.95" in done.output
    assert "missed" not in done.output, "the smallest size is no measurement"


def test_failed_run_gets_code_1_and_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    import bench.catalogues

    monkeypatch.setattr(bench.catalogues, "broad_rules", rules)
    done = CliRunner().invoke(command, ["engine", "--smallest"], catch_exceptions=False)
    assert done.exit_code == 1
    assert "expected an offer in at least 95% of the answers" in " ".join(done.output.replace("│", "").split())


def test_help_names_every_bench() -> None:
    shown = CliRunner().invoke(command, ["--help"], catch_exceptions=False).output
    assert all(f" {name}" in shown for name in (*NAMES, "all"))


def test_one_bench_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(name: str, _sizes: Any) -> dict[str, Any]:
        if name == "batch":
            raise ClickException("batch: no answer")
        return {"bench": name}

    monkeypatch.setattr("bench.command._measured", measured)
    done = CliRunner().invoke(command, ["all", "--json"])
    assert done.exit_code == 1
    assert [json.loads(line)["bench"] for line in done.stdout.splitlines()] == [
        name for name in NAMES if name != "batch"
    ]
    assert "batch: no answer" in done.stderr


def test_ledger() -> None:
    found = smallest("ledger")
    for key in ("none_ratio", "everysec_ratio", "always_ratio", "redis_ratio", "redis_stock_ratio"):
        assert found[key] > 0, key
    assert found["p50_alone_ms"]["touchpoint_redis"] > 0
    assert found["journal_bytes_per_decision"] > 200
    assert found["offered_share"] >= 0.95


def test_restart() -> None:
    found = smallest("restart")
    for key in ("ready_after_kill_s", "ready_from_snapshot_s", "ready_without_s"):
        assert found[key] > 0, key
    assert found["replay_identical"] == 1
    assert found["replayed"] >= 2_000
