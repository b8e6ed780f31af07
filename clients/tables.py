"""Answers as tables for people."""

from google.protobuf.descriptor import FieldDescriptor
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from touchpoint.v1 import admin_service_pb2, decision_service_pb2

from clients.words import instant_words, reason_name, reason_words, stage_name


def print_decision(answer: decision_service_pb2.DecideResponse, console: Console | None = None) -> None:
    """Print a decision: its offers with what customer and agent read and say, or why there are none."""
    console = console or Console()
    if not answer.offers:
        until = f"; may change {instant_words(answer.next_allowed)}" if answer.HasField("next_allowed") else ""
        console.print(f"no offer: {reason_words(answer.reason)}{until}", highlight=False)
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("#", "offer", "campaign", "score"):
            table.add_column(name, no_wrap=True, justify="right" if name in ("#", "score") else "left")
        table.add_column("content, and what to say")
        for offer in answer.offers:
            said = f"\n[italic]{escape(offer.script)}[/italic]" if offer.script else ""
            table.add_row(
                str(offer.rank), offer.offer, offer.campaign, f"{offer.score:.4f}", escape(offer.content) + said
            )
        console.print(table)
    console.print(_footer(answer), style="dim", highlight=False)


def _footer(answer: decision_service_pb2.DecideResponse) -> str:
    parts = [f"decision {answer.decision_id}" if answer.decision_id else "nothing held"]
    if answer.offers and answer.decision_id:
        first = answer.offers[0]
        parts.append(f"held until {instant_words(first.hold_until)}")
        if first.HasField("send_not_before"):
            parts.append(f"send from {instant_words(first.send_not_before)} until {instant_words(first.send_deadline)}")
    parts.append(f"rulebook {answer.rulebook_generation}, base {answer.base_version}")
    parts.append(f"{answer.server_us} us")
    return " · ".join(parts)


def print_candidates(answer: decision_service_pb2.DecideResponse, console: Console | None = None) -> None:
    """Print what became of every candidate, the furthest first, with the particulars and the nearest change below each."""
    console = console or Console()
    for candidate in sorted(answer.candidates, key=lambda c: (-c.reason, -c.score, c.campaign, c.offer)):
        until = f", until {instant_words(candidate.until)}" if candidate.HasField("until") else ""
        head = f"{reason_name(candidate.reason):<18} {candidate.offer}  ({candidate.campaign}, {stage_name(candidate.stage)}{until})"
        console.print(Text(head))
        for told in (candidate.detail, candidate.nearest_change):
            if told:
                console.print(Padding(Text(told, style="dim"), (0, 0, 0, 19)))


def print_status(answer: admin_service_pb2.GetStatusResponse, console: Console | None = None) -> None:
    """Print a server's status, one figure a line."""
    console = console or Console()
    table = Table(box=None, pad_edge=False, show_header=False)
    for field, value in answer.ListFields():
        if field.message_type is not None and field.message_type.full_name == "google.protobuf.Timestamp":
            table.add_row(field.name, instant_words(value))
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for name in sorted(value):
                table.add_row(f"{field.name} {name}", f"{value[name]:,}")
        else:
            table.add_row(
                field.name,
                escape(f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)),
            )
    console.print(table)
