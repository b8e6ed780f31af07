"""`touchpoint replay`: a journal's requests decided again, to prove what was decided, or to see what another rulebook would have done."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

if TYPE_CHECKING:
    from server.replay.proving import Proof

_PATH = click.Path(exists=True, path_type=Path)


@click.command(
    epilog="""Examples:

    touchpoint replay run/journal --rulebook run/rulebook --base run/base --key-secret-file key-secret

    touchpoint replay run/journal --rulebook run/rulebook --base run/base --key-secret-file key-secret --against new-rulebook --json

    touchpoint replay run/journal --rulebook run/rulebook --base run/base --key-secret-file key-secret --first 4711
    """
)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--rulebook",
    "rulebooks",
    type=_PATH,
    multiple=True,
    required=True,
    help="A compiled rulebook that decided; may be repeated.",
)
@click.option(
    "--base",
    "bases",
    type=_PATH,
    multiple=True,
    required=True,
    help="A base, or one of its snapshots, that was decided with; may be repeated.",
)
@click.option("--key-secret-file", type=_PATH, required=True, help="File with the secret that the base was built with.")
@click.option("--against", type=_PATH, help="A compiled rulebook: show what it would have done instead.")
@click.option(
    "--first",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Begin with the newest snapshot before the record with this number, not with the oldest one that is kept.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def replay(folder: Path, rulebooks: tuple[Path, ...], bases: tuple[Path, ...], **more: Any) -> None:
    """Decide everything in a journal again, in another process than the one that did, and prove that each decision comes out the same, bit for bit.

    Exit code 1 when one does not: the first that differs is shown, with what was asked. With --against, show what another rulebook would have done
    with the same requests, over a ledger of its own. The journal is only read.
    """
    from engine.base.manifest import SnapshotError
    from engine.base.overlay import OverlayFullError
    from engine.journal.disk import FolderDisk
    from engine.journal.segments import JournalError
    from engine.journal.starting import shard_in
    from engine.ledger.names import LedgerFullError
    from engine.rulebook import RulebookError, load_rulebook
    from server.replay.comparing import compare, lines
    from server.replay.proving import as_json as told
    from server.replay.proving import prove
    from server.replay.world import known_of

    as_json, against, first = more["as_json"], more["against"], more["first"]
    try:
        known = known_of(rulebooks, bases, more["key_secret_file"])
        disk = FolderDisk(folder)
        if against is not None:
            comparison = compare(disk, known, shard_in(disk), load_rulebook(against), _tell, first=first)
            click.echo(json.dumps(comparison.told()) if as_json else "\n".join(lines(comparison)))
            return
        proof = prove(disk, known, shard_in(disk), lambda proof: _tell(proof.decisions), first=first)
    except (
        JournalError,
        LedgerFullError,
        OverlayFullError,
        RulebookError,
        SnapshotError,
        OSError,
        ValueError,
    ) as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(told(proof)) if as_json else _said(proof))
    if proof.difference is not None:
        raise SystemExit(1)


def _tell(decisions: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{decisions:,} decisions", err=True, nl=False)


def _said(proof: "Proof") -> str:
    lines = []
    if proof.difference is None:
        lines.append(
            f"identical: {proof.decisions:,} decisions in {proof.records:,} records, {proof.held:,} of which held something, {proof.seconds:,.1f} s"
        )
    else:
        found = proof.difference
        lines += [
            f"different: record {found.record:,}, request {found.row}, subscriber {found.subscriber}, after {proof.decisions:,} decisions",
            f"asked:  {json.dumps(found.asked)}",
            f"was:    {json.dumps(found.was)}",
            f"became: {json.dumps(found.became)}",
        ]
    if proof.erased:
        lines.append(
            f"{proof.erased:,} more are of subscribers who were erased: what they held was taken over, what they asked is no more"
        )
    if proof.cut:
        lines.append(f"the journal's last record is not whole: {proof.cut}")
    return "\n".join(lines)
