"""The options of a question, shared by `decide` and `explain`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import rich_click as click

from clients.commands.connection import fields_option, parsed_fields, parsed_instant

if TYPE_CHECKING:
    from clients.decisions import Question

_OPTIONS = (
    click.option(
        "--subscriber",
        required=True,
        help="The subscriber's key: an MSISDN in any usual notation, or an opaque string.",
    ),
    click.option(
        "--trigger", required=True, help="What happened, or the placement that asks: a trigger's id in the catalogue."
    ),
    click.option("--channel", required=True, help="The channel's id in the catalogue."),
    click.option(
        "--max-offers",
        type=click.IntRange(1, 12),
        help="How many offers at most; the channel's own limit applies as well.",
    ),
    click.option("--language", default="", help="Language of the content; the subscriber's own when not given."),
    click.option(
        "--assume-now",
        metavar="INSTANT",
        help="Decide as if it were this instant (dry runs only), such as 2026-11-21T22:30:00-06:00.",
    ),
)


def question_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a question."""
    command = fields_option(command)
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def question(given: dict[str, Any], **more: Any) -> "Question":
    """Return the question that the options ask."""
    from clients.decisions import Question

    return Question(
        subscriber=given["subscriber"],
        trigger=given["trigger"],
        channel=given["channel"],
        fields=parsed_fields(given["fields"]),
        max_offers=given["max_offers"],
        language=given["language"],
        assumed_now=parsed_instant(given["assume_now"], "--assume-now"),
        tool="touchpoint-command",
        **more,
    )
