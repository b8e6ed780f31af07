"""Says in plain words what was asked, what was decided and why."""

from datetime import tzinfo
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from touchpoint.v1 import decision_service_pb2, reason_pb2

from clients.words import instant_words, reason_words

INDENT: Final = 3
NAMED_MAX: Final = 3
_FATES: Final = {
    reason_pb2.STAGE_REQUEST: "stopped at once",
    reason_pb2.STAGE_VALIDITY: "not valid now",
    reason_pb2.STAGE_CONSENT: "without consent",
    reason_pb2.STAGE_ELIGIBILITY: "not meant for this customer",
    reason_pb2.STAGE_CONTROL: "kept back for comparison",
    reason_pb2.STAGE_QUIET_HOURS: "in quiet hours",
    reason_pb2.STAGE_COOL_DOWN: "refused or accepted before",
    reason_pb2.STAGE_CAP: "over a cap",
    reason_pb2.STAGE_EXCLUSIVE: "excluded by a better one of their kind",
    reason_pb2.STAGE_RANK: "ranked out",
    reason_pb2.STAGE_OFFERED: "offered",
}


class Narrator:
    """Prints a play scene by scene, on the wall clock of its customer."""

    def __init__(self, console: Console, zone: tzinfo) -> None:
        self._console = console
        self._zone = zone
        self._scene = 0

    def scene(self, title: str, told: str) -> None:
        """Open a scene."""
        self._scene += 1
        self._console.print(f"\n[bold]{self._scene}. {escape(title)}[/bold]")
        self.say(told)

    def say(self, told: str, indent: int = 0) -> None:
        """Print a sentence, wrapped under its own beginning."""
        self._console.print(Padding(Text(told), (0, 0, 0, indent)))

    def answer(self, answer: decision_service_pb2.DecideResponse) -> None:
        """Print the offers, or why there are none."""
        if not answer.offers:
            until = f" May change {self._when(answer.next_allowed)}." if answer.HasField("next_allowed") else ""
            self.say(f"no offer: {reason_words(answer.reason)}.{until}", INDENT)
            return
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
        table.add_column(justify="right", width=INDENT + 2)
        table.add_column(no_wrap=True)
        table.add_column()
        for offer in answer.offers:
            said = f"\n[italic]agent: {escape(offer.script)}[/italic]" if offer.script else ""
            table.add_row(f"{offer.rank}.", offer.offer, escape(offer.content) + said)
        self._console.print(table)
        first = answer.offers[0]
        if first.HasField("send_not_before"):
            window = f"from {self._when(first.send_not_before)} until {self._when(first.send_deadline)}"
            self.say(f"may be sent {window}", INDENT)

    def stages(self, answer: decision_service_pb2.DecideResponse) -> None:
        """Print in one line how far the candidates came."""
        counts = ", ".join(f"{stage.count} {_FATES[stage.stage]}" for stage in answer.stages)
        total = sum(stage.count for stage in answer.stages)
        self.say(f"{total} candidates: {counts}; {answer.server_us / 1000:.1f} ms in the server", INDENT)

    def stopped(self, answer: decision_service_pb2.DecideResponse, reason: int) -> None:
        """Print the candidates that one reason stopped, together where the particulars are the same."""
        together: dict[str, list[str]] = {}
        for candidate in answer.candidates:
            if candidate.reason == reason:
                detail = f": {candidate.detail}" if candidate.detail else ""
                until = f", until {self._when(candidate.until)}" if candidate.HasField("until") else ""
                together.setdefault(detail + until, []).append(candidate.offer)
        for particulars, offers in together.items():
            more = f" and {len(offers) - NAMED_MAX} more" if len(offers) > NAMED_MAX else ""
            self.say(f"{', '.join(offers[:NAMED_MAX])}{more}: {reason_words(reason)}{particulars}", INDENT)

    def _when(self, stamp: Timestamp) -> str:
        return instant_words(stamp, self._zone)
