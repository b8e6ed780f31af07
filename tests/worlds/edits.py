"""Edits of a catalogue while contacts are live: things go, come, and change. What an edit leaves is a catalogue that its author may write."""

import copy
import re
from collections.abc import Callable
from random import Random
from typing import Any

from tests.worlds.catalogues import (
    Plain,
    Shape,
    random_campaign,
    random_cap,
    random_channels,
    random_control,
    random_cool_downs,
    random_holidays,
    random_quiet_hours,
    random_ranking,
    targets_of,
)

Change = Callable[[Random, Shape, Plain, Plain], None]
"""Changes the last, which comes from an earlier one (its first): what was taken away may be brought back from there."""


def edited_deeply(rng: Random, shape: Shape, first: Plain, catalogue: Plain) -> Plain:
    """The catalogue after one to three changes."""
    catalogue = copy.deepcopy(catalogue)
    for change in rng.sample(CHANGES, rng.randint(1, 3)):
        change(rng, shape, first, catalogue)
        mend(catalogue)
    return catalogue


def named(things: list[Plain]) -> dict[str, Plain]:
    return {thing["id"]: thing for thing in things}


def take(rng: Random, things: list[Plain]) -> None:
    if things:
        things.remove(rng.choice(things))


def bring(rng: Random, things: list[Plain], first: list[Plain]) -> None:
    """Bring back something that is gone."""
    gone = [thing for thing in first if thing["id"] not in named(things)]
    if gone:
        things.append(copy.deepcopy(rng.choice(gone)))


def list_of(name: str) -> list[Change]:
    """Two changes of a list of the catalogue: something goes, or comes back."""
    return [
        lambda rng, _shape, _first, catalogue: take(rng, catalogue[name]),
        lambda rng, _shape, first, catalogue: bring(rng, catalogue[name], first[name]),
    ]


def new_campaign(rng: Random, shape: Shape, first: Plain, catalogue: Plain) -> None:
    number = len(first["campaigns"]) + rng.randrange(3)
    taken = [c for c in catalogue["campaigns"] if c["id"] != f"campaign_{number}"]
    if catalogue["offers"]:
        new = random_campaign(rng, shape, number, catalogue["labels"], catalogue["offers"])
        catalogue["campaigns"] = [*taken, new]


def campaign_offers(rng: Random, shape: Shape, first: Plain, catalogue: Plain) -> None:
    """An offer goes out of a campaign, or comes in."""
    for campaign in rng.sample(catalogue["campaigns"], min(2, len(catalogue["campaigns"]))):
        others = [offer["id"] for offer in catalogue["offers"] if offer["id"] not in campaign["offers"]]
        if rng.random() < 0.7 or not others:
            campaign["offers"].remove(rng.choice(campaign["offers"]))
        else:
            campaign["offers"].append(rng.choice(others))


def campaign_terms(rng: Random, shape: Shape, first: Plain, catalogue: Plain) -> None:
    """Other triggers, another purpose, other switches, another control share."""
    for campaign in rng.sample(catalogue["campaigns"], min(2, len(catalogue["campaigns"]))):
        name = rng.choice(["triggers", "triggers", "purpose", "exempt", "control_share", "lever", "condition"])
        drawn = random_campaign(rng, shape, 0, catalogue["labels"], catalogue["offers"])
        if name in drawn:
            campaign[name] = drawn[name]


def caps(rng: Random, shape: Shape, first: Plain, catalogue: Plain) -> None:
    """A cap goes, comes, or gets another window, scope, event or limit under its old id."""
    found = catalogue["contact_policy"]["caps"]
    drawn = random_cap(rng, shape, rng.randrange(6), targets_of(catalogue))
    kept = [cap for cap in found if cap["id"] != drawn["id"]]
    catalogue["contact_policy"]["caps"] = kept if rng.random() < 0.3 else [*kept, drawn]


def wider_window(rng: Random, shape: Shape, first: Plain, catalogue: Plain) -> None:
    for cap in catalogue["contact_policy"]["caps"]:
        if "rolling" in cap["window"]:
            cap["window"] = {"rolling": rng.choice(["90s", "20m", "2h", "1d", "7d", "30d"])}


def quiet_hours(rng: Random, shape: Shape, first: Plain, catalogue: Plain) -> None:
    catalogue["contact_policy"]["quiet_hours"] = random_quiet_hours(rng, shape)


def holidays(rng: Random, shape: Shape, first: Plain, catalogue: Plain) -> None:
    catalogue["contact_policy"]["holidays"] = {"dates": random_holidays(rng, shape)}


def basis(rng: Random, shape: Shape, first: Plain, catalogue: Plain) -> None:
    for purpose in catalogue["contact_policy"]["purposes"]:
        purpose["basis"] = rng.choice(["opt_in", "opt_out"])


def cool_downs(rng: Random, shape: Shape, first: Plain, catalogue: Plain) -> None:
    policy = catalogue["contact_policy"]
    for name in ("cool_down", "reoffer"):
        policy.pop(name, None)
    policy |= random_cool_downs(rng, shape)


def rank(rng: Random, shape: Shape, first: Plain, catalogue: Plain) -> None:
    catalogue["ranking"] = random_ranking(rng, shape)
    catalogue["policy_version"] = str(rng.randint(1, 9))


def control(rng: Random, shape: Shape, first: Plain, catalogue: Plain) -> None:
    catalogue["control"] = random_control(rng, shape)


def channel_terms(rng: Random, shape: Shape, first: Plain, catalogue: Plain) -> None:
    """Other holds, deadlines and switches."""
    drawn = named(random_channels(rng, shape))
    catalogue["channels"] = [drawn[channel["id"]] for channel in catalogue["channels"]]


def channel_gone(rng: Random, shape: Shape, first: Plain, catalogue: Plain) -> None:
    """A channel goes, or all come back."""
    if len(catalogue["channels"]) == len(first["channels"]):
        take(rng, catalogue["channels"])
    else:
        bring(rng, catalogue["channels"], first["channels"])
        catalogue["offers"] = [copy.deepcopy(named(first["offers"])[offer["id"]]) for offer in catalogue["offers"]]


CHANGES: list[Change] = [
    *(*list_of("campaigns"), *list_of("offers"), *list_of("labels"), *list_of("attributes")),
    *(new_campaign, campaign_offers, campaign_offers, campaign_terms, campaign_terms),
    *(caps, caps, caps, wider_window, quiet_hours, holidays, basis, cool_downs, rank, control),
    *(channel_terms, channel_gone),
]


def mend(catalogue: Plain) -> None:
    """Take out what names something that is gone."""
    channels, offers = named(catalogue["channels"]), named(catalogue["offers"])
    for offer in list(offers.values()):
        offer["content"] = {name: content for name, content in offer["content"].items() if name in channels}
        if not offer["content"]:
            catalogue["offers"].remove(offers.pop(offer["id"]))
    catalogue["campaigns"] = [c for c in catalogue["campaigns"] if mended(c, channels, offers, catalogue)]
    known, classes = targets_of(catalogue), {channel["class"] for channel in channels.values()}
    policy = catalogue["contact_policy"]
    for window in policy["quiet_hours"]:
        window["classes"] = [name for name in window["classes"] if name in classes]
    policy["quiet_hours"] = [window for window in policy["quiet_hours"] if window["classes"]]
    policy["caps"] = [cap for cap in policy["caps"] if cap.get("target") in (None, *known[cap["scope"]])]


def mended(campaign: Plain, channels: Plain, offers: Plain, catalogue: Plain) -> bool:
    """Whether something is left of the campaign."""
    campaign["offers"] = [name for name in campaign["offers"] if name in offers]
    contents: list[Any] = [offers[name]["content"] for name in campaign["offers"]]
    campaign["channels"] = [c for c in campaign["channels"] if c in channels and all(c in found for found in contents)]
    if "condition" in campaign and names_what_is_gone(campaign, catalogue):
        del campaign["condition"]
    return bool(campaign["offers"] and campaign["channels"])


def names_what_is_gone(campaign: Plain, catalogue: Plain) -> bool:
    """Whether the condition names a label or an attribute that is no more, or a field of no trigger of the campaign."""
    triggers = named(catalogue["triggers"])
    known = {
        "label": named(catalogue["labels"]).keys(),
        "subscriber": {"labels", "zone", *named(catalogue["attributes"])},
        "trigger": {"time", *(field for name in campaign["triggers"] for field in triggers[name].get("fields", {}))},
    }
    found = re.findall(r'"(label)_(\d+)"|\b(subscriber|trigger)\.(\w+)', campaign["condition"])
    return any(
        (f"label_{number}" if label else name) not in known[label or kind] for label, number, kind, name in found
    )
