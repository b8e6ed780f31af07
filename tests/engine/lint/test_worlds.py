"""Worlds of the oracle against what lint says of their catalogues: what it calls dead never passes, what it says never wins is never made, and a
cap that it says decides nothing can be taken out without anybody noticing."""

import copy
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from engine.lint.cap_rules import CAP_OF_NOTHING, CAP_SETTLED, CAP_STOPS_ALL
from engine.lint.condition_rules import DEAD_CONDITION, DEAD_ON_TRIGGER
from engine.lint.dominance import NEVER_WINS
from engine.lint.finding import Finding
from engine.lint.linting import lint
from engine.lint.offer_rules import PERIODS_APART, UNUSED_OFFER
from loaders.catalogue.load import compile_catalogue
from tests.oracle.decide import Answer
from tests.oracle.oracle import Oracle
from tests.worlds.catalogues import Plain, targets_of
from tests.worlds.commands import Decide, Edit, Explain
from tests.worlds.files import write_catalogue
from tests.worlds.play import play
from tests.worlds.world import World, bare_world, oracle_of
from tests.worlds.writer import Writer

ELIGIBLE = (
    "CAMPAIGN_NOT_LIVE",
    "CAMPAIGN_NOT_STARTED",
    "CAMPAIGN_ENDED",
    "OFFER_NOT_VALID",
    "CONSENT_REFUSED",
    "CONSENT_MISSING",
)
NOT_TRUE = (*ELIGIBLE, "UNKNOWN_SUBSCRIBER", "NOT_ELIGIBLE", "CONDITION_UNKNOWN", "CONDITION_ERROR")


def plainer(seed: int) -> World:
    """A world in which little stops an offer, so that much of it can be proved; everything is there now and then."""
    rng, world = Random(f"lint {seed}"), bare_world(3 * seed)
    catalogue = copy.deepcopy(world.catalogue)
    policy = catalogue["contact_policy"]
    if rng.random() < 0.7:
        policy.pop("cool_down", None)
        policy.pop("reoffer", None)
    policy["caps"] = random_caps(rng, catalogue) if rng.random() < 0.5 else []
    for channel in catalogue["channels"]:
        channel["max_offers"] = rng.choice([1, 1, 2, 3])
    for product in catalogue["products"]:
        if rng.random() < 0.5:
            product["exclusive_group"] = rng.choice(["one", "two"])
    for campaign in catalogue["campaigns"]:
        _plainer_campaign(rng, campaign, catalogue)
    world.catalogue = catalogue
    return world


def random_caps(rng: Random, catalogue: Plain) -> list[Plain]:
    """Caps that are often each other's parts."""
    counts, targets = rng.choice(["decided", "handed_off", "seen"]), targets_of(catalogue)
    caps: list[Plain] = []
    for number in range(rng.randint(1, 5)):
        total = rng.random() < 0.15
        scope = rng.choice(
            ["offer", "campaign", "category"] if total else ["offer", "offer", "campaign", "category", "channel", "all"]
        )
        window: Any = rng.choice(
            [
                {"calendar": "day"},
                {"calendar": "week"},
                {"calendar": "month"},
                {"rolling": "2h"},
                {"rolling": "1d"},
                {"rolling": "9d"},
            ]
        )
        if total:
            window = "lifetime" if "rolling" in window else window
        plain = {
            "id": f"cap_{number}",
            "scope": scope,
            "per": "total" if total else "subscriber",
            "counts": counts,
            "window": window,
        }
        if targets[scope] and rng.random() < 0.3:
            plain["target"] = rng.choice(targets[scope])
        caps.append(plain | {"limit": rng.choice([0, 1, 1, 2, 2, 3])})
    return caps


def _plainer_campaign(rng: Random, campaign: Plain, catalogue: Plain) -> None:
    if rng.random() < 0.7:
        campaign["control_share"] = 0.0
    if rng.random() < 0.6:
        campaign["purpose"] = "service"
    if rng.random() < 0.6:
        campaign.pop("from", None)
        campaign.pop("until", None)
    terms = [f"subscriber.tenure {rng.choice(('>=', '<'))} {rng.choice((1, 12, 24))}"] * (rng.random() < 0.5)
    terms += [f'"{label["id"]}" in subscriber.labels' for label in catalogue["labels"][:2] if rng.random() < 0.4]
    terms += ["subscriber.tenure >= 12"] * (rng.random() < 0.3)
    terms += ["trigger.used_mb > 1.0"] * ("data_usage" in campaign["triggers"] and rng.random() < 0.2)
    if rng.random() < 0.8:
        campaign.pop("condition", None)
        if terms:
            campaign["condition"] = " && ".join(terms)


def findings_of(world: World, folder: Path) -> list[Finding]:
    write_catalogue(folder, world.catalogue)
    return lint(compile_catalogue(folder, now_us=world.shape.start_us))


def answers_of(world: World, oracle: Oracle) -> list[Answer]:
    """Every answer of the world's script, played anew."""
    found: list[Answer] = []
    for command in world.script:
        given = play(oracle, command)
        if isinstance(command, Decide | Explain):
            found += given if isinstance(command, Decide) else [given]
    return found


def without_cap(world: World, name: str) -> World:
    catalogue = copy.deepcopy(world.catalogue)
    caps = catalogue["contact_policy"]["caps"]
    catalogue["contact_policy"]["caps"] = [cap for cap in caps if cap["id"] != name]
    return World(world.seed, world.shape, catalogue, world.rows, world.script)


def check_finding(finding: Finding, world: World, answers: list[Answer]) -> None:
    name, part = finding.subject.id, finding.subject.part
    said = f"seed {world.seed}: {finding}"
    verdicts = [(answer, verdict) for answer in answers for verdict in answer.verdicts]
    if finding.rule in (NEVER_WINS, PERIODS_APART):
        assert not any((name, part) in [*answer.chosen, *answer.would_be] for answer in answers), said
    if finding.rule == UNUSED_OFFER:
        assert not any(verdict.offer.id == name for _, verdict in verdicts), said
    if finding.rule == DEAD_CONDITION:
        assert all(verdict.reason in NOT_TRUE for _, verdict in verdicts if verdict.campaign.id == name), said
    if finding.rule == CAP_OF_NOTHING:
        assert not any(verdict.cap == name for _, verdict in verdicts), said
    if finding.rule in (CAP_OF_NOTHING, CAP_SETTLED):
        other = without_cap(world, name)
        for answer, again in zip(answers, answers_of(other, oracle_of(other)), strict=True):
            assert (answer.reason, answer.chosen) == (again.reason, again.chosen), said
            assert [v.reason for v in answer.verdicts] == [v.reason for v in again.verdicts], said


def check_triggers(finding: Finding, world: World) -> None:
    """Play only what asks about the trigger, as a dead condition there."""
    name, part = finding.subject.id, finding.subject.part
    oracle = oracle_of(world)
    for command in world.script:
        given = play(oracle, command)
        if not isinstance(command, Decide | Explain):
            continue
        requests = command.requests if isinstance(command, Decide) else (command.request,)
        for request, answer in zip(requests, given if isinstance(command, Decide) else [given], strict=True):
            if request.trigger == part:
                reasons = [verdict.reason for verdict in answer.verdicts if verdict.campaign.id == name]
                assert all(reason in NOT_TRUE for reason in reasons), f"seed {world.seed}: {finding}"


def test_the_oracle_never_contradicts_lint(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    for seed in range(70):
        world = plainer(seed)
        findings = findings_of(world, tmp_path / str(seed))
        if not {finding.rule for finding in findings} & TESTED:
            continue
        Writer(world).write(30)
        edits = [number for number, command in enumerate(world.script) if isinstance(command, Edit)]
        del world.script[min(edits, default=len(world.script)) :]
        answers = answers_of(world, oracle_of(world))
        for finding in findings:
            check_finding(finding, world, answers)
            if finding.rule == DEAD_ON_TRIGGER:
                check_triggers(finding, world)
        seen.update(finding.rule for finding in findings)
    assert seen[NEVER_WINS] >= 30, seen
    assert seen[CAP_SETTLED] >= 8, seen
    assert min(seen[rule] for rule in TESTED) >= 3, seen


TESTED = {NEVER_WINS, DEAD_CONDITION, DEAD_ON_TRIGGER, CAP_OF_NOTHING, CAP_SETTLED, UNUSED_OFFER, CAP_STOPS_ALL}
