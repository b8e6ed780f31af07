"""The commands, the Python client and a Node client against a demo server."""

import json
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from touchpoint.v1.outcome_service_pb2 import OutcomeStatus
from touchpoint.v1.reason_pb2 import Reason

from clients.decisions import DecisionClient, Question
from clients.demo.play import CUSTOMER
from clients.outcomes import OutcomeClient, outcome
from clients.target import CallError, Target
from engine.jit import COMPILED
from server.commands.serve import DEMO_SUBSCRIBER

ROOT = Path(__file__).parent.parent.parent
NODE = Path(__file__).parent / "node"


def run(*words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "server", *words], cwd=ROOT, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


def decide(address: str, *words: str) -> Any:
    return json.loads(run("decide", "--target", address, "--subscriber", CUSTOMER, "--json", *words))


def desk(address: str, *words: str) -> Any:
    return decide(address, "--trigger", "desk_open", "--channel", "desk", "--max-offers", "6", *words)


def test_the_calls_that_serve_prints_are_about_the_play_s_customer() -> None:
    assert DEMO_SUBSCRIBER == CUSTOMER


def test_desk_gets_six_offers_with_scripts_of_distinct_groups(demo_address: str) -> None:
    answer = desk(demo_address)
    offers = answer["offers"]
    assert [offer["rank"] for offer in offers] == [1, 2, 3, 4, 5, 6]
    assert all(offer["script"] and offer["content"] for offer in offers)
    groups = [offer.get("exclusive_group") or offer["product"] for offer in offers]
    assert len(set(groups)) == 6
    assert answer["reason"] == "REASON_OFFERED"
    assert answer["decision_id"]


def test_same_request_gets_the_same_answer(demo_address: str) -> None:
    name = uuid.uuid4().hex
    first, second = desk(demo_address, "--request-id", name), desk(demo_address, "--request-id", name)
    assert {**first, "server_us": 0} == {**second, "server_us": 0}


def test_same_id_for_another_request_is_refused(demo_address: str) -> None:
    name = uuid.uuid4().hex
    desk(demo_address, "--request-id", name)
    said = run(
        "decide", "--target", demo_address, "--subscriber", CUSTOMER, "--trigger", "desk_open", "--channel", "desk",
        "--max-offers", "2", "--request-id", name, code=1,
    )  # fmt: skip
    assert "ALREADY_EXISTS" in said


def test_ussd_speaks_spanish_when_asked(demo_address: str) -> None:
    answer = decide(demo_address, "--trigger", "ussd_menu", "--channel", "ussd", "--language", "es", "--dry-run")
    assert {offer["language"] for offer in answer["offers"]} == {"es"}


def test_unknown_number_gets_the_anonymous_offer(demo_address: str) -> None:
    shown = run(
        "decide", "--target", demo_address, "--subscriber", "+12125550199999", "--trigger", "ussd_menu", "--channel", "ussd", "--dry-run", "--json"
    )  # fmt: skip
    assert [offer["offer"] for offer in json.loads(shown)["offers"]] == ["data_day_pass"]


def test_unknown_number_at_the_desk_gets_a_reason(demo_address: str) -> None:
    shown = run(
        "decide", "--target", demo_address, "--subscriber", "+12125550199999", "--trigger", "desk_open", "--channel", "desk", "--json"
    )  # fmt: skip
    assert json.loads(shown)["reason"] in ("REASON_UNKNOWN_SUBSCRIBER", "REASON_NOT_ELIGIBLE")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--trigger", "nosuch", "--channel", "desk"), "trigger"),
        (("--trigger", "desk_open", "--channel", "nosuch"), "channel"),
        (("--trigger", "data_usage", "--channel", "sms", "--field", "used_mb=lots"), "used_mb"),
    ],
)
def test_unknown_names_and_types_are_named(demo_address: str, words: tuple[str, ...], said: str) -> None:
    shown = run("decide", "--target", demo_address, "--subscriber", CUSTOMER, *words, code=1)
    assert "INVALID_ARGUMENT" in shown
    assert said in shown


def test_explain_tells_every_candidate(demo_address: str) -> None:
    words = ("--subscriber", CUSTOMER, "--trigger", "desk_open", "--channel", "desk")
    answer = json.loads(run("explain", "--target", demo_address, *words, "--json"))
    assert len(answer["candidates"]) == sum(stage["count"] for stage in answer["stages"])
    assert "NOT_ELIGIBLE" in run("explain", "--target", demo_address, *words)


def test_outcome_is_recorded_once(demo_address: str) -> None:
    answer = decide(demo_address, "--trigger", "ussd_menu", "--channel", "ussd")
    words = ("outcome", "--target", demo_address, "--decision", answer["decision_id"], "--rank", "1", "--kind", "seen")
    name = uuid.uuid4().hex
    assert run(*words, "--outcome-id", name).strip() == "RECORDED"
    assert run(*words, "--outcome-id", name).strip() == "DUPLICATE"
    assert json.loads(run(*words, "--json"))["status"] == "OUTCOME_STATUS_RECORDED"


def test_status_and_reload(demo_address: str) -> None:
    status = json.loads(run("status", "--target", demo_address, "--json"))
    assert status["catalogue"] == "telco_demo"
    assert status["subscriber_count"] == "4930"
    assert "4,930" in run("status", "--target", demo_address)
    assert run("reload", "--target", demo_address).strip() == "nothing has changed on disk"


def test_client_in_python_decides_batches_and_explains(demo_address: str) -> None:
    target = Target(demo_address)
    question = Question(CUSTOMER, "desk_open", "desk", max_offers=6, dry_run=True)
    with DecisionClient(target) as decisions, OutcomeClient(target) as outcomes:
        alone = decisions.decide(question)
        together = decisions.decide_batch([question, Question(CUSTOMER, "nosuch", "desk"), question])
        assert [offer.offer for offer in together[0].answer.offers] == [offer.offer for offer in alone.offers]
        assert together[1].error.code == 3
        assert decisions.explain(question).candidates
        (result,) = outcomes.record([outcome("s0-nothing", 1, "seen")])
        assert result.status in (OutcomeStatus.OUTCOME_STATUS_INVALID, OutcomeStatus.OUTCOME_STATUS_UNKNOWN_DECISION)
        with pytest.raises(CallError, match="INVALID_ARGUMENT"):
            decisions.decide(Question(CUSTOMER, "desk_open", "nosuch"))


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs Node and npm")
def test_a_field_at_fault_is_said_once(demo_address: str) -> None:
    with DecisionClient(Target(demo_address)) as client, pytest.raises(CallError) as caught:
        client.decide(Question(subscriber="x", trigger="desk_open", channel="desk"))
    assert str(caught.value).splitlines() == [
        "INVALID_ARGUMENT: subscriber: expected a telephone number, was something else"
    ]


def test_client_in_node_from_the_protos_alone_gets_the_same(demo_address: str, tmp_path: Path) -> None:
    for name in ("package.json", "package-lock.json", "decide.mjs"):
        shutil.copy(NODE / name, tmp_path)
    subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=180,
    )
    request: dict[str, Any] = {
        "request_id": uuid.uuid4().hex, "subscriber": CUSTOMER, "trigger": {"type": "desk_open"}, "channel": "desk",
        "max_offers": 6, "tool": "touchpoint-command",
    }  # fmt: skip
    done = subprocess.run(
        ["node", "decide.mjs", str(ROOT / "proto"), demo_address, json.dumps(request)],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    from_node = json.loads(done.stdout)
    from_python = desk(demo_address, "--request-id", request["request_id"])
    assert from_node["decision_id"] == from_python["decision_id"]
    for theirs, ours in zip(from_node["offers"], from_python["offers"], strict=True):
        assert {name: theirs[name] for name in ("rank", "offer", "campaign", "score", "content", "script")} == {
            name: ours[name] for name in ("rank", "offer", "campaign", "score", "content", "script")
        }


def test_play_ends_well_and_says_why() -> None:
    told = run("demo")
    for expected in (
        "1. A call to the desk", "6. ", "agent: ", "2. The USSD menu", "10 % menos", "3. The app opens", "4. Data usage",
        "5. A refusal and an acceptance", "COOL_DOWN_REFUSED", "ALREADY_ACCEPTED", "6. Quiet hours", "QUIET_HOURS",
        "may be sent from Wed", "7. A reached cap", "CAP_REACHED", "app_hour",
    ):  # fmt: skip
        assert expected in " ".join(told.split()), expected


def test_every_scenario_reaches_somebody(demo_address: str) -> None:
    """Each of the twelve scenarios makes an offer to some customer; dry runs, at noon on a Wednesday."""
    from datetime import UTC, datetime

    from touchpoint.v1.value_pb2 import Value

    from loaders.demo.synthesis import wide_rows

    noon = datetime(2026, 12, 2, 20, 0, tzinfo=UTC)
    occasions = {
        "data_topup": ("data_usage", "sms", {"used_mb": Value(double_value=19_500.0), "night": Value(bool_value=False)}),
        "family_callers": ("family_calls", "sms", {"minutes_week": Value(int_value=300), "share": Value(double_value=0.5)}),
        "broadband_night_users": ("data_usage", "outbound_call", {"used_mb": Value(double_value=900.0), "night": Value(bool_value=True)}),
        "recharge_thanks": ("recharge", "notification", {"amount": Value(double_value=20.0), "first": Value(bool_value=False)}),
        "terminal_care": ("device_changed", "notification", {"handset": Value(string_value="Aria 5")}),
        "roaming_far": ("roaming_entered", "sms", {"country": Value(string_value="FR")}),
        "retention_goodwill": ("churn_signal", "sms", {"forwarded_days": Value(int_value=31), "rival": Value(string_value="x")}),
        "winback_calls": ("churn_signal", "outbound_call", {"forwarded_days": Value(int_value=31), "rival": Value(string_value="x")}),
        "campus_students": ("recharge", "sms", {"amount": Value(double_value=5.0), "first": Value(bool_value=True)}),
        "stall_nearby": ("location_entered", "sms", {"kind": Value(string_value="stall"), "place": Value(string_value="p")}),
        "assembly_now": ("location_entered", "notification", {"kind": Value(string_value="match"), "place": Value(string_value="p")}),
        "birthday_day": ("birthday", "sms", {}),
    }  # fmt: skip
    customers = [row["msisdn"] for row in wide_rows()][: 1500 if COMPILED else 150]
    with DecisionClient(Target(demo_address, deadline_ms=300_000)) as client:
        for campaign, (trigger, channel, fields) in occasions.items():
            results = client.decide_batch(
                Question(customer, trigger, channel, fields=fields, dry_run=True, assumed_now=noon)
                for customer in customers
            )
            assert not any(result.HasField("error") for result in results), results[0].error
            made = {offer.campaign for result in results for offer in result.answer.offers}
            assert campaign in made, campaign


def test_reasons_over_the_base_are_of_many_kinds(demo_address: str) -> None:
    from loaders.demo.synthesis import wide_rows

    customers = [row["msisdn"] for row in wide_rows()]
    with DecisionClient(Target(demo_address, deadline_ms=300_000)) as client:
        results = [
            result
            for start in range(0, len(customers), 4096)
            for result in client.decide_batch(
                Question(customer, "desk_open", "desk", dry_run=True) for customer in customers[start : start + 4096]
            )
        ]
    reasons = {result.answer.reason for result in results}
    assert Reason.REASON_CONTROL_UNIVERSAL in reasons
    full = sum(len(result.answer.offers) == 6 for result in results)
    assert full > 2_000
