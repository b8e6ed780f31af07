"""`touchpoint build`: catalogues into rulebooks, files into bases."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from loaders.commands.check import loaded

if TYPE_CHECKING:
    from loaders.base.rejects import BuildReport

_CATALOGUE = click.Path(path_type=Path)


@click.group(invoke_without_command=True, no_args_is_help=True)
@click.option(
    "--verify",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Read every byte of a base's current snapshot, or of one snapshot, and compare it with the checksums of its build.",
)
@click.pass_context
def build(context: click.Context, folder: Path | None) -> None:
    """Build what a server loads: a rulebook from a catalogue, a base from a file; or verify what was built.

    Examples: `touchpoint build rulebook --help`, `touchpoint build base --help`, `touchpoint build --verify run/base`.
    """
    if folder is not None:
        if context.invoked_subcommand is not None:
            raise click.UsageError("--verify goes without a command")
        _verify(folder)


def _verify(folder: Path) -> None:
    from engine.base.snapshot import damage_of

    with _readable_errors(), click.progressbar(length=1_000, label="verifying", file=sys.stderr) as bar:
        manifest, damages = damage_of(folder, lambda done: bar.update(round(done * 1_000) - bar.pos))
    for damage in damages:
        click.echo(str(damage), err=True)
    if damages:
        raise click.ClickException(
            f"{len(damages)} damaged blocks in snapshot {manifest.version}: do not serve it; copy the named files anew from where they are whole,"
            " or build the base again"
        )
    size = sum(info.bytes for info in manifest.files.values())
    click.echo(f"snapshot {manifest.version} is whole: {manifest.rows:,} subscribers, {size:,} bytes")


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Turn what an author or an operator can mend into one message and exit code 1."""
    from engine.base.manifest import SnapshotError
    from engine.cel.errors import CelError
    from engine.rulebook import RulebookError
    from loaders.base.convert import ConversionError
    from loaders.base.source import SourceError
    from loaders.catalogue.problems import CatalogueErrors

    try:
        yield
    except CatalogueErrors as errors:
        click.echo(str(errors), err=True)
        raise SystemExit(1) from None
    except (CelError, ConversionError, RulebookError, SnapshotError, SourceError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None


@build.command(
    epilog="""Examples:

    touchpoint build rulebook my-catalogue --output run/rulebook

    touchpoint build rulebook my-catalogue --output run/rulebook --json
    """
)
@click.argument("catalogue", type=_CATALOGUE)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="File to write, whole or not at all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was built as one line of JSON.")
def rulebook(catalogue: Path, output: Path, as_json: bool) -> None:
    """Compile a catalogue, the folder of *.yaml files, into the one file that serving needs of it."""
    from engine.rulebook import save_rulebook
    from loaders.catalogue.load import compile_catalogue

    with _readable_errors():
        compiled = compile_catalogue(catalogue, now_us=time.time_ns() // 1000)
        save_rulebook(compiled, output)
    found = {
        "rulebook": str(output),
        "digest": compiled.digest,
        "bytes": output.stat().st_size,
        "candidates": len(compiled.candidates),
    }
    if as_json:
        click.echo(json.dumps(found))
    else:
        click.echo(f"{output}: {found['candidates']} candidates, {found['bytes']:,} bytes, digest {found['digest']}")


@build.command(
    epilog="""Examples:

    touchpoint build base customers.parquet --mapping mapping.yaml --catalogue my-catalogue --secret-file key-secret --output run/base

    touchpoint build base customers.csv --mapping mapping.yaml --catalogue my-catalogue --secret-file key-secret --new-secret --output run/base --json
    """
)
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--mapping", type=click.Path(path_type=Path), required=True, help="YAML: which column is which part of the base."
)
@click.option("--catalogue", type=_CATALOGUE, required=True, help="The catalogue that says what a base must hold.")
@click.option(
    "--secret-file", type=click.Path(path_type=Path), required=True, help="File with the secret of the subscriber hash."
)
@click.option("--new-secret", is_flag=True, help="Write a new secret to that file first; it must not exist.")
@click.option(
    "--as-of", metavar="INSTANT", help="What instant the file describes; now, when neither this nor the mapping says."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of snapshots; the new one becomes current.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one line of JSON, and no progress.")
def base(source: Path, secret_file: Path, new_secret: bool, as_of: str | None, *, as_json: bool, **paths: Path) -> None:
    """Load a CSV or Parquet file into a new snapshot of the base.

    A bad row is rejected, counted and reported, and stops nothing; a file that does not fit the mapping stops the build, and the snapshot in use stays.
    Memory does not grow with the file. A build that was stopped, or found the disk full, goes on where it was when the same command is run again.
    """
    import msgspec

    from engine.base.keys import create_secret, read_secret
    from engine.base.schema import base_schema_of
    from loaders.base.build import build_base
    from loaders.base.mapping import read_mapping
    from loaders.base.progress import shown_progress

    with _readable_errors():
        schema = base_schema_of(loaded(paths["catalogue"]))
        mapping = read_mapping(paths["mapping"], schema)
        as_of_us = instant_us(as_of, "--as-of") if as_of or mapping.as_of is None else None
        secret = create_secret(secret_file) if new_secret else read_secret(secret_file)
        with nullcontext() if as_json else shown_progress() as progress:
            report = build_base(
                source, mapping, schema, secret, paths["output"],
                as_of_us=as_of_us, as_of_assumed=as_of is None, progress=progress,
            )  # fmt: skip
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(report)))
    else:
        _print(report)


def instant_us(text: str | None, option: str) -> int:
    """Return the instant of a text, or now when there is none; raises click.BadParameter."""
    from datetime import datetime

    if text is None:
        return time.time_ns() // 1000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not 1970 < moment.year < 3000:
        raise click.BadParameter(
            f"expected an instant such as 2026-11-21T00:00:00Z, from 1971 to 2999, was {text!r}", param_hint=option
        )
    return round(moment.timestamp() * 1_000_000)


def _print(report: "BuildReport") -> None:
    if report.note:
        click.echo(report.note)
    if report.rows_resumed:
        click.echo(f"went on after {report.rows_resumed:,} rows that were read before")
    click.echo(
        f"snapshot {report.version}: {report.rows_read:,} rows read, {report.rows_kept:,} kept, {report.rows_rejected:,} rejected;"
        f" {report.rows_per_s:,.0f} rows a second, {report.bytes_per_subscriber:.1f} bytes a subscriber"
    )
    for tally in report.tallies:
        click.echo(f"  {tally.rows:,} rejected: column {tally.column}: expected {tally.expected}")
    for reason in report.reasons:
        click.echo(f"  {reason}")
