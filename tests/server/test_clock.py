"""The clock loses trust by jumps, not by slewing, and gets it back by confirmation."""

import pytest

from server.clock import Clock

SECOND_US = 1_000_000


class Times:
    def __init__(self) -> None:
        self.wall_us = 1_700_000_000 * SECOND_US
        self.steady_us = 50 * SECOND_US

    def pass_us(self, us: int, jump_us: int = 0) -> None:
        self.steady_us += us
        self.wall_us += us + jump_us


def clock() -> tuple[Times, Clock]:
    times = Times()
    return times, Clock(lambda: times.wall_us, lambda: times.steady_us)


@pytest.mark.parametrize(
    ("jump_us", "trusted"),
    [
        (-2 * SECOND_US, True),
        (-2 * SECOND_US - 1, False),
        (300 * SECOND_US, True),
        (300 * SECOND_US + 1, False),
        (0, True),
    ],
)
def test_a_jump_costs_trust_past_its_bound(jump_us: int, trusted: bool) -> None:
    times, watched = clock()
    times.pass_us(0, jump_us)
    assert watched.now_us() == times.wall_us
    assert watched.trusted is trusted
    assert watched.jump_us == (0 if trusted else jump_us)


def test_confirming_brings_trust_back_at_the_new_time() -> None:
    times, watched = clock()
    times.pass_us(SECOND_US, -3_600 * SECOND_US)
    watched.now_us()
    assert watched.confirm()
    assert watched.trusted
    times.pass_us(SECOND_US)
    assert watched.now_us() == times.wall_us
    assert watched.trusted
    assert not watched.confirm()


def test_two_small_jumps_add_up() -> None:
    times, watched = clock()
    for _ in range(2):
        times.pass_us(SECOND_US, -1_500_000)
        watched.now_us()
    assert not watched.trusted


def test_slewing_for_a_day_is_forgiven() -> None:
    times, watched = clock()
    for _ in range(86_400):
        times.pass_us(SECOND_US, -500)
        watched.now_us()
    assert watched.trusted


def test_reading_often_does_not_wear_a_jump_down() -> None:
    times, watched = clock()
    times.pass_us(0, -1_500_000)
    for _ in range(10_000):
        times.pass_us(50)
        watched.now_us()
    times.pass_us(0, -1_500_000)
    watched.now_us()
    assert not watched.trusted
