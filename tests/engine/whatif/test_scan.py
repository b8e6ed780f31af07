"""Scans of worlds against the oracle, every count compared."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.whatif.kernels.capping import cap_run
from engine.whatif.kernels.comparing import compare_run
from engine.whatif.kernels.splitting import split_run
from engine.whatif.kernels.tallying import tally_run
from engine.whatif.question import Question
from engine.whatif.reading import report_of
from engine.whatif.report import CapReport, Counts, Report
from engine.whatif.scan import Scan
from engine.whatif.tallies import Pair
from tests.engine.whatif.crowds import Crowd, crowd, requests_of
from tests.engine.whatif.expected import CONTROL, Expected, Key, Seen, play_rounds, scan, things
from tests.oracle.catalogue import Catalogue
from tests.oracle.oracle import Oracle
from tests.oracle.subscribers import Subscriber
from tests.worlds.people import Row

SEEDS = (5, 6, 7, 8, 9, 20, 22)
"""Worlds that show everything between them."""
TWINS = (tally_run, split_run, compare_run, cap_run)
"""tests/engine/whatif/expected.py is theirs."""
HIT: Counter[str] = Counter()
"""What the worlds have shown, so that nothing goes untested."""
CROWDS: dict[int, tuple[Crowd, list[Row]]] = {}


@pytest.fixture
def people(seed: int, tmp_path_factory: pytest.TempPathFactory) -> tuple[Crowd, list[Row]]:
    """The crowd of a seed and its rows, made once; scans change neither."""
    HIT["tests"] += 1
    if seed not in CROWDS:
        CROWDS[seed] = crowd(seed, tmp_path_factory.mktemp("crowd"))
    return CROWDS[seed]


def scanned(crowd: Crowd, against: bool = False, **asked: object) -> tuple[Scan, Report]:
    question = Question(at_us=crowd.at_us, **asked)  # type: ignore[arg-type]
    with np.errstate(over="ignore"):
        found = Scan(
            crowd.edited if against else crowd.rulebook,
            crowd.snapshot,
            question,
            crowd.rulebook if against else None,
            crowd.overlay,
        )
        assert list(found.steps()) == [question.sample or len(crowd.hashes)]
    return found, report_of(found, 1.0, 1.0)


def compare(counts: Counts, expected: Expected) -> None:
    """Every figure of a report against the oracle's."""
    assert (counts.looked_at, counts.reasons) == (expected.looked, dict(expected.reasons))
    assert counts.offered == expected.reasons["OFFERED"]
    HIT["seats"] += sum(expected.chosen[c.campaign, c.offer] for c in counts.candidates) > 4 * counts.offered
    HIT.update(counts.reasons)
    for one in counts.candidates:
        key = (one.campaign, one.offer)
        stopped = expected.stopped.get(key, Counter())
        assert one.stopped == dict(stopped), key
        assert one.control == sum(stopped[name] for name in CONTROL)
        told = (one.reach, one.first, one.chosen, one.would_be, one.tied, one.tie_won, one.tie_lost)
        columns = ("reach", "first", "chosen", "would_be", "tied", "tie_won", "tie_lost")
        assert told == tuple(getattr(expected, column)[key] for column in columns), key
        HIT.update(dict(zip(columns, told, strict=True)))
        HIT.update(one.stopped)
    for kind, found in enumerate((counts.campaigns, counts.offers)):
        for thing in found:
            name = ("", thing.id) if kind else (thing.id, "")
            assert (thing.reach, thing.first, thing.chosen) == (
                expected.reach[name],
                expected.first[name],
                expected.chosen[name],
            )


@pytest.mark.parametrize("seed", SEEDS)
def test_every_count_is_the_oracle_s(seed: int, people: tuple[Crowd, list[Row]]) -> None:
    crowd_, rows = people
    found, report = scanned(crowd_)
    oracle = crowd_.oracle(crowd_.plain, rows)
    assert [Pair(p.trigger, p.channel) for p in report.pairs] == found.pairs
    for pair in report.pairs:
        expected, _, _ = scan(oracle, requests_of(crowd_, pair.trigger, pair.channel))
        compare(pair.counts, expected)
        names = [(c.campaign, c.offer) for c in pair.counts.candidates]
        takers = found.after.tallies[Pair(pair.trigger, pair.channel)].takers
        for loser, key in enumerate(names):
            told = {winner: int(n) for winner, n in zip(names, takers[:, loser], strict=True) if n}
            assert told == {winner: n for winner, n in expected.takers.get(key, Counter()).items() if n}, key
            HIT["takers"] += sum(told.values())


def parts_of(crowd: Crowd, label: str, max_age_us: int | None) -> Callable[[Subscriber, bool], list[str]]:
    """The segments of a label (none when it has no name), of tenure in ranges, of some plans, of VIPs and of zones, by name."""

    def segments(person: Subscriber, found: bool) -> list[str]:
        if not found:
            return [f"{name} unknown" for name in (label, "tenure", "plan", "vip", "zone") if name]
        names = [f"{label} has not"] if label else []
        if label in person.labels:
            fresh = max_age_us is None or crowd.at_us - person.labels[label] <= max_age_us
            names = [f"{label} {'has' if fresh else 'unknown'}"]
        tenure = person.attributes.get("tenure")
        between = "unknown" if tenure is None else "< 1" if tenure < 1 else "1 to < 13" if tenure < 13 else ">= 13"
        plan, vip = person.attributes.get("plan"), person.attributes.get("vip")
        return [
            *names,
            f"tenure {between}",
            f"plan {'unknown' if plan is None else plan if plan == 'basic' else 'other'}",
            f"vip {'unknown' if vip is None else str(vip).lower()}",
            f"zone {person.zone or 'unknown'}",
        ]

    return segments


@pytest.mark.parametrize("seed", SEEDS)
def test_segments_are_counted_apart(seed: int, people: tuple[Crowd, list[Row]]) -> None:
    crowd_, rows = people
    labels = {label.id: label.max_age_us for label in crowd_.rulebook.catalogue.labels}
    label = sorted(labels)[seed % len(labels)] if labels else ""
    asked = ("tenure=1,13", "plan=basic", "vip", "zone")
    _, report = scanned(crowd_, segments=(*asked, label) if label else asked)
    oracle = crowd_.oracle(crowd_.plain, rows)
    for pair in report.pairs:
        expected, parts, _ = scan(
            oracle,
            requests_of(crowd_, pair.trigger, pair.channel),
            parts_of(crowd_, label, labels.get(label)),
        )
        compare(pair.counts, expected)
        told = {f"{segment.by} {segment.value}": segment for segment in pair.segments}
        assert parts.keys() <= told.keys()
        for name, segment in told.items():
            compare(segment.counts, parts.get(name, Expected()))
            HIT[name.partition(" ")[2]] += segment.counts.looked_at


def moves(before: list[Seen], after: list[Seen]) -> tuple[list[int], Counter[tuple[Key | None, Key | None]]]:
    """Changed, gained and lost first offers, and the flows between different ones."""
    flows = Counter((b.first, a.first) for b, a in zip(before, after, strict=True) if b.first != a.first)
    gained = sum(n for (b, _), n in flows.items() if b is None)
    lost = sum(n for (_, a), n in flows.items() if a is None)
    return [flows.total() - gained - lost, gained, lost], flows


@pytest.mark.parametrize("seed", SEEDS)
def test_two_rulebooks_are_compared(seed: int, people: tuple[Crowd, list[Row]]) -> None:
    crowd_, rows = people
    _, report = scanned(crowd_, against=True, segments=("vip",))
    oracles = [crowd_.oracle(plain, rows) for plain in (crowd_.plain, crowd_.edited_plain)]
    for pair in report.pairs:
        assert pair.against is not None
        sides = [looked_at(oracle, crowd_, pair.trigger, pair.channel) for oracle in oracles]
        (before, seen_before), (after, seen_after) = sides
        if any(found.looked for found, _ in sides[1:]):
            compare(pair.counts, after)
        moved, flows = moves(seen_before, seen_after)
        told = pair.against
        assert [told.first_changed, told.newly_offered, told.no_longer_offered] == moved
        assert told.flows is not None
        assert {
            ((f.campaign_before, f.offer_before), (f.campaign_after, f.offer_after)): f.subscribers for f in told.flows
        } == {(b or ("", ""), a or ("", "")): n for (b, a), n in flows.items()}
        kept: Counter[Key] = Counter()
        for b, a in zip(seen_before, seen_after, strict=True):
            kept.update(things(b.reached) & things(a.reached))
        for change in (*told.campaigns, *told.offers, *told.candidates):
            key = (change.campaign, change.offer)
            assert (change.reach_before, change.reach_after) == (before.reach[key], after.reach[key])
            assert (change.first_before, change.first_after) == (before.first[key], after.first[key])
            assert (change.chosen_before, change.chosen_after) == (before.chosen[key], after.chosen[key])
            assert change.newly_reached == after.reach[key] - kept[key]
            assert change.no_longer_reached == before.reach[key] - kept[key]
        HIT.update({"changed": moved[0], "gained": moved[1], "lost": moved[2]})
        assert sum(segment.first_changed or 0 for segment in pair.segments) == sum(moved)


def looked_at(oracle: Oracle, people: Crowd, trigger: str, channel: str) -> tuple[Expected, list[Seen]]:
    """What the oracle finds; nothing when its catalogue has not the channel."""
    requests = requests_of(people, trigger, channel)
    if channel not in oracle.catalogue.channels:
        return Expected(), [Seen(set(), None) for _ in requests]
    expected, _, seen = scan(oracle, requests)
    return expected, seen


@pytest.mark.parametrize("seed", SEEDS)
def test_rounds_fill_the_caps_as_the_oracle_s_do(seed: int, people: tuple[Crowd, list[Row]]) -> None:
    crowd_, rows = people
    _, report = scanned(crowd_, rounds=3)
    for pair in report.pairs:
        expected = play_rounds(crowd_.oracle(crowd_.plain, rows), requests_of(crowd_, pair.trigger, pair.channel), 3)
        assert pair.rounds is not None
        told = [[r.offered, r.offers, r.stopped_by_cap, r.left_without_by_cap] for r in pair.rounds]
        assert told == expected.decisions
        for cap in pair.caps:
            if cap.per == "subscriber":
                assert cap.stopped_in_round == [found[cap.cap] for found in expected.caps]
                assert cap.binds == any(cap.stopped_in_round)
        met = {cap.cap for cap in pair.caps if cap.per == "subscriber"}
        assert {name for found in expected.caps for name in found} <= met
        HIT["caps"] += sum(found.total() for found in expected.caps)


@pytest.mark.parametrize("seed", SEEDS)
def test_totals_are_set_beside_what_would_count(seed: int, people: tuple[Crowd, list[Row]]) -> None:
    crowd_, rows = people
    _, report = scanned(crowd_)
    oracle = crowd_.oracle(crowd_.plain, rows)
    for pair in report.pairs:
        expected, _, _ = scan(oracle, requests_of(crowd_, pair.trigger, pair.channel))
        for cap in pair.caps:
            if cap.per == "total":
                keys = [(c.campaign, c.offer) for c in pair.counts.candidates]
                keys = [key for key in keys if counts_toward(key, cap, oracle.catalogue)]
                chosen = sum(expected.chosen[key] for key in keys)
                assert (cap.first, cap.chosen) == (sum(expected.first[key] for key in keys), chosen)
                assert cap.binds == (chosen > cap.limit)
                HIT["totals"] += 1


def counts_toward(key: Key, cap: CapReport, catalogue: Catalogue) -> bool:
    """Whether a candidate's contacts count toward a cap in total."""
    campaign, offer = key
    named = {"campaign": campaign, "offer": offer, "category": catalogue.offers[offer].category}[cap.scope]
    return named == cap.target and catalogue.campaigns[campaign].counts


def test_the_worlds_have_shown_everything() -> None:
    """After the others: every count was more than nothing somewhere."""
    if HIT["tests"] < 5 * len(SEEDS):
        pytest.skip("not all of them were run")
    needed = ["reach", "first", "chosen", "would_be", "tied", "tie_won", "tie_lost", "takers", "caps", "totals"]
    needed += ["changed", "gained", "lost", "has", "has not", "unknown", "< 1", "1 to < 13", ">= 13", "other", "true"]
    needed += ["CAMPAIGN_NOT_LIVE", "OFFER_NOT_VALID", "CONSENT_MISSING", "CONSENT_REFUSED", "NOT_ELIGIBLE"]
    needed += [
        "CONDITION_UNKNOWN",
        "CONDITION_ERROR",
        "CAMPAIGN_NOT_STARTED",
        "SUBSCRIBER_ERASED",
        "CONTROL_UNIVERSAL",
        "CONTROL_CAMPAIGN",
        "QUIET_HOURS",
        "EXCLUSIVE_GROUP",
    ]
    needed += ["RANKED_OUT", "CAP_REACHED", "seats"]
    assert [name for name in needed if not HIT[name]] == []


def test_a_sample_is_the_first_by_hash(tmp_path: Path) -> None:
    people, rows = crowd(0, tmp_path)
    _, report = scanned(people, sample=10)
    assert (report.subscribers, report.looked_at) == (len(people.hashes), 10)
    pair = report.pairs[0]
    oracle = people.oracle(people.plain, rows)
    compare(pair.counts, scan(oracle, requests_of(people, pair.trigger, pair.channel)[:10])[0])


def test_a_scan_changes_nothing_of_the_overlay(tmp_path: Path) -> None:
    people, _ = crowd(1, tmp_path)
    first, second = (scanned(people, rounds=2)[1] for _ in range(2))
    assert first == second
    assert people.overlay.person_count == len(people.erased)
