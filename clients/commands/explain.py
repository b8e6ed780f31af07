"""`touchpoint explain`: what became of every candidate."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from clients.commands.connection import connection_options
from clients.commands.question import question, question_options

if TYPE_CHECKING:
    from clients.target import Target


@click.command(
    epilog="""Examples:

    touchpoint explain --subscriber +14125550182 --trigger desk_open --channel desk

    touchpoint explain --subscriber +14125550182 --trigger data_usage --channel sms --field used_mb=100.0 --json
    """
)
@question_options
@click.option("--json", "as_json", is_flag=True, help="Print the answer as one line of JSON.")
@connection_options
def explain(connection: "Target", as_json: bool, **given: Any) -> None:
    """Ask what became of every candidate and why; holds nothing."""
    from clients import target
    from clients.decisions import DecisionClient
    from clients.tables import print_candidates, print_decision

    with DecisionClient(connection) as client:
        answer = client.explain(question(given))
    if as_json:
        click.echo(target.as_json(answer))
    else:
        print_decision(answer)
        print_candidates(answer)
