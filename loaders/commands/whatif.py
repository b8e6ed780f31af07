"""`touchpoint whatif`: what a catalogue would do to everybody in a base."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from loaders.commands.build import instant_us

if TYPE_CHECKING:
    from engine.base.snapshot import Snapshot
    from engine.rulebook import Rulebook
    from engine.whatif.question import Question
    from engine.whatif.report import Report

_PATH = click.Path(path_type=Path)
_RULEBOOK = "rulebook"
LINE_EVERY_S = 5.0
KERNELS = ("engine.kernels", "engine.whatif.kernels")
"""Packages whose modules are compiled."""


@click.command(
    epilog="""Examples:

    touchpoint whatif my-catalogue --base run/base

    touchpoint whatif my-catalogue --base run/base --trigger app_open --channel app --segment heavy_data --segment tenure_months=6,24

    touchpoint whatif my-catalogue --base run/base --against run/rulebook --rounds 4 --json | jq '.pairs[].against.flows'
    """
)
@click.argument("catalogue", type=_PATH)
@click.option("--base", type=_PATH, required=True, help="Folder of snapshots; the current one is looked at.")
@click.option("--trigger", "triggers", multiple=True, metavar="ID", help="Look at this trigger only; may be repeated.")
@click.option("--channel", "channels", multiple=True, metavar="ID", help="Look at this channel only; may be repeated.")
@click.option(
    "--against",
    type=_PATH,
    help="What decides today: a rulebook, a catalogue folder, or a folder that holds a server's `rulebook`.",
)
@click.option(
    "--at", metavar="INSTANT", help="Instant of the decisions, such as 2026-11-21T18:00:00-06:00; now when not given."
)
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME=VALUE",
    help="A trigger field, such as used_mb=950.5; those that are not given are unknown.",
)
@click.option(
    "--segment",
    "segments",
    multiple=True,
    metavar="NAME[=VALUE,...]",
    help="Count apart by a label, an attribute's values or ranges, or zone; may be repeated.",
)
@click.option("--sample", type=click.IntRange(1), metavar="N", help="Look at N subscribers, drawn by their hash.")
@click.option(
    "--rounds",
    type=click.IntRange(1, 20),
    default=1,
    show_default=True,
    help="Give everybody each trigger so many times, all offers held, to see which caps bind.",
)
@click.option("--max-offers", type=click.IntRange(1, 12), help="Offers of an answer; the channel's limit applies too.")
@click.option(
    "--starved",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="Name offers that are chosen for a smaller share of those whom they reach.",
)
@click.option(
    "--details/--no-details",
    default=None,
    help="Show campaigns and offers of each trigger and channel; when not told, where there are few.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as one line of JSON, and no progress.")
def whatif(
    catalogue: Path, base: Path, against: Path | None, *, as_json: bool, details: bool | None, **given: Any
) -> None:
    """Count what a catalogue, a folder of *.yaml files or a compiled rulebook, would do to every subscriber of a base.

    For each trigger and channel: whom campaigns and offers reach and what stops the rest, who comes first, ties, offers that never get a seat and who
    takes it, caps that bind; by segment, and against what decides today. Decisions are dry runs through the engine that serves, with nothing held before.
    """
    from engine.compiling_ahead import compile_ahead

    compile_ahead(KERNELS, _tell_compiling)
    with _readable_errors():
        report = _scanned(catalogue, base, against, _question(given), quiet=as_json)
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(report).decode())
    else:
        from loaders.commands.whatif_tables import print_report

        print_report(report, details=details)


def _tell_compiling(_compiled: int, kernels: int) -> None:
    if not kernels:
        click.echo("compiling the kernels, this once; it takes a minute or two", err=True)


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Turn mistakes of catalogues, bases and questions into one message, and exit code 1, or 2 where the question is wrong."""
    from engine.base.manifest import SnapshotError
    from engine.cel.errors import CelError
    from engine.ledger.names import LedgerFullError
    from engine.rulebook import RulebookError
    from engine.whatif.question import QuestionError
    from loaders.catalogue.problems import CatalogueErrors

    try:
        yield
    except QuestionError as error:
        raise click.BadParameter(str(error), param_hint=error.option) from None
    except CatalogueErrors as errors:
        click.echo(str(errors), err=True)
        raise SystemExit(1) from None
    except (CelError, LedgerFullError, RulebookError, SnapshotError) as error:
        raise click.ClickException(str(error)) from None


def _question(given: dict[str, Any]) -> "Question":
    from engine.limits import OFFERS_PER_ANSWER_MAX
    from engine.whatif.question import Question

    return Question(
        at_us=instant_us(given["at"], "--at"),
        triggers=given["triggers"],
        channels=given["channels"],
        offers_max=given["max_offers"] or OFFERS_PER_ANSWER_MAX,
        fields=dict(map(_field, given["fields"])),
        segments=given["segments"],
        sample=given["sample"],
        rounds=given["rounds"],
        starved_share=given["starved"],
    )


def _field(text: str) -> tuple[str, str]:
    """Return name and value of `name=value`; a type between them, as `touchpoint decide` takes it, says nothing that the catalogue does not."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"expected name=value, was {text!r}", param_hint="--field")
    return name.partition(":")[0], value


def _scanned(catalogue: Path, base: Path, against: Path | None, question: "Question", *, quiet: bool) -> "Report":
    from engine.whatif.reading import report_of
    from engine.whatif.scan import Scan

    snapshot = _snapshot(base)
    scan = Scan(_rulebook(catalogue), snapshot, question, None if against is None else _rulebook(against))
    began, began_s = time.perf_counter(), time.process_time()
    with _progress(scan.subscribers, quiet) as show:
        for done in scan.steps():
            show(done)
    return report_of(scan, time.perf_counter() - began, time.process_time() - began_s)


def _snapshot(base: Path) -> "Snapshot":
    from engine.base.manifest import SnapshotError
    from engine.base.snapshot import open_current

    if not base.is_dir():
        raise SnapshotError(f"{base}: expected a folder of snapshots; make one with `touchpoint build base`")
    return open_current(base, None)


def _rulebook(path: Path) -> "Rulebook":
    """Return the rulebook of a file; of a catalogue's folder, compiled; of a folder that holds a server's stores, theirs."""
    from engine.rulebook import load_rulebook
    from loaders.catalogue.load import compile_catalogue

    if not path.is_dir():
        return load_rulebook(path)
    if (path / _RULEBOOK).exists() and not any(path.glob("*.yaml")):
        return _rulebook(path / _RULEBOOK)
    return compile_catalogue(path, now_us=time.time_ns() // 1_000)


@contextmanager
def _progress(subscribers: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Give what is told how many subscribers are done: a bar on a terminal, else a line every few seconds."""
    if quiet or not sys.stderr.isatty():
        yield (lambda _: None) if quiet else _lines(subscribers)
        return
    with click.progressbar(length=subscribers, label="looking at subscribers", file=sys.stderr) as bar:
        yield lambda done: bar.update(done - bar.pos)


def _lines(subscribers: int) -> Callable[[int], None]:
    last = time.monotonic()

    def show(done: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY_S:
            last = time.monotonic()
            click.echo(f"looked at {done:,} of {subscribers:,} subscribers", err=True)

    return show
