"""What counts toward a cap, until when, and how much: the counting kernels against engine/README.md in plain Python."""

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from engine.bound import Bound
from engine.dtypes.contact import (
    ACCEPTED,
    CONTACT,
    COUNTS,
    DECIDED,
    EVENT_COUNT,
    HANDED_OFF,
    LIVE,
    PUSH,
    SEEN,
    TOTAL_DAYS,
    Contacts,
    Totals,
)
from engine.dtypes.ledger import FOREVER_US, LIFETIME
from engine.dtypes.rules import SCOPE_ALL, SCOPE_CAMPAIGN, SCOPE_CATEGORY, SCOPE_CHANNEL, SCOPE_OFFER
from engine.jit import frozen
from engine.kernels.counting import (
    add_used,
    count_contacts,
    counted_us,
    event_end_us,
    event_us,
    kth_smallest,
    lower_bound_us,
    scope_code,
    stops_counting_us,
    total_used,
    used_of,
)
from engine.limits import NEVER_US
from tests.engine.kernels.pair import ANN, Pair, person
from tests.oracle.clock import window_end, window_start
from tests.oracle.small import CHICAGO, DAY, HOUR, NOON, campaign, cap, offer

EVENTS = {DECIDED: "granted_us", HANDED_OFF: "handed_off_us", SEEN: "seen_us", ACCEPTED: "accepted_us"}
CAPS = [
    cap("a_rolling", window={"rolling": "7d"}, counts="seen"),
    cap("b_day", window={"calendar": "day"}, scope="campaign", counts="decided"),
    cap("c_week", window={"calendar": "week", "week_start": "sunday"}, scope="category", counts="handed_off"),
    cap("d_channel", window={"rolling": "2h"}, scope="channel", counts="accepted", target="desk"),
    cap("e_all", window={"calendar": "month"}, scope="all", counts="seen", limit=5),
    cap("f_total", window="lifetime", per="total", counts="accepted"),
]


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> Bound:
    pair = Pair(
        tmp_path_factory.mktemp("counting"),
        person(ANN),
        person("nobody", zone=None),
        policy={"caps": CAPS},
        offers=[offer("a"), offer("b"), offer("c")],
        campaigns=[campaign("k", ["a", "b"]), campaign("m", ["c"])],
    )
    return pair.driver.engine.bound


def record(rng: Random, decision: int) -> Any:
    """A contact whose instants lie around noon, at the edges of every window."""
    edges = [NOON - 7 * DAY, NOON - 2 * HOUR, NOON - 12 * HOUR, NOON - DAY, NOON - 36 * HOUR, NOON, NOON - 60 * DAY]
    row = np.zeros(1, CONTACT)[0]
    row["decision"], row["rank"] = decision, 1
    for name in ("granted_us", "handed_off_us", "seen_us", "accepted_us"):
        row[name] = rng.choice(edges) + rng.choice([-1, 0, 1]) if rng.random() < 0.6 else NEVER_US
    row["granted_us"] = max(int(row["granted_us"]), NOON - 61 * DAY)
    row["refused_us"] = row["not_now_us"] = NEVER_US
    row["expires_us"] = NOON + rng.choice([-HOUR, -1, 0, 1, HOUR])
    row["offer"], row["campaign"], row["category"] = rng.randint(1, 3), rng.randint(1, 2), 1
    row["channel"] = rng.randint(1, 2)
    row["flags"] = rng.choice([0, LIVE]) | rng.choice([0, PUSH]) | rng.choice([0, COUNTS, COUNTS, COUNTS])
    return row


def records(seed: int, count: int) -> Any:
    rng = Random(seed)
    return frozen(np.array([record(rng, 1 + n // 2) for n in range(count)], CONTACT))


def plain_counted(row: Any, event: int, now_us: int) -> int | None:
    """When the contact counts as having had the event."""
    if not row["flags"] & COUNTS:
        return None
    happened = int(row[EVENTS[event]])
    if happened != NEVER_US:
        return happened
    if not row["flags"] & LIVE:
        return None
    if now_us < row["expires_us"]:
        return now_us
    return int(row["expires_us"]) if row["flags"] & PUSH and event in (HANDED_OFF, SEEN) else None


def in_window(window: Any, happened_us: int, now_us: int) -> bool:
    if "rolling" in window:
        length = {"7d": 7 * DAY, "2h": 2 * HOUR}[window["rolling"]]
        return happened_us > now_us - length
    start = window_start(window["calendar"], window.get("week_start", "monday"), now_us, CHICAGO)
    return happened_us >= start


@pytest.mark.parametrize("seed", range(8))
def test_events_and_holds_count_as_the_contract_says(seed: int) -> None:
    table = records(seed, 40)
    for slot in range(len(table)):
        for event, name in EVENTS.items():
            assert event_us(table, slot, event) == table[slot][name]
            expected = plain_counted(table[slot], event, NOON)
            assert counted_us(table, slot, event, NOON) == (NEVER_US if expected is None else expected)


def test_a_rolling_window_ends_at_its_length_and_not_before(bound: Bound) -> None:
    clock = bound.clock_at(NOON).tables
    for happened, counts in ((NOON - 7 * DAY - 1, 0), (NOON - 7 * DAY, 0), (NOON - 7 * DAY + 1, 1), (NOON, 1)):
        assert (happened > lower_bound_us(bound.rules, clock, 0, 0, NOON)) == bool(counts)
    assert event_end_us(bound.rules, clock, 0, 0, NOON - 7 * DAY + 1) == NOON + 1


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_calendar_window_holds_its_first_instant(bound: Bound, number: int) -> None:
    clock = bound.clock_at(NOON).tables
    window = CAPS[number]["window"]
    names = window["calendar"], window.get("week_start", "monday")
    start, end = window_start(*names, NOON, CHICAGO), window_end(*names, NOON, CHICAGO)
    lower = lower_bound_us(bound.rules, clock, number, 0, NOON)
    assert start - 1 <= lower < start
    assert event_end_us(bound.rules, clock, number, 0, start) == end
    assert event_end_us(bound.rules, clock, number, 0, start - 1) == start


@pytest.mark.parametrize("seed", range(8))
def test_a_contact_stops_counting_when_its_event_leaves_the_window(bound: Bound, seed: int) -> None:
    table, clock = records(seed, 30), bound.clock_at(NOON).tables
    for number, event in ((0, SEEN), (1, DECIDED), (2, HANDED_OFF), (3, ACCEPTED), (5, ACCEPTED)):
        window = CAPS[number]["window"]
        for slot in range(len(table)):
            happened = plain_counted(table[slot], event, NOON)
            if happened is None or (window != "lifetime" and not in_window(window, happened, NOON)):
                continue
            had = int(table[slot][EVENTS[event]])
            if had == NEVER_US and (not table[slot]["flags"] & PUSH or event == ACCEPTED):
                expected = int(table[slot]["expires_us"])
            else:
                expected = plain_end(window, had if had != NEVER_US else int(table[slot]["expires_us"]))
            assert stops_counting_us(table, slot, bound.rules, clock, number, 0) == expected


def plain_end(window: Any, at_us: int) -> int:
    """The first instant at which an event at `at_us` no longer counts."""
    if window == "lifetime":
        return FOREVER_US
    if "rolling" in window:
        return at_us + {"7d": 7 * DAY, "2h": 2 * HOUR}[window["rolling"]]
    return window_end(window["calendar"], window.get("week_start", "monday"), at_us, CHICAGO)


def test_scope_codes() -> None:
    table = records(1, 5)
    for slot in range(5):
        for scope, name in (
            (SCOPE_OFFER, "offer"),
            (SCOPE_CAMPAIGN, "campaign"),
            (SCOPE_CATEGORY, "category"),
            (SCOPE_CHANNEL, "channel"),
        ):
            assert scope_code(table, slot, scope) == table[slot][name]
        assert scope_code(table, slot, SCOPE_ALL) == 0


@pytest.mark.parametrize("seed", range(12))
def test_channel_and_overall_caps_count_decisions_the_others_offers(bound: Bound, seed: int) -> None:
    table, clock = records(seed, 24), bound.clock_at(NOON).tables
    contacts = Contacts(
        table, frozen(np.zeros(1, np.int64)), frozen(np.array([24], np.int32)), frozen(np.array([9], np.int32))
    )
    count_contacts(bound.rules, clock, contacts, 0, 0, NOON, bound.work)
    totals = Totals(*(frozen(np.zeros(shape, np.int64)) for shape in ((4, 9), (4, 9), (4, 9, 40), (40,))))
    for instance, (number, _, _, _) in enumerate(bound.rules.instances.tolist()):
        if CAPS[number].get("per") == "total":
            continue
        scope = ("offer", "campaign", "category", "channel", "all").index(CAPS[number]["scope"])
        event = ("decided", "handed_off", "seen", "accepted").index(CAPS[number]["counts"])
        counted = []
        for slot in range(24):
            happened = plain_counted(table[slot], event, NOON)
            mine = bound.rules.instance_of[number, scope_code(table, slot, scope)] == instance
            if mine and happened is not None and in_window(CAPS[number]["window"], happened, NOON):
                counted.append(int(table[slot]["decision"]))
        expected = len(set(counted)) if scope in (SCOPE_CHANNEL, SCOPE_ALL) else len(counted)
        assert used_of(bound.rules, totals, instance, bound.work) == expected
        add_used(bound.work, instance, 2)
        assert used_of(bound.rules, totals, instance, bound.work) == expected + 2


def test_totals_add_open_holds_to_the_days_that_count() -> None:
    rng = np.random.default_rng(3)
    live, lifetime = rng.integers(0, 9, (EVENT_COUNT, 2)), rng.integers(0, 99, (EVENT_COUNT, 2))
    daily, day = rng.integers(0, 5, (EVENT_COUNT, 2, TOTAL_DAYS)), np.arange(100, 100 + TOTAL_DAYS)
    totals = Totals(*(frozen(array.astype(np.int64)) for array in (live, lifetime, daily, day)))
    for event in range(EVENT_COUNT):
        assert total_used(totals, event, 1, LIFETIME) == live[event, 1] + lifetime[event, 1]
        for since in (99, 100, 120, 139, 140):
            assert total_used(totals, event, 1, since) == live[event, 1] + daily[event, 1, day >= since].sum()


@pytest.mark.parametrize("seed", range(10))
def test_kth_smallest_is_the_sorted_one(seed: int) -> None:
    rng = Random(seed)
    values = [rng.randrange(20) for _ in range(12)]
    for k in range(1, 9):
        assert kth_smallest(np.array(values, np.int64), 8, k) == sorted(values[:8])[k - 1]


def test_until_and_reached_agree_with_the_oracle_at_every_edge(tmp_path: Path) -> None:
    limit = cap("two", limit=2, window={"rolling": "2h"}, counts="seen", scope="all")
    pair = Pair(tmp_path, policy={"caps": [limit]})
    first = pair.ask(NOON)
    pair.tell(first, "seen", NOON + 1)
    second = pair.ask(NOON + HOUR)
    pair.tell(second, "seen", NOON + HOUR)
    assert pair.ask(NOON + HOUR).reason == "CAP_REACHED"
    assert pair.ask(NOON + HOUR).next_allowed_us == NOON + 1 + 2 * HOUR
    assert pair.ask(NOON + 2 * HOUR).reason == "CAP_REACHED"
    assert pair.ask(NOON + 2 * HOUR + 1).reason == "OFFERED"
