"""`touchpoint outcome`: what became of an offer."""

from typing import TYPE_CHECKING

import rich_click as click

from clients.commands.connection import connection_options

if TYPE_CHECKING:
    from clients.target import Target

# The contract's words, spelt out so that `--help` needs no generated code; a test compares the two.
KINDS = ("handed_off", "seen", "clicked", "accepted", "fulfilled", "refused", "not_now", "failed")


@click.command(
    epilog="""Examples:

    touchpoint outcome --decision <decision id> --rank 1 --kind accepted

    touchpoint outcome --decision <decision id> --rank 2 --kind refused --why "too expensive" --json
    """
)
@click.option("--decision", required=True, help="The decision's id, from its answer.")
@click.option("--rank", type=click.IntRange(1, 12), required=True, help="The offer's place in the answer.")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What happened.")
@click.option("--why", default="", help="With refused: why, as a short code; checked, not stored yet.")
@click.option(
    "--outcome-id", default="", help="The outcome's own id: sending it again counts once. A new one when not given."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one line of JSON.")
@connection_options
def outcome(
    *, connection: "Target", decision: str, rank: int, kind: str, why: str, outcome_id: str, as_json: bool
) -> None:
    """Tell the server what became of an offer."""
    from touchpoint.v1.outcome_service_pb2 import OutcomeStatus

    from clients import outcomes, target

    with outcomes.OutcomeClient(connection) as client:
        (result,) = client.record([outcomes.outcome(decision, rank, kind, refusal_reason=why, outcome_id=outcome_id)])
    if as_json:
        click.echo(target.as_json(result))
    else:
        click.echo(
            f"{OutcomeStatus.Name(result.status).removeprefix('OUTCOME_STATUS_')}{result.message and ': ' + result.message}"
        )
    recorded = (
        OutcomeStatus.OUTCOME_STATUS_RECORDED,
        OutcomeStatus.OUTCOME_STATUS_RECORDED_LATE,
        OutcomeStatus.OUTCOME_STATUS_DUPLICATE,
    )
    if result.status not in recorded:
        raise SystemExit(1)
