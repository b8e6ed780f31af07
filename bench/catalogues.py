"""Catalogues of so many offers for the benches' operator, all of them candidates of one placement on one channel.

Each campaign makes one offer and has a condition of five terms (bench/rules.py). One offer in twenty, at least four, is broad: its condition
holds for four subscribers in five and its worth is small, so that nearly everybody gets some offer, as a real shelf has something for all.
Half of the campaigns need the subscriber's consent (opt-in); quiet hours concern the channel, but lie half a day away from the run.
"""

import json
import shutil
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import yaml

from bench.requests import Question
from bench.rules import Rule, broad_rules, rules
from bench.worlds import CATALOGUE
from engine.rulebook import Rulebook, save_rulebook
from loaders.catalogue.load import compile_catalogue

PLACEMENT: Final = "app_open"
CHANNEL: Final = "app"
OFFERS_MAX: Final = 6
"""Most offers in one answer."""
HOME_ZONE: Final = "America/Chicago"
CATEGORIES: Final = ("data", "voice", "video", "roaming", "device", "family")
_OFFERS_A_FILE: Final = 2_000
_BROAD_ONE_IN, _BROAD_MIN = 20, 4


def question(offers_max: int) -> Question:
    """Return what is asked of these catalogues."""
    return Question(PLACEMENT, CHANNEL, offers_max)


class Shelf(NamedTuple):
    """The conditions of the offers, one campaign each; the last `broad` of them are those that nearly everybody meets."""

    conditions: list[Rule]
    broad: int
    seed: int
    worth: float = 1.0
    """Times the first offer's worth."""
    stock: int = 0
    """How often each offer may be given to anybody at all; 0: as often as you like."""


def shelf_of(offers: int, seed: int) -> Shelf:
    """Return a shelf of so many offers with something for nearly everybody."""
    broad = min(max(_BROAD_MIN, offers // _BROAD_ONE_IN), offers)
    return Shelf(rules(offers - broad, seed, ageing=False) + broad_rules(broad, seed), broad, seed)


def write_catalogue(folder: Path, shelf: Shelf) -> Path:
    """Write the catalogue's files to `folder`, which is made anew, and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(CATALOGUE / "subscribers.yaml", folder)
    parts = {"operator": _operator(), "policy": {"contact_policy": _policy(shelf.stock)}}
    whole = _shelf(shelf)
    for start in range(0, len(shelf.conditions), _OFFERS_A_FILE):
        parts[f"shelf_{start:05}"] = {name: things[start : start + _OFFERS_A_FILE] for name, things in whole.items()}
    for name, content in parts.items():
        (folder / f"{name}.yaml").write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    return folder


def write_rulebook(folder: Path, shelf: Shelf, worth: float = 1.0) -> Path:
    """Write the shelf's compiled catalogue, the first offer's worth times `worth`, and return its file."""
    path = folder / "rulebook"
    save_rulebook(rulebook_of(folder / "catalogue", shelf._replace(worth=worth)), path)
    return path


def rulebook_of(folder: Path, shelf: Shelf) -> Rulebook:
    """Return the shelf's compiled catalogue, whose files are left in `folder`."""
    return compile_catalogue(write_catalogue(folder, shelf), now_us=time.time_ns() // 1_000)


def _operator() -> Any:
    """Return the worlds' operator, whose quiet hours concern this channel too."""
    read = yaml.safe_load((CATALOGUE / "operator.yaml").read_text(encoding="utf-8"))
    for channel in read["channels"]:
        if channel["id"] == CHANNEL:
            channel |= {"inbound_exempt": False, "max_offers": OFFERS_MAX}
    return read


def _shelf(shelf: Shelf) -> dict[str, list[Any]]:
    rng = np.random.default_rng([shelf.seed, 9])
    offers, broad = len(shelf.conditions), shelf.broad
    worth = rng.uniform(1, 10, offers)
    worth[offers - broad :] /= 100
    worth[0] *= shelf.worth
    return {
        "products": [_product(k) for k in range(offers)],
        "offers": [
            _offer(k, round(float(worth[k]), 3), round(float(rng.uniform(0.01, 0.2)), 3)) for k in range(offers)
        ],
        "campaigns": [
            {
                "id": f"campaign_{k:05}",
                "state": "live",
                "triggers": [PLACEMENT],
                "channels": [CHANNEL],
                "purpose": "marketing" if broad and k % 2 == 0 and k < offers - broad else "service",
                "offers": [f"offer_{k:05}"],
                "condition": shelf.conditions[k].cel(),
            }
            for k in range(offers)
        ],
    }


def _product(number: int) -> dict[str, Any]:
    return {
        "id": f"product_{number:05}",
        "name": {"en": f"Package {number}", "es": f"Paquete {number}"},
        "price": number % 40 + 0.5,
        "category": CATEGORIES[number % len(CATEGORIES)],
        "exclusive_group": f"group_{number // 4:05}",
    }


def _offer(number: int, value: float, propensity: float) -> dict[str, Any]:
    """Return an offer; one in four addresses the subscriber by the plan, the others' words are the same for all."""
    for_plan = number % 4 == 0
    return {
        "id": f"offer_{number:05}",
        "product": f"product_{number:05}",
        "value": value,
        "propensity": propensity,
        "content": {
            CHANNEL: {
                "en": "{{offer.name}} for ${{offer.price}} a month"
                + (", on top of {{subscriber.plan|your plan}}." if for_plan else "."),
                "es": "{{offer.name}} por ${{offer.price}} al mes"
                + (", además de {{subscriber.plan|su plan}}." if for_plan else "."),
            }
        },
    }


def _policy(stock: int) -> dict[str, Any]:
    here = datetime.now(ZoneInfo(HOME_ZONE))
    quiet = [(here + timedelta(hours=hours)).strftime("%H:%M") for hours in (10, 16)]
    week = {"rolling": "7d"}
    total: dict[str, Any] = {"id": "stock", "scope": "offer", "per": "total", "counts": "decided", "limit": stock}
    total["window"] = "lifetime"
    return {
        "purposes": [{"id": "marketing", "basis": "opt_in"}, {"id": "service", "basis": "opt_out"}],
        "holidays": {"country": "US"},
        "quiet_hours": [{"id": "nights", "classes": ["message", "screen"], "from": quiet[0], "to": quiet[1]}],
        "caps": [
            {
                "id": "app_week",
                "scope": "channel",
                "target": CHANNEL,
                "per": "subscriber",
                "counts": "decided",
                "window": week,
                "limit": 100,
            },
            {"id": "offer_week", "scope": "offer", "per": "subscriber", "counts": "seen", "window": week, "limit": 50},
            {
                "id": "all_day",
                "scope": "all",
                "per": "subscriber",
                "counts": "seen",
                "window": {"calendar": "day"},
                "limit": 100,
            },
            *([total] if stock else []),
        ],
        "cool_down": {
            "after_refusal": "30d",
            "refusal_scope": "category",
            "after_not_now": "1d",
            "not_now_scope": "offer",
        },
        "reoffer": {"after_acceptance": "never", "scope": "offer"},
    }
