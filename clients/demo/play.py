"""The play: one customer on one day, every channel once, and everything that may stand between her and an offer."""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from rich.console import Console
from touchpoint.v1 import decision_service_pb2
from touchpoint.v1.reason_pb2 import Reason
from touchpoint.v1.value_pb2 import Value

from clients.decisions import DecisionClient, Question
from clients.demo.narrator import INDENT, Narrator
from clients.outcomes import OutcomeClient, outcome
from clients.subscribers import SubscriberClient
from clients.target import Target

CUSTOMER: Final = "+14125550182"
APP_VISITS_MAX: Final = 12


class Play:
    """Calls a server that has met nobody yet, and tells what it answers."""

    def __init__(self, target: Target, console: Console) -> None:
        with SubscriberClient(target) as subscribers:
            known = subscribers.get(CUSTOMER)
        self._target = target
        self._zone = ZoneInfo(known.zone)
        self._narrator = Narrator(console, self._zone)
        self._name = known.attributes["first_name"].string_value
        facts = known.attributes
        labels = ", ".join(label.id for label in known.labels)
        self._narrator.say(
            f"{self._name} ({CUSTOMER}) lives in {facts['city'].string_value}, {known.zone}; a customer for"
            f" {facts['tenure_months'].int_value} months. Labels: {labels}."
        )

    def run(self) -> None:
        """Play every scene in order."""
        with DecisionClient(self._target) as decisions, OutcomeClient(self._target) as outcomes:
            desk = self._desk(decisions)
            self._menu(decisions)
            self._app(decisions)
            self._event(decisions)
            self._refusal(decisions, outcomes, desk)
            self._quiet_hours(decisions)
            self._cap(decisions)
        self._narrator.say("\nThat was all of it over gRPC; `make run` leaves such a server for you to ask.")

    def _desk(self, decisions: DecisionClient) -> decision_service_pb2.DecideResponse:
        self._narrator.scene(
            "A call to the desk", f"{self._name} calls; the agent opens her page and asks for six offers."
        )
        answer = decisions.decide(Question(CUSTOMER, "desk_open", "desk", max_offers=6, tool="crm-desk", agent="a17"))
        self._narrator.answer(answer)
        self._narrator.stages(answer)
        return answer

    def _menu(self, decisions: DecisionClient) -> None:
        self._narrator.scene("The USSD menu", "She dials the menu; three short lines fit, here in Spanish too.")
        self._narrator.answer(decisions.decide(Question(CUSTOMER, "ussd_menu", "ussd", placement=True)))
        self._narrator.answer(decisions.decide(Question(CUSTOMER, "ussd_menu", "ussd", placement=True, language="es")))

    def _app(self, decisions: DecisionClient) -> None:
        self._narrator.scene("The app opens", "The first page asks for its cards.")
        self._narrator.answer(decisions.decide(Question(CUSTOMER, "app_open", "app", placement=True)))

    def _event(self, decisions: DecisionClient) -> None:
        self._narrator.scene("Data usage", "The network reports 19.5 GB used, most of it video: may an SMS go out?")
        answer = decisions.decide(self._usage())
        self._narrator.answer(answer)
        if answer.reason == Reason.REASON_QUIET_HOURS:
            afternoon = self._local(14, 0)
            self._narrator.say(
                f"It is not the hour for it where she lives. On {afternoon:%A} at 14:00 it would be:", INDENT
            )
            self._narrator.answer(decisions.decide(self._usage(afternoon)))

    def _refusal(
        self, decisions: DecisionClient, outcomes: OutcomeClient, desk: decision_service_pb2.DecideResponse
    ) -> None:
        first, second = desk.offers[0], desk.offers[1]
        self._narrator.scene(
            "A refusal and an acceptance",
            f"Still on the line, she says no to {first.offer} (too expensive) and takes {second.offer}.",
        )
        for result in outcomes.record(
            [
                outcome(desk.decision_id, first.rank, "refused", refusal_reason="too_expensive"),
                outcome(desk.decision_id, second.rank, "accepted"),
            ]
        ):
            assert not result.message, result.message
        answer = decisions.explain(Question(CUSTOMER, "desk_open", "desk", max_offers=6))
        self._narrator.say("Were her page opened again now:", INDENT)
        self._narrator.answer(answer)
        self._narrator.say("What her answers changed:", INDENT)
        self._narrator.stopped(answer, Reason.REASON_COOL_DOWN_REFUSED)
        self._narrator.stopped(answer, Reason.REASON_ALREADY_ACCEPTED)

    def _quiet_hours(self, decisions: DecisionClient) -> None:
        self._narrator.scene(
            "Quiet hours", "The same usage report as dry runs: late at night, and shortly before the quiet ends."
        )
        for hour, minute in ((22, 30), (7, 30)):
            moment = self._local(hour, minute)
            self._narrator.say(f"{moment:%A %H:%M} where she lives:", INDENT)
            self._narrator.answer(decisions.decide(self._usage(moment)))

    def _cap(self, decisions: DecisionClient) -> None:
        self._narrator.scene(
            "A reached cap", "She opens the app again and again; a cap lets it be answered five times an hour."
        )
        for visit in range(2, APP_VISITS_MAX):
            answer = decisions.decide(Question(CUSTOMER, "app_open", "app", placement=True))
            shown = ", ".join(offer.offer for offer in answer.offers) or "nothing"
            self._narrator.say(f"visit {visit}: {shown}", INDENT)
            if answer.reason == Reason.REASON_CAP_REACHED:
                self._narrator.answer(answer)
                explained = decisions.explain(Question(CUSTOMER, "app_open", "app", placement=True))
                self._narrator.stopped(explained, Reason.REASON_CAP_REACHED)
                return

    def _usage(self, assumed_now: datetime | None = None) -> Question:
        fields = {
            "used_mb": Value(double_value=19_500.0),
            "app": Value(string_value="video"),
            "night": Value(bool_value=False),
        }
        return Question(
            CUSTOMER,
            "data_usage",
            "sms",
            fields=fields,
            tool="usage-feed",
            dry_run=assumed_now is not None,
            assumed_now=assumed_now,
        )

    def _local(self, hour: int, minute: int) -> datetime:
        """Return that time on the next Wednesday where the customer lives: never a weekend, so that the play is the same every day."""
        today = datetime.now(self._zone)
        day = today + timedelta(days=(2 - today.weekday()) % 7 or 7)
        return day.replace(hour=hour, minute=minute, second=0, microsecond=0)
