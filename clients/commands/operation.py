"""`touchpoint status` and `touchpoint reload`: how a server is, and loading anew what changed."""

from typing import TYPE_CHECKING

import rich_click as click

from clients.commands.connection import connection_options

if TYPE_CHECKING:
    from clients.target import Target


@click.command(epilog="Example: touchpoint status --json")
@click.option("--json", "as_json", is_flag=True, help="Print the status as one line of JSON.")
@connection_options
def status(connection: "Target", as_json: bool) -> None:
    """Say what a server serves and how it is doing."""
    from clients import target
    from clients.admin import AdminClient
    from clients.tables import print_status

    with AdminClient(connection) as client:
        answer = client.status()
    if as_json:
        click.echo(target.as_json(answer))
    else:
        print_status(answer)


@click.command(epilog="Example: touchpoint reload")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one line of JSON.")
@connection_options
def reload(connection: "Target", as_json: bool) -> None:
    """Have a server load rulebook and base anew; a bad one changes nothing and is said."""
    from clients import target
    from clients.admin import AdminClient

    with AdminClient(connection) as client:
        answer = client.reload()
    if as_json:
        click.echo(target.as_json(answer))
    elif answer.changed:
        click.echo(f"loaded: rulebook generation {answer.rulebook_generation}, base {answer.base_version}")
    else:
        click.echo("nothing has changed on disk")
