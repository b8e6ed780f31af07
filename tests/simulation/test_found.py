"""What simulations found, played by hand on the same virtual machine: each of these was a bug."""

from random import Random
from typing import Any

import pytest
from touchpoint.v1 import decision_service_pb2 as decision
from touchpoint.v1 import outcome_service_pb2 as outcome
from touchpoint.v1 import subscriber_service_pb2 as subscriber

from engine.journal.journal import Durability
from engine.journal.segments import JournalError
from server.failure import Failure
from tests.simulation.clients import KINDS
from tests.simulation.clock import HOUR_US, SECOND_US, VirtualClock
from tests.simulation.disk import VirtualDisk
from tests.simulation.node import Node
from tests.simulation.promises import Waiting, answer_to
from tests.simulation.world import START_US, SUBSCRIBERS

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
NOON_US = START_US + 18 * HOUR_US
"""In both zones it is day."""


def started(durability: Durability = "always") -> Node:
    node = Node(VirtualClock(NOON_US), VirtualDisk(Random(1)), durability)
    node.start()
    return node


def asking(name: str, channel: str = "desk") -> bytes:
    request = decision.DecideRequest(request_id=name, subscriber=SUBSCRIBERS[1], placement="open", channel=channel)
    return request.SerializeToString()


def decided(node: Node, payload: bytes) -> Any:
    data = answer_to(node, "", payload)
    assert data is not None
    return decision.DecideResponse.FromString(data)


def reported(answer: Any, kind: str, at_us: int) -> bytes:
    report = outcome.Outcome(outcome_id=kind, decision_id=answer.decision_id, rank=1, kind=KINDS[kind])
    report.time.FromMicroseconds(at_us)
    return outcome.RecordOutcomesRequest(outcomes=[report]).SerializeToString()


def status(node: Node, payload: bytes) -> int:
    data = answer_to(node, "record_outcomes", payload)
    assert data is not None
    return int(outcome.RecordOutcomesResponse.FromString(data).results[0].status)


def start(node: Node) -> None:
    """Start it; a journal that it cannot read is what no end of a server may leave."""
    try:
        node.start()
    except JournalError as error:
        pytest.fail(str(error))


def lose_power(node: Node) -> None:
    """End the machine with nothing left that was not synced, and start it."""
    for name in node.disk.names():
        node.disk.files[name].data = bytearray(node.disk.files[name].safe)
    node.kill()
    node.boots += 1
    node.clock.go_to(node.clock.passed_us + SECOND_US)
    start(node)


def restarted(node: Node) -> None:
    """Kill it, start it, and see that it holds what it held."""
    before = node.state()
    node.kill()
    start(node)
    assert node.state() == before


def test_an_answer_that_is_not_on_disk_is_not_repeated() -> None:
    node, waiting = started(), Waiting()
    decided(node, asking("first"))
    node.disk.faults.full = True
    node.decide([asking("second")], [None], waiting)
    node.turn()
    node.decide([asking("second")], [None], waiting)
    node.turn()
    assert all(isinstance(each, Failure) for each in waiting.outcomes)
    node.disk.faults.full = False
    node.clock.go_to(SECOND_US)
    assert decided(node, asking("second")).offers


@pytest.mark.parametrize("durability", ["everysec", "none"])
def test_what_a_start_went_on_from_outlives_the_machine(durability: Durability) -> None:
    for seed in range(6):
        node = started(durability)
        node.disk = VirtualDisk(Random(seed))
        node.start()
        for number in range(4):
            decided(node, asking(f"request {number}"))
        node.kill()
        start(node)
        decided(node, asking("after"))
        node.fail_power()
        start(node)


def test_an_erasure_meets_the_holds_that_were_open_when_it_came() -> None:
    node = started()
    uncounted = decided(node, asking("a push that counts toward nothing", "sms"))
    assert status(node, reported(uncounted, "accepted", NOON_US)) == outcome.OUTCOME_STATUS_RECORDED
    assert decided(node, asking("push", "sms")).offers[0].campaign != uncounted.offers[0].campaign
    node.clock.go_to(3 * HOUR_US)
    node.idle()  # the hold has run out, and is counted
    payload = subscriber.ForgetSubscriberRequest(subscriber=SUBSCRIBERS[1]).SerializeToString()
    assert answer_to(node, "forget_subscriber", payload) is not None
    restarted(node)


def test_an_outcome_after_the_clock_was_set_back_meets_the_holds_that_had_ended() -> None:
    node = started()
    answer = decided(node, asking("pull"))
    node.clock.set_ahead(HOUR_US)
    node.idle()  # the hold has run out
    node.clock.set_ahead(-HOUR_US)
    assert status(node, reported(answer, "seen", NOON_US)) == outcome.OUTCOME_STATUS_RECORDED_LATE
    restarted(node)
    assert status(node, reported(answer, "seen", NOON_US)) == outcome.OUTCOME_STATUS_DUPLICATE


def test_a_number_that_was_lost_is_not_given_again() -> None:
    node = started("none")
    decided(node, asking("zeroth"))  # begins the segment, which is synced
    first = decided(node, asking("first"))
    assert first.offers
    lose_power(node)
    second = decided(node, asking("second"))
    assert second.offers
    assert second.decision_id != first.decision_id


def test_an_answer_outlives_a_kill_and_a_power_failure() -> None:
    node = started()
    decided(node, asking("zeroth"))  # begins the segment, which is synced
    first = decided(node, asking("first"))
    assert first.offers
    lose_power(node)
    assert decided(node, asking("first")).decision_id == first.decision_id
    node.kill()
    start(node)
    assert decided(node, asking("first")).decision_id == first.decision_id
