"""What was acknowledged before a server ended must be so after it started: asked of the server itself, without a network between."""

from typing import Any, Final

from touchpoint.v1 import decision_service_pb2 as decision
from touchpoint.v1 import outcome_service_pb2 as outcome
from touchpoint.v1 import subscriber_service_pb2 as subscriber

from server.failure import Failure
from tests.simulation.clients import Clients
from tests.simulation.clock import HOUR_US
from tests.simulation.node import Node
from tests.simulation.receiver import Receiver, ViolationError
from tests.simulation.world import SUBSCRIBERS

ASKS: Final = 8
OUTCOMES: Final = 6
"""How many of the last are asked for again."""


class Waiting:
    """Keeps the one answer that is waited for: server.work.Delivery."""

    def __init__(self) -> None:
        self.outcomes: list[Any] = []

    def given_up(self, ticket: Any) -> bool:
        """Nobody gives up."""
        return False

    def deliver(self, done: list[tuple[Any, Any, int]]) -> None:
        """Keep outcomes."""
        self.outcomes += [result for _, result, _ in done]

    def deliver_calls(self, tickets: list[Any], outcomes: list[Any]) -> None:
        """Keep outcomes of calls."""
        self.outcomes += outcomes


def answer_to(node: Node, method: str, payload: bytes) -> bytes | None:
    """Return the answer to a rare method, or to a Decide when `method` is empty; None when the server may not say."""
    waiting = Waiting()
    if method:
        node.call(method, payload, None, waiting)
    else:
        node.decide([payload], [None], waiting)
    node.turn()
    result = waiting.outcomes[0]
    return None if isinstance(result, Failure) else bytes(result)


def see_promises(node: Node, clients: Clients, receiver: Receiver) -> None:
    """Raise ViolationError unless what was acknowledged is there."""
    see_answers(node, clients)
    see_outcomes(node, clients, receiver)
    see_standing(node, receiver)


def see_answers(node: Node, clients: Clients) -> None:
    """Raise ViolationError unless requests are answered as they were."""
    for ask in clients.asks[-ASKS:]:
        if ask.answer is None or not ask.promised(ask.answer_moment):
            continue
        data = answer_to(node, "", ask.payload)
        if data is not None:
            answer = decision.DecideResponse.FromString(data)
            answer.server_us = 0
            if answer.SerializeToString() != ask.answer:
                raise ViolationError(f"{ask.id}: after a start it is answered otherwise: {answer}")


def see_outcomes(node: Node, clients: Clients, receiver: Receiver) -> None:
    """Raise ViolationError unless outcomes that were recorded are known."""
    for key, payload, _, at_us in clients.outcomes[-OUTCOMES:]:
        if receiver.standing[key].erasing or node.clock.wall_us() > at_us + 20 * HOUR_US:
            continue
        data = answer_to(node, "record_outcomes", payload)
        if data is not None:
            status = outcome.RecordOutcomesResponse.FromString(data).results[0].status
            if status != outcome.OUTCOME_STATUS_DUPLICATE:
                raise ViolationError(f"an outcome that was recorded is not known after a start: {status}")


def see_standing(node: Node, receiver: Receiver) -> None:
    """Raise ViolationError unless refusals and erasures are there."""
    for key in SUBSCRIBERS:
        standing = receiver.standing[key]
        data = answer_to(node, "get_subscriber", subscriber.GetSubscriberRequest(subscriber=key).SerializeToString())
        if data is None:
            continue
        found = subscriber.GetSubscriberResponse.FromString(data)
        if standing.erased_moment is not None and not found.erased:
            raise ViolationError(f"{key} was erased, and is not after a start")
        states = {(consent.purpose, consent.channel): consent.state for consent in found.consents}
        for pair in standing.refused:
            if not standing.erasing and states.get(pair) != subscriber.CONSENT_STATE_REFUSED:
                raise ViolationError(f"{key} refused {pair}, and has not after a start")
