"""Says in plain words what was asked, what was decided and why."""

from datetime import tzinfo

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from touchpoint.v1 import decision_service_pb2, reason_pb2

from clients.words import instant_words, reason_words


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

    def say(self, told: str) -> None:
        """Print a sentence."""
        self._console.print(escape(told), highlight=False, soft_wrap=False)

    def answer(self, answer: decision_service_pb2.DecideResponse) -> None:
        """Print the offers, or why there are none."""
        if not answer.offers:
            until = (
                f" May change {instant_words(answer.next_allowed, self._zone)}."
                if answer.HasField("next_allowed")
                else ""
            )
            self.say(f"   -> no offer: {reason_words(answer.reason)}.{until}")
            return
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
        table.add_column(justify="right", width=5)
        table.add_column(no_wrap=True)
        table.add_column()
        for offer in answer.offers:
            said = f"\n[italic]agent: {escape(offer.script)}[/italic]" if offer.script else ""
            table.add_row(f"{offer.rank}.", offer.offer, escape(offer.content) + said)
        self._console.print(table)
        first = answer.offers[0]
        if first.HasField("send_not_before"):
            self.say(
                f"   may be sent from {instant_words(first.send_not_before, self._zone)}"
                f" until {instant_words(first.send_deadline, self._zone)}"
            )

    def stages(self, answer: decision_service_pb2.DecideResponse) -> None:
        """Print in one line how many candidates each stage stopped."""
        names = ((reason_pb2.Stage.Name(stage.stage).removeprefix("STAGE_"), stage.count) for stage in answer.stages)
        counts = ", ".join(f"{name.lower().replace('_', ' ')} {count}" for name, count in names)
        self.say(f"   candidates by the stage that they reached: {counts} ({answer.server_us} us in the server)")

    def stopped(self, answer: decision_service_pb2.DecideResponse, reason: int) -> None:
        """Print the candidates that one reason stopped."""
        for candidate in answer.candidates:
            if candidate.reason == reason:
                until = f", until {instant_words(candidate.until, self._zone)}" if candidate.HasField("until") else ""
                detail = f": {candidate.detail}" if candidate.detail else ""
                self.say(f"   {candidate.offer}: {reason_words(candidate.reason)}{detail}{until}")
