"""`touchpoint lint`: what is right, and yet can be proved to be of no use."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from loaders.commands.check import DEMO_CATALOGUE

if TYPE_CHECKING:
    from engine.lint.finding import Finding, Severity
    from loaders.catalogue.problems import Place

SEVERITIES = ("error", "warning", "note")


@click.command(
    epilog="""Examples:

    touchpoint lint my-catalogue

    touchpoint lint my-catalogue --fail-on error --json | jq '.findings[].rule'

    touchpoint lint --explain never_wins
    """
)
@click.argument("folder", type=click.Path(path_type=Path), default=DEMO_CATALOGUE, metavar="[FOLDER]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with every finding.")
@click.option("--explain", metavar="RULE", help="Say what a rule means, and stop; `all` for every rule.")
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    default="warning",
    show_default=True,
    help="Least severity for exit code 1.",
)
@click.option(
    "--gap-minutes",
    type=click.IntRange(0, 1_440),
    default=60,
    show_default=True,
    help="Shortest time between two quiet times that is not named as a gap.",
)
def lint(folder: Path, as_json: bool, explain: str | None, fail_on: str, gap_minutes: int) -> None:
    """Find what can never work in a catalogue, the folder of *.yaml files (the demo's when none is named): dead conditions, offers that never win,
    caps that never decide, gaps in quiet hours.

    Every finding is certain, whatever subscribers and requests come; what cannot be proved is left alone. A catalogue with mistakes is reported
    like `touchpoint check` does. Exit code 1 when there is a mistake, or a finding of the severity of --fail-on or graver.
    """
    if explain is not None:
        _explain(explain)
        return
    from engine.lint.linting import lint as findings_of
    from engine.lint.linting import undecided
    from engine.lint.rules import RULES
    from loaders.catalogue.load import compile_with_places
    from loaders.catalogue.problems import CatalogueErrors

    try:
        rulebook, places = compile_with_places(folder, now_us=time.time_ns() // 1_000)
    except CatalogueErrors as errors:
        click.echo(str(errors), err=True)
        raise SystemExit(1) from None
    found = sorted(
        (places.of(*finding.subject), RULES[finding.rule].severity, finding)
        for finding in findings_of(rulebook, gap_minutes)
    )
    left, campaigns = undecided(rulebook), len(rulebook.catalogue.campaigns)
    if as_json:
        click.echo(json.dumps(_as_json(rulebook.catalogue.id, found, left, campaigns)))
    else:
        _print(rulebook.catalogue.id, found, left, campaigns)
    grave = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    if any(severity in grave for _, severity, _ in found):
        raise SystemExit(1)


def _explain(name: str) -> None:
    from engine.lint.rules import RULES

    if name != "all" and name not in RULES:
        raise click.BadParameter(f"expected one of {', '.join(RULES)}, or all", param_hint="--explain")
    for rule, (severity, explanation) in RULES.items():
        if name in (rule, "all"):
            click.echo(f"{rule} ({severity}): {explanation}")


def _counts(found: "list[tuple[Place, Severity, Finding]]") -> dict[str, int]:
    return {name: sum(severity == name for _, severity, _ in found) for name in SEVERITIES}


def _print(name: str, found: "list[tuple[Place, Severity, Finding]]", left: int, campaigns: int) -> None:
    for place, severity, finding in found:
        where = f"{place.file}:{place.line}:{place.column}"
        click.echo(f"{where}: {severity} {finding.rule}: {finding.found}: {finding.because}; {finding.do}")
    counts = ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for word, count in _counts(found).items())
    click.echo(f"{name}: {counts}; {left} of {campaigns} campaigns have conditions with parts that lint does not judge")


def _as_json(name: str, found: "list[tuple[Place, Severity, Finding]]", left: int, campaigns: int) -> dict[str, object]:
    findings = [
        {
            **place._asdict(),
            "severity": severity,
            "rule": finding.rule,
            "kind": finding.subject.kind,
            "id": finding.subject.id,
            "found": finding.found,
            "because": finding.because,
            "do": finding.do,
        }
        for place, severity, finding in found
    ]
    return {"catalogue": name, "findings": findings, **_counts(found), "campaigns": campaigns, "not_judged": left}
