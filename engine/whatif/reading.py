"""Reads a report off the tallies of a scan."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from engine.catalogue.terms import CapPer
from engine.cel.values import timestamp_text
from engine.dtypes.tally import (
    CHANGED,
    GAINED,
    GROUP_CHOSEN,
    GROUP_REACHED,
    LOST,
    TIE_LOST,
    TIE_WON,
    TIED,
    WOULD_BE,
)
from engine.limits import MICROSECONDS_PER_SECOND
from engine.reasons import Reason
from engine.whatif import report
from engine.whatif.comparison import names_of
from engine.whatif.fields import missing_fields
from engine.whatif.kernels.capping import LEFT_WITHOUT, OFFERS, STOPPED, WITH_OFFER
from engine.whatif.scan import Scan
from engine.whatif.side import Side
from engine.whatif.tallies import Counts, Pair, counts_of, number_of, positions_of, things_of

TAKERS_SHOWN: Final = 5
FLOWS_SHOWN: Final = 100
_CONTROL: Final = (Reason.CONTROL_UNIVERSAL, Reason.CONTROL_CAMPAIGN)


def report_of(scan: Scan, seconds: float, processor_s: float) -> report.Report:
    """Return what the scan found in so many seconds by the clock, and of processor time."""
    rounds = scan.question.rounds if scan.rounding is not None else 0
    asked = scan.subscribers * len(scan.pairs)
    pairs = [_pair(scan, pair) for pair in scan.pairs]
    campaigns = [campaign for pair in pairs for campaign in pair.counts.campaigns]
    offers = [offer for pair in pairs for offer in pair.counts.offers]
    at_s, micros = divmod(scan.question.at_us, MICROSECONDS_PER_SECOND)
    return report.Report(
        catalogue=scan.rulebook.catalogue.id,
        rulebook=scan.rulebook.digest,
        against=None if scan.against is None else scan.against.digest,
        base=scan.snapshot.version,
        at=timestamp_text(at_s, micros * 1_000),
        subscribers=len(scan.snapshot.rows.hashes),
        looked_at=scan.subscribers,
        fields=scan.question.fields,
        rounds=scan.question.rounds,
        starved_share=scan.question.starved_share,
        decisions=asked * (1 + rounds + (scan.before is not None)),
        seconds=round(seconds, 3),
        processor_s=round(processor_s, 3),
        subscribers_per_s=round(asked / seconds, 1) if seconds > 0 else 0.0,
        unreached=sorted({c.id for c in campaigns} - {c.id for c in campaigns if c.reach}),
        unchosen=sorted({o.id for o in offers} - {o.id for o in offers if o.chosen}),
        pairs=pairs,
    )


def _pair(scan: Scan, pair: Pair) -> report.PairReport:
    side, whole = scan.after, _whole(scan)
    known = side.has(pair)
    channels = {channel.id: channel.max_offers for channel in scan.rulebook.catalogue.channels}
    return report.PairReport(
        trigger=pair.trigger,
        channel=pair.channel,
        offers_max=min(scan.question.offers_max, channels.get(pair.channel, 0)),
        fields_missing=missing_fields(side.bound, pair, scan.question.fields) if known else {},
        counts=_counts(side, pair, *whole),
        starved=list(_starved(scan, pair)) if known else [],
        caps=list(_caps(scan, pair)) if known else [],
        rounds=_rounds(scan, pair),
        segments=list(_segments(scan, pair)),
        against=None if scan.before is None else _comparison(scan, scan.before, pair),
    )


def _whole(scan: Scan) -> tuple[int, int]:
    """Return the segments that everybody falls into, once each: those of the first split."""
    return 0, len(scan.splits[0].names) if scan.splits else 1


def _counts(side: Side, pair: Pair, start: int, stop: int) -> report.Counts:
    tally = side.tallies[pair]
    counts = counts_of(tally, start, stop)
    positions = positions_of(side.bound, pair)
    campaigns, offers, group_of = things_of(side.bound, positions)
    names = names_of(side, pair)
    first = np.zeros(counts.groups.shape[1], np.int64)
    for position in range(len(names)):
        first[group_of[position]] += counts.first(position)
    things = [
        report.ThingCounts(
            id=name,
            reach=int(counts.groups[GROUP_REACHED, n]),
            first=int(first[n]),
            chosen=int(counts.groups[GROUP_CHOSEN, n]),
        )
        for n, name in enumerate((*campaigns, *offers))
    ]
    return report.Counts(
        looked_at=counts.looked,
        offered=counts.reasons.get(Reason.OFFERED.name, 0),
        reasons=counts.reasons,
        campaigns=things[: len(campaigns)],
        offers=things[len(campaigns) :],
        candidates=[_candidate(counts, position, *name) for position, name in enumerate(names)],
    )


def _candidate(counts: Counts, position: int, campaign: str, offer: str) -> report.CandidateCounts:
    return report.CandidateCounts(
        campaign=campaign,
        offer=offer,
        reach=counts.reach(position),
        stopped=counts.of(position),
        control=int(sum(counts.rows[reason, position] for reason in _CONTROL)),
        would_be=int(counts.rows[WOULD_BE, position]),
        first=counts.first(position),
        chosen=counts.chosen(position),
        tied=int(counts.rows[TIED, position]),
        tie_won=int(counts.rows[TIE_WON, position]),
        tie_lost=int(counts.rows[TIE_LOST, position]),
    )


def _starved(scan: Scan, pair: Pair) -> Iterator[report.Starved]:
    """Yield what reaches somebody and is chosen for nobody, or for a smaller share than was asked for; the widest reach first."""
    tally, counts = scan.after.tallies[pair], counts_of(scan.after.tallies[pair], *_whole(scan))
    names = names_of(scan.after, pair)
    for position in sorted(range(len(names)), key=lambda p: (-counts.reach(p), p)):
        reach, chosen = counts.reach(position), counts.chosen(position)
        if reach == 0 or (chosen > 0 and chosen >= scan.question.starved_share * reach):
            continue
        takers = None
        if len(tally.takers) == len(names):
            column = tally.takers[:, position]
            winners = np.argsort(-column.astype(np.int64), kind="stable")[:TAKERS_SHOWN].tolist()
            takers = [
                report.Taker(campaign=names[w][0], offer=names[w][1], subscribers=int(column[w]))
                for w in winners
                if column[w]
            ]
        later = {name: n for name, n in counts.of(position).items() if Reason[name] >= Reason.CONTROL_UNIVERSAL}
        campaign, offer = names[position]
        yield report.Starved(campaign=campaign, offer=offer, reach=reach, chosen=chosen, stopped=later, taken_by=takers)


def _caps(scan: Scan, pair: Pair) -> Iterator[report.CapReport]:
    """Yield the caps that the pair's candidates meet: totals by target, those by subscriber once each."""
    bound, counts = scan.after.bound, counts_of(scan.after.tallies[pair], *_whole(scan))
    caps = sorted(scan.rulebook.catalogue.contact_policy.caps, key=lambda cap: cap.id)
    rules, positions = bound.rules, positions_of(bound, pair)
    channel = rules.channels[number_of(bound, pair) % len(rules.channels)]
    met: dict[int, list[int]] = {}
    for row, where in [(channel, []), *((rules.candidates[n], [p]) for p, n in enumerate(positions.tolist()))]:
        for instance in rules.cap_of[row["cap_start"] : row["cap_start"] + row["cap_count"]].tolist():
            met.setdefault(instance, []).extend(where)
    by_subscriber = sorted({int(rules.instances[i]["cap"]) for i in met})
    for number in by_subscriber:
        cap = caps[number]
        if cap.per == CapPer.TOTAL:
            continue
        stopped = None if scan.rounding is None else scan.rounding.stopped(pair, cap.id)
        yield report.CapReport(
            cap=cap.id, scope=cap.scope.value, target=cap.target or "", per=cap.per.value, limit=cap.limit, first=None, chosen=None,
            binds=any(stopped or ()), stopped_in_round=stopped,
        )  # fmt: skip
    for instance in sorted(met):
        cap = caps[int(rules.instances[instance]["cap"])]
        if cap.per == CapPer.TOTAL:
            counting = [p for p in met[instance] if rules.candidates[positions[p]]["counts"]]
            chosen = sum(counts.chosen(p) for p in counting)
            yield report.CapReport(
                cap=cap.id, scope=cap.scope.value, target=_target(scan, cap.scope.value, positions[met[instance][0]]), per=cap.per.value,
                limit=cap.limit, first=sum(counts.first(p) for p in counting), chosen=chosen,
                binds=chosen > cap.limit, stopped_in_round=None,
            )  # fmt: skip


def _target(scan: Scan, scope: str, candidate: int) -> str:
    """Return what a total counts, as one of its candidates says it."""
    found = scan.after.bound.candidates[candidate]
    return {"offer": found.offer.id, "campaign": found.campaign.id}.get(scope, found.category)


def _rounds(scan: Scan, pair: Pair) -> list[report.Round] | None:
    if scan.rounding is None:
        return None
    return [
        report.Round(
            offered=int(row[WITH_OFFER]),
            offers=int(row[OFFERS]),
            stopped_by_cap=int(row[STOPPED]),
            left_without_by_cap=int(row[LEFT_WITHOUT]),
        )
        for row in scan.rounding.rounds[pair].decisions
    ]


def _segments(scan: Scan, pair: Pair) -> Iterator[report.Segment]:
    first = 0
    for split in scan.splits:
        for number, name in enumerate(split.names):
            if number in split.hidden:
                continue
            at = first + number
            moved = scan.comparisons[pair].changes.moved[at] if scan.comparisons else None
            yield report.Segment(
                by=split.name,
                value=name,
                counts=_counts(scan.after, pair, at, at + 1),
                before=None if scan.before is None else _counts(scan.before, pair, at, at + 1),
                first_changed=None if moved is None else int(moved.sum()),
            )
        first += len(split.names)


def _comparison(scan: Scan, before: Side, pair: Pair) -> report.Comparison:
    whole, found = _whole(scan), scan.comparisons[pair]
    counts = _counts(before, pair, *whole), _counts(scan.after, pair, *whole)
    moved = found.changes.moved[whole[0] : whole[1]].sum(axis=0)
    changes = _changes(scan, pair, counts)
    return report.Comparison(
        before=counts[0],
        first_changed=int(moved[CHANGED]),
        newly_offered=int(moved[GAINED]),
        no_longer_offered=int(moved[LOST]),
        flows=_flows(scan, before, pair),
        campaigns=[change for change in changes if not change.offer],
        offers=[change for change in changes if not change.campaign],
        candidates=[change for change in changes if change.offer and change.campaign],
    )


def _changes(scan: Scan, pair: Pair, counts: tuple[report.Counts, report.Counts]) -> list[report.Change]:
    """Return every candidate, campaign and offer of either rulebook, sorted by id."""
    found, changes = scan.comparisons[pair], []
    figures = [_figures(one) for one in counts]
    for number in sorted(range(len(found.things)), key=lambda n: found.things[n]):
        thing, kept = found.things[number], int(found.changes.kept[number])
        (reach_before, first_before, chosen_before), (reach, first, chosen) = (
            one.get(thing, (0, 0, 0)) for one in figures
        )
        changes.append(
            report.Change(
                campaign=thing[0],
                offer=thing[1],
                reach_before=reach_before,
                reach_after=reach,
                newly_reached=reach - kept,
                no_longer_reached=reach_before - kept,
                first_before=first_before,
                first_after=first,
                chosen_before=chosen_before,
                chosen_after=chosen,
            )
        )
    return changes


def _figures(counts: report.Counts) -> dict[tuple[str, str], tuple[int, int, int]]:
    found = {(c.campaign, c.offer): (c.reach, c.first, c.chosen) for c in counts.candidates}
    found |= {(thing.id, ""): (thing.reach, thing.first, thing.chosen) for thing in counts.campaigns}
    return found | {("", thing.id): (thing.reach, thing.first, thing.chosen) for thing in counts.offers}


def _flows(scan: Scan, before: Side, pair: Pair) -> list[report.Flow] | None:
    """Return the largest flows between different first offers."""
    flow = scan.comparisons[pair].changes.flow
    if not len(flow):
        return None
    names = [[("", ""), *names_of(side, pair)] for side in (before, scan.after)]
    rows, columns = np.nonzero(flow)
    found = [
        report.Flow(
            campaign_before=was[0],
            offer_before=was[1],
            campaign_after=now[0],
            offer_after=now[1],
            subscribers=int(flow[row, column]),
        )
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if (was := names[0][row]) != (now := names[1][column])
    ]
    found.sort(key=lambda f: (-f.subscribers, f.campaign_before, f.offer_before, f.campaign_after, f.offer_after))
    return found[:FLOWS_SHOWN]
