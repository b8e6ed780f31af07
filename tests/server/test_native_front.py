"""The native front's own ground: its private socket, who counts as local, shedding, several pieces of a batch, a start that fails."""

import asyncio
import os
import socket
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1.admin_service_pb2_grpc import AdminServiceStub
from touchpoint.v1.decision_service_pb2_grpc import DecisionServiceStub

from server.decision_thread import CALL_ITEMS_MAX
from server.failure import Failure
from server.gate import Gate
from server.lifecycle import Server
from server.native_front import NativeFront
from server.security import Principal, Tokens, new_token
from tests.server.operator_fixture import Operator
from tests.server.running import Running, asking, running, settings_for
from tests.server.test_transport import until

ADMIN = "touchpoint.v1.AdminService"
DECISIONS = "touchpoint.v1.DecisionService"


def private_folder(server: Running) -> Path:
    assert isinstance(server.server.grpc, NativeFront)
    return server.server.grpc._folder.path


def code_of_status(channel: grpc.Channel) -> grpc.StatusCode:
    try:
        AdminServiceStub(channel).GetStatus(admin.GetStatusRequest(), timeout=30)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_the_private_socket_is_for_this_user_alone_and_goes_with_the_server(operator: Operator) -> None:
    with running(settings_for(operator, front="native")) as server:
        folder = private_folder(server)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_ISSOCK((folder / "s").stat().st_mode)
    assert not folder.exists()


def test_whoever_comes_through_the_private_socket_is_not_local(operator: Operator) -> None:
    with running(settings_for(operator, front="native")) as server:
        assert code_of_status(server.channel) == grpc.StatusCode.OK
        with grpc.insecure_channel(f"unix:{private_folder(server) / 's'}") as behind:
            assert code_of_status(behind) == grpc.StatusCode.PERMISSION_DENIED
            assert DecisionServiceStub(behind).Decide(asking(1, dry_run=True)).offers


def test_administration_is_refused_to_those_beyond_loopback(operator: Operator) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        own = asked.getsockname()[0]
    open_to_all = {"listen": "0.0.0.0:0", "insecure": True, "network_trusted": True, "front": "native"}
    with running(settings_for(operator, **open_to_all)) as server:
        assert code_of_status(server.channel) == grpc.StatusCode.OK
        with grpc.insecure_channel(f"{own}:{server.serving.port}", [("grpc.enable_http_proxy", 0)]) as elsewhere:
            assert code_of_status(elsewhere) == grpc.StatusCode.PERMISSION_DENIED
            assert DecisionServiceStub(elsewhere).Decide(asking(1, dry_run=True)).offers


def test_a_unix_socket_is_local(operator: Operator) -> None:
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        path = f"unix:{folder}/s"
        with running(settings_for(operator, front="native", listen=path)) as server:
            assert code_of_status(server.channel) == grpc.StatusCode.OK
            assert server.decisions.Decide(asking(1, dry_run=True)).offers


@pytest.mark.parametrize("front", ["grpcio", "native"])
def test_more_than_may_wait_is_shed(operator: Operator, front: str) -> None:
    with running(settings_for(operator, front=front, queue_items_max=10)) as server:
        load = server.server.thread.load
        with server.busy():
            waiting = [server.decisions.Decide.future(asking(n, dry_run=True)) for n in range(9)]
            until(lambda: load.waiting_items == 10)
            batch = pb.DecideBatchRequest(items=[asking(n) for n in range(3)])
            calls: list[tuple[Any, Any]] = [
                (server.decisions.Decide, asking(10)),
                (server.decisions.DecideBatch, batch),
            ]
            for method, asked in calls:
                with pytest.raises(grpc.RpcError) as caught:
                    method(asked)
                assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
                assert caught.value.details() == "10 decisions wait already, of 10 at most; send again later"
        assert all(call.result(30).offers for call in waiting)
        assert server.decisions.Decide(asking(10)).offers
        assert load.shed_items == 4
        assert load.waiting_items == 0


def test_a_batch_that_is_given_up_is_not_decided_to_its_end(operator: Operator) -> None:
    with running(settings_for(operator, front="native")) as server:
        load = server.server.thread.load
        batch = pb.DecideBatchRequest(items=[asking(n % 50, dry_run=True) for n in range(10 * CALL_ITEMS_MAX)])
        with server.busy():
            call = server.decisions.DecideBatch.future(batch)
            until(lambda: load.waiting_items == 1 + 10 * CALL_ITEMS_MAX)
            call.cancel()
            time.sleep(0.1)
        until(lambda: load.waiting_items == 0)
        assert load.dropped_items == CALL_ITEMS_MAX, "the first piece was dropped, the others never came"


def test_a_command_comes_after_the_native_calls_that_were_queued_before_it(operator: Operator) -> None:
    with running(settings_for(operator, front="native")) as server:
        load, engine = server.server.thread.load, server.server.decisions.engine
        before = engine.ledger.statistics()["contacts"]
        with server.busy():
            call = server.decisions.Decide.future(asking(1))
            until(lambda: load.waiting_items == 2)
            seen = server.server.thread.run(lambda: engine.ledger.statistics()["contacts"])
            counting = asyncio.run_coroutine_threadsafe(seen, server.loop)
            until(lambda: load.waiting_items == 3)
        assert counting.result(30) == before + len(call.result(30).offers)


def test_a_failed_start_leaves_no_folder(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="t-") as folder, socket.socket() as taken:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = settings_for(operator, front="native", listen=f"127.0.0.1:{taken.getsockname()[1]}")

        async def start() -> None:
            await Server(settings).start()

        with pytest.raises(OSError, match="listen: cannot listen on 127"):
            asyncio.run(start())
        assert not list(Path(folder).iterdir())


def test_a_gate_remembers_whom_it_admitted_and_nobody_else(tmp_path: Path) -> None:
    token, digest = new_token()
    file = tmp_path / "tokens"
    file.write_text(f'[[tokens]]\nname = "desk"\nsha256 = "{digest}"\nscopes = ["decide"]\n')
    file.chmod(0o600)
    gate = Gate(Tokens.read(file))
    shown: Any = (("authorization", f"Bearer {token}"),)
    for _ in range(2):
        assert gate.admit_quickly(DECISIONS, shown, "") == Principal("desk", ("decide",))
        for service, metadata in ((ADMIN, shown), (DECISIONS, ()), (DECISIONS, (("authorization", "Bearer x"),))):
            assert isinstance(gate.admit_quickly(service, metadata, ""), Failure)


def test_a_gate_without_tokens_remembers_peers_each_for_itself() -> None:
    gate = Gate(None)
    for _ in range(2):
        assert isinstance(gate.admit_quickly(ADMIN, (), "ipv4:127.0.0.1:5"), Principal)
        assert isinstance(gate.admit_quickly(ADMIN, (), "ipv4:10.0.0.9:5"), Failure)
        assert isinstance(gate.admit_quickly(DECISIONS, (), "ipv4:10.0.0.9:5"), Principal)
    behind = Gate(None, behind=True)
    assert isinstance(behind.admit(ADMIN, (), "unix:"), Failure)
    assert isinstance(behind.admit(DECISIONS, (), "unix:"), Principal)


def library_threads() -> set[int]:
    """The threads of every native front in this process: other tests' servers have theirs."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread that has ended meanwhile
            if (task / "comm").read_text().startswith("grpc-native-io"):
                found.add(int(task.name))
    return found


def policies(threads: set[int]) -> set[int]:
    return {os.sched_getscheduler(thread) for thread in threads}


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="this system has no such policy")
def test_on_a_core_they_share_the_librarys_threads_do_not_interrupt_decisions(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = library_threads()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    with running(settings_for(operator, front="native")) as server:
        own = library_threads() - before
        assert policies(own) == {os.SCHED_BATCH}
        server.server.reloading.on_busy(True)
        assert policies(own) == {os.SCHED_OTHER}
        server.server.reloading.on_busy(False)
        assert policies(own) == {os.SCHED_BATCH}
        server.server.reloading.on_busy(True)  # as other tests' servers had it


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="this system has no such policy")
def test_with_more_cores_the_librarys_threads_are_left_alone(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = library_threads()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    with running(settings_for(operator, front="native")) as server:
        server.server.reloading.on_busy(False)
        assert policies(library_threads() - before) == {os.SCHED_OTHER}
