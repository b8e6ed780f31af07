"""A reload happens beside the decisions: they go on while it binds, it leaves nothing behind, and the collector has nothing to look at."""

import gc
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs
from touchpoint.v1 import admin_service_pb2 as admin

from server.front import Successor
from server.lifecycle import settle_memory
from server.reloading import GIVE_WAY_S
from tests.server.operator_fixture import CATALOGUE, write_operator
from tests.server.running import Running, asking, running, settings_for

WATCHED_MAX = 100_000
"""Objects that the collector may have to look at after a reload; a rulebook of 1,000 offers alone has more."""


def edited(folder: Path, cap: int) -> None:
    text = CATALOGUE.replace("{id: extras, state: live,", f"{{id: extras, state: {('paused', 'live')[cap % 2]},")
    (folder / "catalogue" / "all.yaml").write_text(text)


def reload(server: Running) -> admin.ReloadResponse:
    return server.admin.Reload(admin.ReloadRequest())


def test_decisions_go_on_while_a_reload_binds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = write_operator(folder)
    with running(settings_for(operator, rulebook=str(folder / "catalogue"))) as server:
        front, binding, go_on = server.server.decisions, threading.Event(), threading.Event()
        successor = front.successor
        seen: dict[str, Any] = {}

        def slowly(*what: Any) -> Successor:
            seen["thread"], seen["interval_s"], seen["collecting"] = (
                threading.current_thread().name,
                sys.getswitchinterval(),
                gc.isenabled(),
            )
            made = successor(*what)
            binding.set()
            assert go_on.wait(60)
            return made

        monkeypatch.setattr(front, "successor", slowly)
        edited(folder, 0)
        answers: list[admin.ReloadResponse] = []
        reloading = threading.Thread(target=lambda: answers.append(reload(server)))
        before_s = sys.getswitchinterval()
        reloading.start()
        assert binding.wait(60)
        meanwhile = server.decisions.Decide(asking(14))
        go_on.set()
        reloading.join(60)
        after = server.decisions.Decide(asking(15))
        assert meanwhile.offers
        assert answers[0].changed
        assert answers[0].rulebook_generation == meanwhile.rulebook_generation + 1 == after.rulebook_generation
        assert seen["thread"] != "decisions"
        assert seen["interval_s"] == pytest.approx(GIVE_WAY_S)
        assert not seen["collecting"]
        assert sys.getswitchinterval() == before_s
        assert gc.isenabled()


def test_what_a_reload_replaces_is_freed_without_the_collector(folder: Path) -> None:
    """It is out of the collector's sight, so a cycle would stay for good."""
    operator = write_operator(folder)
    with running(settings_for(operator, rulebook=str(folder / "catalogue"))) as server:
        settle_memory()
        for number in range(2):
            front = server.server.decisions
            engine, speaking = front.engine, front._speaking
            parts: tuple[Any, ...] = (engine.bound, engine._decider, *speaking)
            old = {type(part).__name__: weakref.ref(part) for part in parts}
            del parts, speaking
            edited(folder, number)
            frozen = gc.get_freeze_count()
            assert reload(server).changed
            assert [name for name, part in old.items() if part() is not None] == []
            assert gc.get_freeze_count() > frozen / 2
            assert len(gc.get_objects()) < WATCHED_MAX
        gc.unfreeze()


def test_a_caller_that_goes_away_does_not_stop_a_reload_half_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = write_operator(folder)
    with running(settings_for(operator, rulebook=str(folder / "catalogue"), front="grpcio")) as server:
        front, begun, go_on = server.server.decisions, threading.Event(), threading.Event()
        take_over, generation = front.take_over, server.decisions.Decide(asking(14)).rulebook_generation

        def slowly(successor: Successor) -> Successor:
            begun.set()
            assert go_on.wait(60)
            return take_over(successor)

        monkeypatch.setattr(front, "take_over", slowly)
        edited(folder, 0)
        call = server.admin.Reload.future(admin.ReloadRequest())
        assert begun.wait(60)
        call.cancel()
        time.sleep(0.2)
        go_on.set()
        edited(folder, 1)
        after = reload(server)
        assert after.changed, "the one before had taken over"
        assert after.rulebook_generation == generation + 2


def test_a_reload_that_fails_as_nobody_foresaw_is_in_the_log_and_in_the_status(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = write_operator(folder)
    with running(settings_for(operator, rulebook=str(folder / "catalogue"))) as server, capture_logs() as logged:

        def fail(*_: Any) -> Successor:
            raise OSError(22, "Invalid argument")

        monkeypatch.setattr(server.server.decisions, "successor", fail)
        edited(folder, 0)
        with pytest.raises(grpc.RpcError) as caught:
            reload(server)
        assert caught.value.code() == grpc.StatusCode.INTERNAL
        server.on_loop(server.server.reload())  # as SIGHUP asks
        assert server.admin.GetStatus(admin.GetStatusRequest()).last_reload_error
        failed = [(entry["error"], bool(entry["where"])) for entry in logged if entry["event"] == "reload failed"]
        assert failed == [("OSError", True)] * 2
        monkeypatch.undo()
        assert reload(server).changed
        assert not server.admin.GetStatus(admin.GetStatusRequest()).last_reload_error
