"""A reload rests while decisions are made, goes on between two turns, and never rests while nobody asks."""

import pytest

from engine.breathing import breathe
from server.pacing import GLANCE_S, REST_S, REST_S_MAX, STEP_S, STEP_S_MAX, Pace


class Day:
    """A clock that goes on while somebody sleeps or works, and what the server does meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, busy_until_s: float = 0.0, per_s: float = 0.0) -> None:
        self.now_s = 1.0
        self.rests: list[float] = []
        self.busy_until_s = busy_until_s
        self.per_s = per_s
        monkeypatch.setattr("server.pacing.time.perf_counter", lambda: self.now_s)
        monkeypatch.setattr("server.pacing.time.sleep", self.sleep)
        self.pace = Pace(lambda: self.now_s < self.busy_until_s, lambda: int(self.per_s * self.now_s))

    def sleep(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now_s += seconds

    def work(self, steps: int, each_s: float) -> None:
        for _ in range(steps):
            self.now_s += each_s
            breathe()


def test_nobody_asks_and_nothing_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    day = Day(monkeypatch)
    day.pace.run(lambda: day.work(1_000, 0.0001))
    assert day.rests == []


def test_work_rests_after_each_step_while_decisions_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    day = Day(monkeypatch, per_s=1_000)
    day.pace.run(lambda: day.work(1_000, 0.0001))
    steps = int(1_000 * 0.0001 / STEP_S)
    assert steps * 0.7 <= len(day.rests) <= steps + 1
    assert set(day.rests) == {REST_S}


def test_work_goes_on_once_no_turn_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    day = Day(monkeypatch, busy_until_s=1.0 + REST_S + 2.5 * GLANCE_S)
    day.pace.run(lambda: day.work(1, 0.0))
    assert day.rests == [REST_S, GLANCE_S, GLANCE_S, GLANCE_S]


def test_a_step_after_a_long_rest_is_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    day = Day(monkeypatch, busy_until_s=float("inf"))
    day.pace.run(lambda: day.work(1, 0.0))
    first = len(day.rests)
    day.pace.run(lambda: day.work(19, STEP_S_MAX / 20))
    assert len(day.rests) == first
    day.pace.run(lambda: day.work(2, STEP_S_MAX / 20))
    assert len(day.rests) > first


def test_work_goes_on_in_the_end_however_busy_the_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    day = Day(monkeypatch, busy_until_s=float("inf"))
    day.pace.run(lambda: day.work(1, 0.0))
    assert REST_S_MAX <= sum(day.rests) < REST_S_MAX + 2 * GLANCE_S


def test_what_is_run_gives_its_result_and_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    day = Day(monkeypatch)
    assert day.pace.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        day.pace.run(lambda: 1 // 0)
