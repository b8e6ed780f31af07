"""`touchpoint replay`: a journal's requests decided again, to prove what was decided, or to see what another rulebook would have done."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from server.replay.proving import Proof

_PATH = click.Path(exists=True, path_type=Path)


@click.command(
    epilog="""Examples:

    touchpoint replay run/journal --rulebook run/rulebook --base run/base --key-secret-file key-secret
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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def replay(
    folder: Path, rulebooks: tuple[Path, ...], bases: tuple[Path, ...], key_secret_file: Path, as_json: bool
) -> None:
    """Decide everything in a journal again, in another process than the one that did, and prove that each decision comes out the same, bit for bit.

    Exit code 1 when one does not: the first that differs is shown, with what was asked. The journal is only read.
    """
    from engine.base.manifest import SnapshotError
    from engine.journal.disk import FolderDisk
    from engine.journal.segments import JournalError
    from engine.journal.starting import shard_in
    from engine.rulebook import RulebookError
    from server.replay.proving import as_json as told
    from server.replay.proving import prove
    from server.replay.world import known_of

    try:
        known = known_of(rulebooks, bases, key_secret_file)
        disk = FolderDisk(folder)
        proof = prove(disk, known, shard_in(disk), _tell)
    except (JournalError, RulebookError, SnapshotError, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(told(proof)) if as_json else _said(proof))
    if proof.difference is not None:
        raise SystemExit(1)


def _tell(proof: "Proof") -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{proof.decisions:,} decisions", err=True, nl=False)


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
    if proof.cut:
        lines.append(f"the journal's last record is not whole: {proof.cut}")
    return "\n".join(lines)
