"""What a scan found, as tables for people."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from engine.whatif.report import (
    CandidateCounts,
    CapReport,
    Change,
    Comparison,
    Counts,
    Flow,
    PairReport,
    Report,
    Starved,
)

T = TypeVar("T")
ROWS_SHOWN: Final = 40
TAKERS_SHOWN: Final = 3
FLOWS_SHOWN: Final = 10
PAIRS_SHOWN: Final = 6
NOBODY: Final = "no offer"
_STOPS: Final = (
    ("not\nvalid", ("CAMPAIGN_NOT_LIVE", "CAMPAIGN_NOT_STARTED", "CAMPAIGN_ENDED", "OFFER_NOT_VALID")),
    ("no\nconsent", ("CONSENT_MISSING", "CONSENT_REFUSED")),
    ("not\neligible", ("NOT_ELIGIBLE",)),
    ("unknown", ("CONDITION_UNKNOWN", "CONDITION_ERROR")),
)


def print_report(report: Report, console: Console | None = None, *, details: bool | None = None) -> None:
    """Print the report: one line a trigger and channel when there are several, and all of each when `details`, or not told and there are few."""
    console = console or Console()
    looked = (
        f"{report.looked_at:,} of {report.subscribers:,}"
        if report.looked_at < report.subscribers
        else f"{report.looked_at:,}"
    )
    console.print(
        f"[bold]{escape(report.catalogue)}[/bold] at {report.at}: {looked} subscribers of base {report.base}",
        highlight=False,
    )
    if len(report.pairs) > 1:
        console.print(_overview(report))
    for what, names in (("reach nobody", report.unreached), ("are chosen for nobody", report.unchosen)):
        if names:
            kind = "campaigns" if names is report.unreached else "offers"
            _note(console, f"{len(names):,} {kind} {what} here: {', '.join(names)}", "yellow")
    if details or (details is None and len(report.pairs) <= PAIRS_SHOWN):
        for pair in report.pairs:
            _print_pair(pair, console)
    elif details is None:
        _note(console, "--details, or a --trigger or --channel, shows what becomes of each campaign and offer")
    console.print(
        f"\nrulebook {report.rulebook}"
        + (f" against {report.against}" if report.against else "")
        + f" · {report.decisions:,} decisions in {report.seconds:.2f} s ({report.processor_s:.2f} s of processor time)",
        style="dim",
        highlight=False,
    )


def _overview(report: Report) -> Table:
    compared = any(pair.against is not None for pair in report.pairs)
    table = _table("trigger", "channel", right=("offered", "share", "starved", "caps"))
    for name in ("before", "first changes") if compared else ():
        table.add_column(name, justify="right")
    for pair in report.pairs:
        counts, binding = pair.counts, sum(cap.binds for cap in pair.caps)
        figures = [
            f"{counts.offered:,}",
            _share(counts.offered, counts.looked_at),
            *map(_figure, (len(pair.starved), binding)),
        ]
        if pair.against is not None:
            told = pair.against
            moved = told.first_changed + told.newly_offered + told.no_longer_offered
            figures += [f"{told.before.offered:,}", _figure(moved)]
        table.add_row(escape(pair.trigger), escape(pair.channel), *figures)
    return table


def _print_pair(pair: PairReport, console: Console) -> None:
    counts = pair.counts
    console.print(
        f"\n[bold]{escape(pair.trigger)} on {escape(pair.channel)}[/bold]: {counts.offered:,} of {counts.looked_at:,}"
        f" ({_share(counts.offered, counts.looked_at)}) get an offer, at most {pair.offers_max} each",
        highlight=False,
    )
    others = [f"{_words(name)} {n:,}" for name, n in counts.reasons.items() if name != "OFFERED"]
    if others:
        _note(console, f"the others: {', '.join(others)}")
    if pair.fields_missing:
        asking: dict[tuple[str, ...], list[str]] = {}
        for campaign, fields in pair.fields_missing.items():
            asking.setdefault(fields, []).append(campaign)
        for fields, campaigns in asking.items():
            given = " ".join(f"--field {name}=..." for name in fields)
            _note(console, f"{', '.join(fields)} unknown to {', '.join(campaigns)}; give {given}")
    if counts.candidates:
        console.print(_candidates(counts.candidates, counts.looked_at))
    _print_starved(pair.starved, console)
    _print_caps(pair, console)
    _print_segments(pair, console)
    if pair.against is not None:
        _print_comparison(pair.against, pair.counts, console)


def _candidates(candidates: list[CandidateCounts], looked_at: int) -> Table:
    """Return the table of candidates; what nobody meets has no column, and names fold on narrow terminals."""
    stops = [(title, names) for title, names in _STOPS if any(_sum(c, names) for c in candidates)]
    tied = any(c.tied for c in candidates)
    control = any(c.control for c in candidates)
    table = _table("offer (campaign)", right=("reach", "share", "first", "chosen"))
    for title in (*(["control"] if control else ()), *(["tied"] if tied else ()), *(title for title, _ in stops)):
        table.add_column(title, justify="right")
    for candidate in candidates[:ROWS_SHOWN]:
        more = [candidate.control] * control + [candidate.tied] * tied + [_sum(candidate, names) for _, names in stops]
        table.add_row(
            escape(f"{candidate.offer} ({candidate.campaign})"),
            f"{candidate.reach:,}",
            _share(candidate.reach, looked_at),
            *(_figure(n) for n in (candidate.first, candidate.chosen, *more)),
        )
    _left_out(table, len(candidates))
    return table


def _sum(candidate: CandidateCounts, names: Iterable[str]) -> int:
    return sum(candidate.stopped.get(name, 0) for name in names)


def _print_starved(starved: list[Starved], console: Console) -> None:
    for one in starved[:ROWS_SHOWN]:
        often = "never chosen" if not one.chosen else f"chosen for {one.chosen:,} ({_share(one.chosen, one.reach)})"
        takers = [f"{t.offer} ({t.campaign}) {t.subscribers:,}" for t in (one.taken_by or [])[:TAKERS_SHOWN]]
        stopped = ", ".join(f"{_words(name)} {n:,}" for name, n in one.stopped.items())
        before = f"; before it: {', '.join(takers)}" if takers else ""
        _note(
            console,
            f"starved: {one.offer} ({one.campaign}) reaches {one.reach:,}, {often}: {stopped}{before}",
            "yellow",
        )


def _print_caps(pair: PairReport, console: Console) -> None:
    for cap in pair.caps:
        if cap.binds:
            _note(console, _cap(cap), "yellow")
    for rounds, one in _alike(pair.rounds or []):
        _note(
            console,
            f"{rounds}: {one.offered:,} get {one.offers:,} offers; a cap stops something for {one.stopped_by_cap:,},"
            f" everything for {one.left_without_by_cap:,}",
        )


def _alike(found: Sequence[T]) -> list[tuple[str, T]]:
    """Return what the rounds found, those together that are alike and follow each other."""
    together, number = [], 1
    for one, group in groupby(found):
        last = number + len(list(group)) - 1
        together.append((f"round {number}" if last == number else f"rounds {number} to {last}", one))
        number = last + 1
    return together


def _cap(cap: CapReport) -> str:
    name = f"{cap.cap}" + (f" of {cap.scope} {cap.target}" if cap.target else "")
    if cap.stopped_in_round is None:
        return f"cap: {name} allows {cap.limit:,}; {cap.chosen or 0:,} would count if each had this trigger once, {cap.first or 0:,} of them first"
    rounds = ", ".join(f"{n:,} in {rounds}" for rounds, n in _alike(cap.stopped_in_round) if n)
    return f"cap: {name} allows {cap.limit:,} by subscriber; it stops offers for {rounds}"


def _print_segments(pair: PairReport, console: Console) -> None:
    if not pair.segments:
        return
    compared = any(segment.before is not None for segment in pair.segments)
    right = ("subscribers", "offered", "share") + (("before", "first changes") if compared else ())
    table = _table("segment", right=right)
    table.add_column("most often first", ratio=1)
    for segment in pair.segments:
        counts = segment.counts
        if not counts.looked_at:
            continue
        figures = [f"{counts.looked_at:,}", f"{counts.offered:,}", _share(counts.offered, counts.looked_at)]
        if segment.before is not None:
            figures += [f"{segment.before.offered:,}", f"{segment.first_changed or 0:,}"]
        table.add_row(escape(f"{segment.by} {segment.value}"), *figures, escape(_leaders(counts)))
    console.print(table)


def _leaders(counts: Counts) -> str:
    leaders = sorted((o for o in counts.offers if o.first), key=lambda o: -o.first)[:TAKERS_SHOWN]
    return ", ".join(f"{offer.id} {offer.first:,}" for offer in leaders)


def _print_comparison(found: Comparison, after: Counts, console: Console) -> None:
    console.print(
        f"against today: {found.before.offered:,} had an offer, {after.offered:,} have one; {found.newly_offered:,} get one anew,"
        f" {found.no_longer_offered:,} none any more, {found.first_changed:,} another first",
        highlight=False,
    )
    for flow in (found.flows or [])[:FLOWS_SHOWN]:
        _note(console, f"{flow.subscribers:,}: {_flow(flow)}")
    changed = [change for change in found.campaigns if _is_change(change)]
    if changed:
        table = _table("campaign", right=("reach", "now", "new", "gone", "first", "now", "chosen", "now"))
        for change in changed[:ROWS_SHOWN]:
            table.add_row(
                escape(change.campaign),
                *(
                    _figure(n)
                    for n in (
                        change.reach_before,
                        change.reach_after,
                        change.newly_reached,
                        change.no_longer_reached,
                        change.first_before,
                        change.first_after,
                        change.chosen_before,
                        change.chosen_after,
                    )
                ),
            )
        _left_out(table, len(changed))
        console.print(table)
    else:
        _note(console, "no campaign reaches anybody else, or is chosen more or less often")


def _flow(flow: Flow) -> str:
    before = f"{flow.offer_before} ({flow.campaign_before})" if flow.offer_before else NOBODY
    after = f"{flow.offer_after} ({flow.campaign_after})" if flow.offer_after else NOBODY
    return f"{before} → {after}"


def _is_change(change: Change) -> bool:
    return bool(
        change.newly_reached
        or change.no_longer_reached
        or change.first_before != change.first_after
        or change.chosen_before != change.chosen_after
    )


def _table(*left: str, right: Iterable[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right")
    return table


def _left_out(table: Table, count: int) -> None:
    if count > ROWS_SHOWN:
        table.add_row(f"and {count - ROWS_SHOWN} more: --json has all")


def _note(console: Console, text: str, style: str = "dim") -> None:
    console.print(Padding(escape(text), (0, 0, 0, 2)), style=style, highlight=False)


def _figure(count: int) -> str:
    return f"{count:,}" if count else "·"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _words(reason: str) -> str:
    return reason.lower().replace("_", " ")
