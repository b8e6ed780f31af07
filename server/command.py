"""The command `touchpoint`: finds what each package contributes through the entry points `touchpoint.commands`.

Packages add commands without importing one another. A command's module imports nothing but click before it runs, so that `--help` stays quick.
"""

import os
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final

import rich_click as click

GROUP: Final = "touchpoint.commands"
ORDER: Final = (
    "demo",
    "serve",
    "decide",
    "explain",
    "outcome",
    "check",
    "lint",
    "whatif",
    "build",
    "eval",
    "schema",
    "status",
    "reload",
    "config",
    "journal",
    "replay",
    "bench",
)


class Commands(click.RichGroup):
    """The commands that are installed, loaded when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the names, in the order in which one meets them."""
        place = {name: index for index, name in enumerate(ORDER)}
        return sorted(self._found(), key=lambda name: (place.get(name, len(place)), name))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        """Return one command, None when nobody brings it."""
        found = self._found().get(cmd_name)
        if found is None:
            return None
        command = found.load()
        assert isinstance(command, click.Command), f"{found.value}: the entry point of a command is a click command"
        return command

    def _found(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=GROUP)}


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="touchpoint", prog_name="touchpoint")
def touchpoint() -> None:
    """Next-best-offer decisions for telecom operators.

    `touchpoint demo` plays one customer through every channel; `touchpoint serve --demo` leaves a server for you to ask.
    """


def main() -> None:
    """Run the command; exit 0, 1 for a failure (one message on standard error), 2 for a mistake in how it was called."""
    try:
        touchpoint(prog_name="touchpoint")
    except BrokenPipeError:
        # Whoever read the output has gone: nothing is left to be said, not even by the interpreter as it closes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        click.echo(f"Error: {_said(error)}", err=True)
        sys.exit(1)


def _said(error: OSError) -> str:
    """Return an error of the operating system as one line; the folder of compiled kernels is met before any command can speak of it."""
    if not error.filename:
        return str(error)
    kept = str(error.filename).startswith(os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"))
    hint = "; compiled kernels are kept there: name a folder that this user can write in XDG_CACHE_HOME" if kept else ""
    return f"{error.filename}: {error.strerror}{hint}"
