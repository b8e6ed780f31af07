"""`touchpoint decide`: one decision."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from clients.commands.connection import connection_options
from clients.commands.question import question, question_options

if TYPE_CHECKING:
    from clients.target import Target


@click.command(
    epilog="""Examples:

    touchpoint decide --subscriber +14125550182 --trigger desk_open --channel desk --max-offers 6

    touchpoint decide --subscriber +14125550182 --trigger data_usage --channel sms --field used_mb=9500.0 --field app=video --json

    touchpoint decide --subscriber +14125550182 --trigger birthday --channel sms --dry-run --assume-now 2026-11-21T23:00:00-06:00
    """
)
@question_options
@click.option(
    "--request-id",
    default="",
    help="The request's own id: sending it again repeats the answer. A new one when not given.",
)
@click.option("--dry-run", is_flag=True, help="Hold and remember nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as one line of JSON.")
@connection_options
def decide(connection: "Target", request_id: str, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Ask which offers a subscriber gets now, and hold them."""
    from clients import target
    from clients.decisions import DecisionClient
    from clients.tables import print_decision

    if given["assume_now"] and not dry_run:
        raise click.UsageError("--assume-now goes with --dry-run only: what is held is held by the real clock")
    with DecisionClient(connection) as client:
        answer = client.decide(question(given, request_id=request_id, dry_run=dry_run))
    if as_json:
        click.echo(target.as_json(answer))
    else:
        print_decision(answer)
