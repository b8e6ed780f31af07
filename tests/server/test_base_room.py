"""A base that does not fit beside the present one is refused with what to do, whatever else the reload brings; one that fits is swapped live."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from touchpoint.v1 import admin_service_pb2 as admin

from engine.base.keys import read_secret
from engine.base.manifest import SnapshotError
from engine.base.schema import base_schema_of
from engine.base.snapshot import Snapshot
from loaders.base.build import build_base
from loaders.base.mapping import read_mapping
from loaders.catalogue.load import load_catalogue
from server import base_room
from server.base_room import Preload, available_bytes, check_swap
from server.settings import Settings
from tests.server.operator_fixture import Operator, write_operator
from tests.server.running import Running, running, settings_for


def _sized(size_bytes: int) -> Any:
    return SimpleNamespace(bytes=size_bytes, folder=Path("run/base/new"))


def test_check_swap_compares_both_bases_with_what_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_room, "available_bytes", lambda: 20 << 30)
    auto = Settings()
    check_swap(auto, _sized(10 << 30), _sized(10 << 30))
    with pytest.raises(
        SnapshotError, match=r"run/base/new: .* take 20\.00 GiB together, 20\.00 GiB .* restart the server .*`live`"
    ):
        check_swap(auto, _sized(10 << 30), _sized((10 << 30) + 1))
    check_swap(Settings(base_swap="live"), _sized(10 << 30), _sized(90 << 30))
    with pytest.raises(SnapshotError, match="base_swap is `restart`: restart the server"):
        check_swap(Settings(base_swap="restart"), _sized(1), _sized(1))
    monkeypatch.setattr(base_room, "available_bytes", lambda: None)
    check_swap(auto, _sized(90 << 30), _sized(90 << 30))


def test_available_bytes_is_the_least_of_host_and_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "meminfo": "MemTotal: 9000 kB\nMemAvailable:    5000 kB\n", "cgroup": "1:name=x:/\n0::/a/b\n",
        "a/memory.max": "4000000", "a/memory.current": "3000000", "a/memory.stat": "anon 5\nfile 500000\n",
        "a/b/memory.max": "max", "a/b/memory.current": "1", "a/b/memory.stat": "file 1\n",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(base_room, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(base_room, "_OWN_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(base_room, "_CGROUPS", tmp_path)
    assert available_bytes() == 4_000_000 - 3_000_000 + 500_000
    (tmp_path / "a/memory.max").write_text("max")
    assert available_bytes() == 5_000 * 1_024
    (tmp_path / "meminfo").unlink()
    assert available_bytes() is None


def test_available_bytes_of_this_machine() -> None:
    found = available_bytes()
    assert found is not None
    assert found > 1 << 20


def _new_base(operator: Operator) -> None:
    """Build the operator's base anew without its last customer."""
    rows = (operator.folder / "customers.csv").read_text().splitlines()[:-1]
    (operator.folder / "fewer.csv").write_text("\n".join(rows) + "\n")
    schema = base_schema_of(load_catalogue(operator.folder / "catalogue", now_us=0))
    mapping = read_mapping(operator.folder / "mapping.yaml", schema)
    secret = read_secret(operator.key_secret_file)
    build_base(operator.folder / "fewer.csv", mapping, schema, secret, operator.base, as_of_us=1_780_000_000_000_000)


def _reload(server: Running) -> admin.ReloadResponse:
    return server.admin.Reload(admin.ReloadRequest())


def test_reload_refuses_a_base_that_needs_a_restart_and_serves_on(folder: Path) -> None:
    operator = write_operator(folder)
    with running(settings_for(operator, base_swap="restart")) as server:
        before = server.serving.base_version
        assert not _reload(server).changed
        _new_base(operator)
        with pytest.raises(grpc.RpcError) as caught:
            _reload(server)
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert "nothing was changed" in str(caught.value.details())
        assert "restart the server to serve this base" in str(caught.value.details())
        status = server.admin.GetStatus(admin.GetStatusRequest())
        assert status.base_version == before
    with running(settings_for(operator)) as server:
        assert server.serving.base_version != before


def test_reload_swaps_a_base_that_fits(folder: Path) -> None:
    operator = write_operator(folder)
    with running(settings_for(operator)) as server:
        before = server.serving
        _new_base(operator)
        answer = _reload(server)
        assert answer.changed
        assert answer.base_version != before.base_version


def test_preload_reads_everything_once_and_stops_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    snapshot: Any = SimpleNamespace(bytes=10, preload=lambda stopped: told.append(stopped()))
    Preload(snapshot).stop()
    assert len(told) == 1
    monkeypatch.setattr(base_room, "available_bytes", lambda: 9)
    Preload(snapshot).stop()
    assert len(told) == 1


def test_preload_of_a_snapshot_ends_between_parts(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    from engine.base.keys import SubscriberKeys
    from engine.base.snapshot import open_current

    operator = write_operator(folder)
    monkeypatch.setattr("engine.base.snapshot._PRELOAD_BYTES", 256)
    snapshot: Snapshot = open_current(
        operator.base, SubscriberKeys(read_secret(operator.key_secret_file), "msisdn", "US")
    )
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    snapshot.preload(stopped)
    assert asked == 4
    snapshot.preload()
