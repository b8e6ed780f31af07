"""`touchpoint build`: catalogues into rulebooks, files into bases."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from loaders.commands.check import loaded

if TYPE_CHECKING:
    from collections.abc import Callable

    from loaders.base.build import Progress
    from loaders.base.rejects import BuildReport

_CATALOGUE = click.Path(path_type=Path)


@click.group()
def build() -> None:
    """Build what a server loads: a rulebook from a catalogue, a base from a file.

    Examples: `touchpoint build rulebook --help`, `touchpoint build base --help`.
    """


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
    from engine.rulebook import digest_of, save_rulebook
    from loaders.catalogue.load import compile_catalogue

    with _readable_errors():
        compiled = compile_catalogue(catalogue, now_us=time.time_ns() // 1000)
        save_rulebook(compiled, output)
    found = {
        "rulebook": str(output),
        "digest": digest_of(compiled),
        "bytes": output.stat().st_size,
        "candidates": len(compiled.candidates()),
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
    """
    import msgspec

    from engine.base.keys import create_secret, read_secret
    from engine.base.schema import base_schema_of
    from loaders.base.build import build_base
    from loaders.base.mapping import read_mapping

    with _readable_errors():
        schema = base_schema_of(loaded(paths["catalogue"]))
        mapping = read_mapping(paths["mapping"], schema)
        as_of_us = _instant_us(as_of) if as_of or mapping.as_of is None else None
        secret = create_secret(secret_file) if new_secret else read_secret(secret_file)
        with _progress(not as_json) as progress:
            report = build_base(source, mapping, schema, secret, paths["output"], as_of_us=as_of_us, progress=progress)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(report)))
    else:
        _print(report)


def _instant_us(text: str | None) -> int:
    from datetime import datetime

    if text is None:
        return time.time_ns() // 1000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise click.BadParameter(
            f"expected an instant such as 2026-11-21T00:00:00Z, was {text!r}", param_hint="--as-of"
        )
    return round(moment.timestamp() * 1_000_000)


@contextmanager
def _progress(shown: bool) -> "Iterator[Callable[[Progress], None] | None]":
    if not shown:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns: list[Any] = [
        TextColumn("{task.percentage:>3.0f} %"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0, told="")
        yield lambda state: bar.update(
            task, completed=state.done, told=f"{state.rows_read:,} rows, {state.rows_rejected:,} rejected"
        )


def _print(report: "BuildReport") -> None:
    click.echo(
        f"snapshot {report.version}: {report.rows_read:,} rows read, {report.rows_kept:,} kept, {report.rows_rejected:,} rejected;"
        f" {report.rows_per_s:,.0f} rows a second, {report.bytes_per_subscriber:.1f} bytes a subscriber"
    )
    for tally in report.tallies:
        click.echo(f"  {tally.rows:,} rejected: column {tally.column}: expected {tally.expected}")
    for reason in report.reasons:
        click.echo(f"  {reason}")
