"""The rpc bench in its smallest size: real servers, the keys that it promises, answers that are checked."""

import json

import pytest
from click.testing import CliRunner

from bench.command import bench
from engine.jit import COMPILED

pytestmark = pytest.mark.skipif(not COMPILED, reason="a server of plain Python answers too few calls to measure")


def test_rpc_smallest_size_has_the_promised_keys() -> None:
    done = CliRunner().invoke(bench, ["rpc", "--json", "--smallest"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    for key in ("ratio_vs_grpc_aio_empty", "ratio_vs_native_empty", "p99_ms_at_half_load"):
        assert found[key] > 0, key
    assert (found["ratio_vs_cpp_empty"] is None) == ("cpp_empty" in found["missing"])
    assert found["offered_share"] >= 0.95
    assert found["machine"]["cores"] >= 1
    for run in found["percentiles"]["touchpoint"]:
        assert run["failed"] == 0
        assert 0 < run["latency_ms"]["p50"] <= run["latency_ms"]["p99_99"]
