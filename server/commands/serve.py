"""`touchpoint serve`: a server, from settings to the last answer."""

import os
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from server.commands.flags import resolved, settings_options

if TYPE_CHECKING:
    from server.serving import Serving
    from server.settings import Settings

# A customer of the demo for whom every channel has something; the play's too.
DEMO_SUBSCRIBER = "+14125550182"
KERNELS = ("engine.kernels", "server.codec.kernels")
"""Packages whose modules are compiled."""


@click.command(
    epilog="""Examples:

    touchpoint serve --demo

    touchpoint serve --rulebook run/rulebook --base run/base --key-secret-file key-secret

    touchpoint serve --config touchpoint.toml --listen 0.0.0.0:7717 --tls-certificate-file c.pem --tls-key-file k.pem
    """
)
@click.option(
    "--demo",
    is_flag=True,
    help="Serve the demo operator, built on its first start, in place of --rulebook, --base and --key-secret-file.",
)
@click.option(
    "--announce",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write the served address to, once ready.",
)
@click.option("--end-with-input", is_flag=True, hidden=True, help="Stop when standard input ends: for workers.")
@settings_options
def serve(demo: bool, announce: Path | None, end_with_input: bool, config: Path | None, **flags: Any) -> None:
    """Serve decisions over gRPC until SIGTERM or Ctrl-C; SIGHUP reloads."""
    _compile()

    from server.lifecycle import serve as run
    from server.settings import SettingsError

    if demo:
        flags |= _demo_flags(flags)
    found = resolved(flags, dict(os.environ), config)
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    try:
        tell = partial(_tell, settings=found.settings, announce=announce, demo=demo)
        run(found.settings, tell, end_with_input=end_with_input)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    except Exception as error:
        raise readable(error) from None


def _compile() -> None:
    """Compile the kernels that the cache lacks, and say how far that is; call it before anything that imports kernels, which compiles them, too."""
    from engine.compiling_ahead import compile_ahead

    compile_ahead(KERNELS, _tell_compiled)


def _tell_compiled(compiled: int, kernels: int) -> None:
    """On a terminal one line that counts; elsewhere a line for every tenth."""
    if not kernels:
        click.echo("compiling the kernels, this once; it takes a minute", err=True)
    elif sys.stderr.isatty():
        click.echo(f"\rcompiling kernels: {compiled} of {kernels}", err=True, nl=compiled == kernels)
    elif compiled * 10 // kernels > (compiled - 1) * 10 // kernels:
        click.echo(f"compiling kernels: {compiled} of {kernels}", err=True)


def _demo_flags(flags: dict[str, Any]) -> dict[str, str]:
    from loaders.demo.prepare import prepare

    for name in ("rulebook", "base", "key_secret_file"):
        if flags[name] is not None:
            raise click.UsageError(f"--demo brings its own: leave out --{name.replace('_', '-')}")
    prepared = prepare(datetime.now(UTC), lambda told: click.echo(told, err=True))
    return {name: str(path) for name, path in prepared._asdict().items()}


def readable(error: Exception) -> Exception:
    """Return an operating error as one message; anything else as it is, since it is a mistake in the program."""
    from engine.base.manifest import SnapshotError
    from engine.journal.segments import JournalError
    from engine.rulebook import RulebookError

    if isinstance(error, MemoryError):
        return click.ClickException(
            f"there is not enough memory for what is set: {error}; lower contacts_max, answers_bytes_max, outcomes_max or overlay_subscribers_max"
        )
    if isinstance(error, SnapshotError | RulebookError | JournalError | OSError):
        return click.ClickException(str(error))
    return error


def _tell(serving: "Serving", settings: "Settings", announce: Path | None, demo: bool) -> None:
    address = (
        settings.listen
        if settings.listen.startswith("unix:")
        else f"{settings.listen.rpartition(':')[0]}:{serving.port}"
    )
    if announce is not None:
        part = announce.with_name(announce.name + ".part")
        part.write_text(address + "\n", encoding="utf-8")
        part.replace(announce)
    click.echo(
        f"\nServing {serving.catalogue} on {address}: {serving.subscribers:,} subscribers, {serving.candidates} candidates,"
        f" rulebook generation {serving.generation}, base {serving.base_version}"
    )
    if serving.management_port:
        host = settings.management_listen.rpartition(":")[0]
        click.echo(f"Metrics and health: http://{host}:{serving.management_port}/metrics, /livez, /readyz")
    if demo:
        click.echo(_calls(address))


def _calls(address: str) -> str:
    target = "" if address == "127.0.0.1:7717" else f" --target {address}"
    ask = f"  .venv/bin/touchpoint {{}} --subscriber {DEMO_SUBSCRIBER}{target}"
    return "\n".join(
        [
            "\nCalls to paste in another terminal (Ctrl-C here ends the server):\n",
            ask.format("decide") + " --trigger desk_open --channel desk --max-offers 6",
            ask.format("decide") + " --trigger ussd_menu --channel ussd --language es",
            ask.format("decide")
            + " --trigger data_usage --channel sms --field used_mb=19500.0 --field app=video --field night=false",
            ask.format("explain") + " --trigger desk_open --channel desk",
            f"  .venv/bin/touchpoint outcome{target} --decision <decision id> --rank 1 --kind accepted",
            f"  .venv/bin/touchpoint status{target}",
            "",
        ]
    )
