"""`touchpoint journal`: what a journal holds, whether all of it is right, and what is done when it is not."""

import json
from pathlib import Path

import rich_click as click

FOLDER = click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
KINDS = ("decided", "recorded", "changed", "forgot", "swapped", "policy", "named", "clock", "began", "ended")


@click.group(
    epilog="""Examples:

    touchpoint journal check run/journal

    touchpoint journal dump run/journal --kind recorded
    """
)
def journal() -> None:
    """Look at a server's journal, or mend it."""


@journal.command(
    epilog="""Examples:

    touchpoint journal check run/journal

    touchpoint journal check run/journal --json
    """
)
@FOLDER
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(folder: Path, as_json: bool) -> None:
    """Take the journal back as a start would, without changing anything, and say what it comes to; what no start needs to read is looked through as well.

    Exit code 1 when a start would refuse it, or pass over a damaged snapshot, or when something that is kept for audits is damaged.
    """
    from server.journal_report import checked, report_lines

    report = checked(folder)
    click.echo(json.dumps(report) if as_json else "\n".join(report_lines(report)))
    if report["problem"] or report["damaged"] or report["passed_over"]:
        raise SystemExit(1)


@journal.command(
    epilog="""Examples:

    touchpoint journal repair run/journal

    touchpoint journal repair run/journal --give-up
    """
)
@FOLDER
@click.option("--give-up", is_flag=True, help="Really do it: put what follows the damage aside.")
def repair(folder: Path, give_up: bool) -> None:
    """Keep the longest right prefix of a damaged journal, and put aside what follows it, for good.

    What follows was acknowledged: contacts would be counted no more, and the same requests answered anew. An undamaged copy is better.
    Without --give-up it only says what it would do.
    """
    from engine.base.overlay import OverlayFullError
    from engine.journal.segments import JournalError
    from engine.ledger.names import LedgerFullError
    from server.journal_report import repaired

    try:
        for line in repaired(folder, give_up):
            click.echo(line)
    except (JournalError, LedgerFullError, OverlayFullError, OSError) as error:
        raise click.ClickException(str(error)) from None


@journal.command(
    epilog="""Examples:

    touchpoint journal dump run/journal | head

    touchpoint journal dump run/journal --kind recorded --kind changed

    touchpoint journal dump run/journal --first 4711 --last 4711
    """
)
@FOLDER
@click.option("--first", type=click.IntRange(1), default=1, show_default=True, help="The first record's number.")
@click.option("--last", type=click.IntRange(1), help="The last record's number.  [default: the journal's last]")
@click.option(
    "--kind", "kinds", type=click.Choice(KINDS), multiple=True, help="Only records of this kind; may be repeated."
)
def dump(folder: Path, first: int, last: int | None, kinds: tuple[str, ...]) -> None:
    """Print records as JSON, one a line. Subscribers are keyed hashes; messages and answers are shown as JSON of their protobuf."""
    from engine.journal.segments import JournalError
    from server.journal_report import dumped

    try:
        for line in dumped(folder, first, last, kinds):
            click.echo(line)
    except BrokenPipeError:
        raise
    except (JournalError, OSError) as error:
        raise click.ClickException(str(error)) from None
