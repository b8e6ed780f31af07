"""Two replicas that share a ledger answer as one server would."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import outcome_service_pb2 as outcomes
from touchpoint.v1 import reason_pb2
from touchpoint.v1 import subscriber_service_pb2 as subscribers
from touchpoint.v1.value_pb2 import Value

from tests.server.operator_fixture import Operator, msisdn
from tests.server.running import Running, asking, running, settings_for, timeless
from tests.server.shared.conftest import CAP, Pair
from tests.server.shared.redis_servers import keys_of
from tests.server.test_rpcs import outcome, record

STATUS = outcomes.OutcomeStatus


def test_a_cap_binds_whichever_replica_is_asked(pair: Pair) -> None:
    asked = [pair.one, pair.other, pair.other, pair.one, pair.other]
    answers = [replica.decisions.Decide(asking(1)) for replica in asked]
    assert [bool(answer.offers) for answer in answers] == [True] * CAP + [False] * 2
    assert {answer.reason for answer in answers[CAP:]} == {reason_pb2.REASON_CAP_REACHED}


def test_a_request_is_answered_by_the_same_bytes_everywhere_and_another_body_is_an_error(pair: Pair) -> None:
    request = asking(2)
    first = pair.one.decisions.Decide(request)
    assert first.offers
    for replica in (pair.other, pair.one, pair.other):
        assert timeless(replica.decisions.Decide(request)) == timeless(first)
    with pytest.raises(grpc.RpcError) as raised:
        pair.other.decisions.Decide(asking(2, request_id=request.request_id, max_offers=2))
    assert raised.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert [bool(pair.one.decisions.Decide(asking(2)).offers) for _ in range(CAP)] == [True] * (CAP - 1) + [False]


def test_duplicates_at_once_on_both_replicas_count_once(pair: Pair) -> None:
    for turn in range(5 * CAP):
        request = asking(3 + turn % 5, request_id=f"at-once-{turn}")
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(replica.decisions.Decide, request) for replica in [pair.one, pair.other] * 4]
            found = [each.result() for each in asked]
        assert len({timeless(answer) for answer in found}) == 1
        assert found[0].offers


def test_outcomes_find_their_decision_by_any_replica_and_count_once(pair: Pair) -> None:
    held = pair.one.decisions.Decide(asking(10))
    sent = outcome(held.decision_id, "refused-10")
    assert record(pair.other, sent)[0].status == STATUS.OUTCOME_STATUS_RECORDED
    assert record(pair.one, sent)[0].status == STATUS.OUTCOME_STATUS_DUPLICATE
    other_body = outcome(held.decision_id, "refused-10", kind=outcomes.OUTCOME_KIND_SEEN)
    assert record(pair.one, other_body)[0].status == STATUS.OUTCOME_STATUS_CONFLICT
    again = pair.one.decisions.Decide(asking(10))
    assert held.offers[0].offer not in [offer.offer for offer in again.offers]


def test_a_hand_off_is_checked_by_any_replica(pair: Pair) -> None:
    held = pair.one.decisions.Decide(asking(11))
    asked = pb.CheckHandOffRequest(decision_id=held.decision_id, rank=1)
    assert pair.other.decisions.CheckHandOff(asked).hand_off == pb.HAND_OFF_YES
    record(pair.one, outcome(held.decision_id, "refused-11"))
    assert pair.other.decisions.CheckHandOff(asked).reason == reason_pb2.REASON_HOLD_ENDED


def test_an_erasure_holds_everywhere_and_leaves_nothing_behind(pair: Pair) -> None:
    request = asking(12)
    assert pair.one.decisions.Decide(request).offers
    pair.other.subscribers.ForgetSubscriber(subscribers.ForgetSubscriberRequest(subscriber=msisdn(12)))
    for replica in (pair.one, pair.other):
        assert replica.decisions.Decide(asking(12)).reason == reason_pb2.REASON_SUBSCRIBER_ERASED
    left = [key for key in keys_of(pair.redis) if key[-1:] == b"}"]
    assert [sorted(pair.redis.command("HKEYS", key)) for key in left] == [[b"e", b"v"]]


def test_a_batch_is_one_exchange_and_items_of_one_subscriber_see_each_other(pair: Pair) -> None:
    batch = pb.DecideBatchRequest(items=[asking(20 + n % 4) for n in range(24)])
    results = pair.one.decisions.DecideBatch(batch).results
    offered = [bool(result.answer.offers) for result in results]
    assert offered == [True] * 4 * CAP + [False] * (24 - 4 * CAP)
    repeated = pair.other.decisions.DecideBatch(batch).results
    assert [timeless(result.answer) for result in repeated if result.answer.offers] == [
        timeless(result.answer) for result in results if result.answer.offers
    ]


def test_a_dry_run_sees_what_others_hold_and_holds_nothing(pair: Pair) -> None:
    for _ in range(CAP):
        assert pair.other.decisions.Decide(asking(30, dry_run=True)).offers
        assert pair.one.decisions.Decide(asking(30)).offers
    assert not pair.other.decisions.Decide(asking(30, dry_run=True)).offers


def change(replica: Running, number: int, **fields: Any) -> None:
    request = subscribers.UpdateSubscriberRequest(subscriber=msisdn(number), **fields)
    replica.subscribers.UpdateSubscriber(request)


def say(replica: Running, number: int, state: Any) -> None:
    change(replica, number, consents=[subscribers.Consent(purpose="service", channel="desk", state=state)])


def test_what_is_said_of_consent_holds_at_the_next_decision_of_any_replica(pair: Pair) -> None:
    say(pair.one, 40, subscribers.CONSENT_STATE_REFUSED)
    for replica in (pair.other, pair.one):
        assert replica.decisions.Decide(asking(40)).reason == reason_pb2.REASON_CONSENT_REFUSED
    say(pair.other, 40, subscribers.CONSENT_STATE_WITHDRAWN)
    assert pair.one.decisions.Decide(asking(40)).reason == reason_pb2.REASON_CONSENT_REFUSED, "only a grant ends it"
    say(pair.other, 40, subscribers.CONSENT_STATE_GRANTED)
    assert pair.one.decisions.Decide(asking(40)).offers
    say(pair.one, 40, subscribers.CONSENT_STATE_REFUSED)
    assert pair.other.decisions.Decide(asking(40)).reason == reason_pb2.REASON_CONSENT_REFUSED


def test_live_changes_are_known_to_a_replica_that_comes_later(pair: Pair, capped: Operator) -> None:
    assert not [
        offer
        for offer in pair.other.decisions.Decide(asking(3, max_offers=6, dry_run=True)).offers
        if offer.offer == "film_month"
    ]
    change(pair.one, 3, labels=[subscribers.LabelChange(id="vip", present=True)])
    older = Timestamp()
    older.FromMicroseconds(time.time_ns() // 1_000 - 10 * 86_400_000_000)
    ada = subscribers.AttributeChange(id="first_name", value=Value(string_value="Ada"))
    change(pair.other, 3, attributes=[ada], at=older)  # than the base under which it is told
    say(pair.one, 43, subscribers.CONSENT_STATE_REFUSED)
    say(pair.other, 43, subscribers.CONSENT_STATE_WITHDRAWN)
    with running(settings_for(capped, ledger_redis=pair.redis.url, replica=3)) as late:
        assert late.decisions.Decide(asking(43)).reason == reason_pb2.REASON_CONSENT_REFUSED
        for replica in (late, pair.other, pair.one):
            offers = {
                offer.offer: offer for offer in replica.decisions.Decide(asking(3, max_offers=6, dry_run=True)).offers
            }
            assert "film_month" in offers
            assert offers["a_half"].content.startswith("Ada")
        described = [
            replica.subscribers.GetSubscriber(subscribers.GetSubscriberRequest(subscriber=msisdn(3)))
            for replica in (late, pair.other, pair.one)
        ]
        assert len({each.SerializeToString(deterministic=True) for each in described}) == 1
    key = next(
        key
        for key in keys_of(pair.redis)
        if pair.redis.command("TYPE", key) == b"hash"
        and pair.redis.command("HLEN", key) == 2
        and key.endswith(b":live")
    )
    assert pair.redis.command("PTTL", key[: -len(b":live")]) == -1


def test_live_changes_that_are_wrong_or_too_late_are_nobodys(pair: Pair) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        change(pair.one, 41, labels=[subscribers.LabelChange(id="nobody", present=True)])
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    pair.other.subscribers.ForgetSubscriber(subscribers.ForgetSubscriberRequest(subscriber=msisdn(42)))
    with pytest.raises(grpc.RpcError) as raised:
        say(pair.one, 42, subscribers.CONSENT_STATE_GRANTED)
    assert raised.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert not [key for key in keys_of(pair.redis) if key.endswith(b":live")]
