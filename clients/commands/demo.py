"""`touchpoint demo`: the play."""

import rich_click as click

from clients.commands.connection import readable_errors


@click.command(epilog="Example: touchpoint demo")
@click.option("--target", help="Play against this server instead of one of the demo's own; it must serve the demo.")
def demo(target: str | None) -> None:
    """Play one demo customer through desk, menu, app, an event, a refusal, quiet hours and a cap, and say why.

    It starts a server of its own on a free port, talks to it over gRPC, and ends it.
    """
    from rich.console import Console

    from clients.demo.own_server import own_server
    from clients.demo.play import Play
    from clients.target import Target

    with readable_errors():
        if target is not None:
            Play(Target(target), Console()).run()
            return
        click.echo(
            "starting a server of the demo's own (the first start compiles, which takes a minute or two) ...", err=True
        )
        with own_server() as address:
            Play(Target(address), Console()).run()
