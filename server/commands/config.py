"""`touchpoint config show`: the settings in force, and who set each."""

import json
import os
from pathlib import Path
from typing import Any

import rich_click as click

from server.commands.flags import resolved, settings_options


@click.group()
def config() -> None:
    """Say how a server would be set."""


@config.command(
    epilog="""Examples:

    touchpoint config show --origin

    TOUCHPOINT_LISTEN=127.0.0.1:9000 touchpoint config show --json
    """
)
@settings_options
@click.option("--origin", is_flag=True, help="Also say by whom each was set: flag, a variable, the file, default.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; with --origin, of value and origin.")
def show(config: Path | None, origin: bool, as_json: bool, **flags: Any) -> None:
    """Print every setting: flags win over TOUCHPOINT_* variables, those over the file, that over the defaults."""
    found = resolved(flags, dict(os.environ), config)
    values = {name: getattr(found.settings, name) for name in found.settings.__struct_fields__}
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        shown = (
            {name: {"value": value, "origin": found.origins[name]} for name, value in values.items()}
            if origin
            else values
        )
        click.echo(json.dumps(shown))
        return
    width = max(map(len, values))
    for name, value in values.items():
        said = f"  # {found.origins[name]}" if origin else ""
        click.echo(f"{name:<{width}} = {json.dumps(value)}{said}")
