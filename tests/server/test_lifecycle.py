"""From start to end: ready only when it can answer, reloads that keep the last good, drains without a failed call, logs without a number."""

import asyncio
import re
import signal
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # it ships none
from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import subscriber_service_pb2 as subscribers
from touchpoint.v1.admin_service_pb2_grpc import AdminServiceStub
from touchpoint.v1.decision_service_pb2_grpc import DecisionServiceStub
from touchpoint.v1.subscriber_service_pb2_grpc import SubscriberServiceStub

from engine.base.manifest import SnapshotError
from engine.jit import compiled_kernels
from engine.rulebook import RulebookError
from server.lifecycle import Server
from server.settings import Settings, SettingsError
from tests.server.operator_fixture import CATALOGUE, CUSTOMERS, NAMES, Operator, msisdn, write_operator
from tests.server.process import Process
from tests.server.running import Running, asking, running, settings_for


def paths(operator: Operator) -> dict[str, str]:
    return {name: str(path) for name, path in operator._asdict().items() if name != "folder"}


def reload(server: Running) -> admin.ReloadResponse:
    return server.admin.Reload(admin.ReloadRequest())


def refused_reload(server: Running) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        reload(server)
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    return str(caught.value.details())


def offers(server: Running, number: int = 14) -> list[str]:
    return [offer.offer for offer in server.decisions.Decide(asking(number, dry_run=True)).offers]


def test_a_reload_without_a_change_swaps_nothing(server: Running) -> None:
    answer = reload(server)
    assert not answer.changed
    assert answer.rulebook_generation == server.serving.generation


def test_a_catalogue_folder_is_compiled_and_reloaded(folder: Path) -> None:
    operator = write_operator(folder)
    source = folder / "catalogue" / "all.yaml"
    with running(settings_for(operator, rulebook=str(source.parent))) as server:
        request = asking(14)
        first = server.decisions.Decide(request)
        assert "music_month" in [offer.offer for offer in first.offers]
        source.write_text(CATALOGUE.replace("{id: extras, state: live,", "{id: extras, state: paused,"))
        answer = reload(server)
        assert answer.changed
        assert answer.rulebook_generation > first.rulebook_generation
        assert "music_month" not in offers(server)
        assert server.decisions.Decide(request).offers == first.offers, "a remembered answer outlives the rulebook"
        assert server.admin.GetStatus(admin.GetStatusRequest()).HasField("reloaded_at")


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (CATALOGUE.replace("subscriber.tenure_months > 12", "subscriber.tenure > 12"), "all.yaml:"),
        ("", "expected country in one of its files"),
        (
            CATALOGUE.replace("  - {id: vip,", "  - {id: newcomer, family: basic, kind: static}\n  - {id: vip,"),
            "label newcomer is missing",
        ),
    ],
)
def test_a_bad_reload_keeps_the_last_good_and_says_why(folder: Path, broken: str, why: str) -> None:
    operator = write_operator(folder)
    source = folder / "catalogue" / "all.yaml"
    with running(settings_for(operator, rulebook=str(source.parent))) as server:
        before = offers(server)
        source.write_text(broken)
        assert why in refused_reload(server)
        status = server.admin.GetStatus(admin.GetStatusRequest())
        assert why in status.last_reload_error
        assert offers(server) == before
        source.write_text(CATALOGUE)
        assert not reload(server).changed
        assert server.admin.GetStatus(admin.GetStatusRequest()).last_reload_error == ""


def test_a_damaged_rulebook_or_base_is_refused_and_changes_nothing(folder: Path) -> None:
    operator = write_operator(folder)
    with running(settings_for(operator)) as server:
        before = offers(server)
        whole = operator.rulebook.read_bytes()
        operator.rulebook.write_bytes(whole[:-1])
        assert "damaged" in refused_reload(server)
        operator.rulebook.write_bytes(whole)
        current = operator.base / "current"
        named = current.read_text()
        current.write_text("20200101T000000Z-0123456789ab\n")
        assert "20200101T000000Z-0123456789ab" in refused_reload(server)
        current.write_text(named)
        assert offers(server) == before


@pytest.mark.parametrize(
    ("changes", "error", "why"),
    [
        ({"rulebook": ""}, SettingsError, "rulebook: expected a path"),
        ({"base": ""}, SettingsError, "base: expected a path"),
        ({"key_secret_file": ""}, SettingsError, "key_secret_file"),
        ({"key_secret_file": "/nowhere"}, SettingsError, "cannot be read"),
        ({"rulebook": "/nowhere"}, RulebookError, "/nowhere"),
        ({"base": "/nowhere"}, SnapshotError, "/nowhere"),
        ({"listen": "10.0.0.1:1"}, SettingsError, "not loopback"),
        ({"tokens_file": "/nowhere"}, SettingsError, "/nowhere"),
        ({"management_listen": "x"}, SettingsError, "expected host:port"),
        (
            {"tls_certificate_file": "/nowhere", "tls_key_file": "/nowhere"},
            SettingsError,
            "tls_key_file: /nowhere cannot be read",
        ),
    ],
)
def test_what_cannot_start_says_why(
    operator: Operator, changes: dict[str, Any], error: type[Exception], why: str
) -> None:
    settings: Settings = settings_for(operator, **changes)

    async def start() -> None:
        await Server(settings).start()

    with pytest.raises(error, match=re.escape(why)):
        asyncio.run(start())


def test_another_secret_than_the_bases_is_refused(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("00" * 16 + "\n")

    async def start() -> None:
        await Server(settings_for(operator, key_secret_file=str(tmp_path / "secret"))).start()

    with pytest.raises(SnapshotError, match="another secret"):
        asyncio.run(start())


def test_a_port_that_is_taken_is_reported(operator: Operator, server: Running) -> None:
    async def start() -> None:
        await Server(settings_for(operator, listen=server.address)).start()

    with pytest.raises(OSError, match="cannot listen on"):
        asyncio.run(start())


def test_nothing_is_compiled_after_ready(server: Running) -> None:
    before = [len(kernel.signatures) for kernel in compiled_kernels if hasattr(kernel, "signatures")]
    for number in range(CUSTOMERS):
        server.decisions.Decide(asking(number))
    after = [len(kernel.signatures) for kernel in compiled_kernels if hasattr(kernel, "signatures")]
    assert after == before


def test_a_stream_under_way_is_answered_and_ended_when_the_server_stops(operator: Operator) -> None:
    started = Running(settings_for(operator))
    gate = threading.Event()

    def requests() -> Any:
        for number in range(3):
            yield pb.DecideStreamRequest(request=asking(number, dry_run=True))
        gate.wait(30)

    answers = started.decisions.DecideStream(requests())
    first = next(answers)
    assert first.answer.offers
    stopping = threading.Thread(target=lambda: started.on_loop(started.server.stop()))
    stopping.start()
    assert len(list(answers)) == 2
    assert answers.code() == grpc.StatusCode.OK
    gate.set()
    stopping.join(30)
    started.channel.close()
    started.close_loop()


class Load:
    """Callers that ask one after the other until told to stop, and what became of their calls."""

    def __init__(self, channel: grpc.Channel, callers: int) -> None:
        self.stop = threading.Event()
        self.codes: list[grpc.StatusCode] = []
        self._stub = DecisionServiceStub(channel)
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(callers)]
        for thread in self._threads:
            thread.start()

    def _ask(self, number: int) -> None:
        while not self.stop.is_set():
            try:
                self._stub.Decide(asking(number % CUSTOMERS), timeout=30)
                self.codes.append(grpc.StatusCode.OK)
            except grpc.RpcError as error:
                self.codes.append(error.code())

    def end(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(30)


def test_sigterm_drains_under_load_without_a_failed_call(operator: Operator, tmp_path: Path) -> None:
    flags = {**paths(operator), "management_listen": "127.0.0.1:0", "drain_notice_ms": 2_000}
    with Process(tmp_path, **flags) as process, process.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watched = stub.Watch(health_pb2.HealthCheckRequest())
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        load = Load(channel, 8)
        time.sleep(0.5)
        process.signal(signal.SIGTERM)
        # Callers that heed the health service stop sending when it says NOT_SERVING; no call of theirs may fail.
        assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
        answered = len(load.codes)
        time.sleep(0.3)
        load.end()
        assert len(load.codes) > answered, "calls are still answered during the notice time"
        assert set(load.codes) == {grpc.StatusCode.OK}
        watched.cancel()
        assert process.end() == 0


def test_calls_under_way_at_the_end_of_the_notice_time_are_answered(operator: Operator) -> None:
    started = Running(settings_for(operator, drain_notice_ms=0))
    with started.busy() as release:
        calls = [started.decisions.Decide.future(asking(n)) for n in range(8)]
        end = time.monotonic() + 30
        while started.server.thread.load.waiting_items < 9:
            assert time.monotonic() < end
            time.sleep(0.01)
        stopping = asyncio.run_coroutine_threadsafe(started.server.stop(), started.loop)
        time.sleep(0.3)
        with pytest.raises(grpc.RpcError) as caught:
            started.decisions.Decide(asking(9), timeout=2)
        assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        release()
    assert all(call.result(30).offers for call in calls)
    stopping.result(30)
    started.channel.close()
    started.close_loop()


def http(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_management_port_shows_readiness_and_figures(server: Running) -> None:
    port = server.serving.management_port
    server.decisions.Decide(asking(0))
    assert http(port, "/livez") == (200, "ok\n")
    assert http(port, "/readyz") == (200, "ok\n")
    status, text = http(port, "/metrics")
    assert status == 200
    for name in (
        'touchpoint_decisions_total{reason="OFFERED"}',
        "touchpoint_decision_seconds_bucket",
        "touchpoint_batch_items_bucket",
        "touchpoint_queue_depth_items",
        "touchpoint_rulebook_generation",
        "touchpoint_base_as_of_seconds",
        "touchpoint_ledger_contacts",
        "touchpoint_memory_bytes",
    ):
        assert name in text
    assert f"touchpoint_base_subscribers {float(CUSTOMERS)}" in text


@pytest.mark.parametrize("style", ["json", "console"])
def test_nothing_printed_holds_a_number_or_a_name(folder: Path, tmp_path: Path, style: str) -> None:
    operator = write_operator(folder)
    flags = {
        **paths(operator),
        "management_listen": "127.0.0.1:0",
        "log_level": "debug",
        "log_style": style,
        "drain_notice_ms": 0,
    }
    with Process(tmp_path, **flags) as process, process.channel() as channel:
        decisions, known = DecisionServiceStub(channel), SubscriberServiceStub(channel)
        for number in range(CUSTOMERS):
            decisions.Decide(asking(number))
            known.GetSubscriber(subscribers.GetSubscriberRequest(subscriber=msisdn(number)))
        for wrong in ({"subscriber": "not a number"}, {"channel": "x"}, {"request_id": ""}):
            with pytest.raises(grpc.RpcError):
                decisions.Decide(asking(1, **wrong))
        known.ForgetSubscriber(subscribers.ForgetSubscriberRequest(subscriber=msisdn(3)))
        operator.rulebook.write_bytes(b"broken")
        process.signal(signal.SIGHUP)
        end = time.monotonic() + 30
        while "reload failed" not in process.text():
            assert time.monotonic() < end, process.text()
            time.sleep(0.05)
        status = AdminServiceStub(channel).GetStatus(admin.GetStatusRequest())
        assert "expected a compiled rulebook" in status.last_reload_error
        process.signal(signal.SIGINT)
        assert process.end() == 0
        text = process.text()
    assert "ready" in text
    assert "stopped" in text
    for number in range(CUSTOMERS):
        digits = msisdn(number).removeprefix("+1")
        assert digits not in text
        assert digits[3:] not in text
    assert not [name for name in NAMES if re.search(rf"\b{re.escape(name)}\b", text)]
