"""The operator whose server is killed: caps with windows of seconds, so that they bind all the time, and no quiet hours."""

import datetime
import json
from pathlib import Path
from typing import Any, Final

from engine.base.keys import create_secret
from engine.base.schema import base_schema_of
from engine.rulebook import compile_rulebook, save_rulebook
from loaders.base.build import build_base
from loaders.base.mapping import read_mapping
from loaders.catalogue.load import load_catalogue

ZONE: Final = "America/Chicago"
CUSTOMERS: Final = 120
CATEGORIES: Final = {"a": "data", "b": "data", "c": "voice", "d": "tv"}
CAMPAIGNS: Final = {"first": ["a", "b"], "second": ["c"], "stocked": ["d"]}
WINDOW_S: Final = 60
"""The longest of a cap's windows."""
CAPS: Final[list[dict[str, Any]]] = [
    {
        "id": "offer",
        "scope": "offer",
        "per": "subscriber",
        "counts": "decided",
        "window": {"rolling": "10s"},
        "limit": 2,
    },
    {
        "id": "desk",
        "scope": "channel",
        "target": "desk",
        "per": "subscriber",
        "counts": "decided",
        "window": {"rolling": "5s"},
        "limit": 3,
    },
    {
        "id": "sms",
        "scope": "channel",
        "target": "sms",
        "per": "subscriber",
        "counts": "handed_off",
        "window": {"rolling": "60s"},
        "limit": 1,
    },
    {"id": "seen", "scope": "all", "per": "subscriber", "counts": "seen", "window": {"rolling": "20s"}, "limit": 4},
    {
        "id": "stock",
        "scope": "offer",
        "target": "d",
        "per": "total",
        "counts": "decided",
        "window": "lifetime",
        "limit": 300,
    },
]
LIMITS: Final = {cap["id"]: cap["limit"] for cap in CAPS}
MAPPING: Final = """
key: {column: msisdn, kind: msisdn, region: US}
columns: {tenure: int}
attributes: {tenure: tenure}
zone: {column: zone}
"""


def msisdn(number: int) -> str:
    """Return the key of customer `number`, in E.164."""
    return f"+1312556{number:04d}"


def catalogue() -> dict[str, Any]:
    """Return the catalogue, as an author would write it."""
    channels = ["desk", "sms"]
    return {
        "catalogue": "shop",
        "policy_version": "1",
        "country": {"name": "United States", "zones": [ZONE], "home_zone": ZONE},
        "languages": ["en"],
        "attributes": [{"id": "tenure", "type": "int", "min": 0, "max": 100_000}],
        "triggers": [{"id": "open", "moment": "service", "placement": True}],
        "channels": [
            {"id": "desk", "kind": "pull", "class": "screen", "max_offers": 2, "hold": "30s", "inbound_exempt": True},
            {"id": "sms", "kind": "push", "class": "message", "max_offers": 1, "queue_deadline": "2h"},
        ],
        "products": [
            {"id": f"product_{name}", "category": category, "price": 1, "name": {"en": name}}
            for name, category in CATEGORIES.items()
        ],
        "offers": [
            {"id": name, "product": f"product_{name}", "value": 1.0, "propensity": 0.5}
            | {"content": {channel: {"en": f"{name}: {{{{subscriber.tenure|some}}}}"} for channel in channels}}
            for name in CATEGORIES
        ],
        "campaigns": [
            {
                "id": name,
                "state": "live",
                "triggers": ["open"],
                "channels": channels,
                "purpose": "service",
                "offers": offers,
            }
            for name, offers in CAMPAIGNS.items()
        ],
        "contact_policy": {"purposes": [{"id": "service", "basis": "opt_out"}], "caps": CAPS},
    }


def write_shop(folder: Path) -> dict[str, str]:
    """Build rulebook, base and secret under `folder`; return the server's flags that name them."""
    source = folder / "catalogue"
    source.mkdir(parents=True)
    (source / "all.yaml").write_text(json.dumps(catalogue()))  # JSON is YAML
    now = datetime.datetime.now(datetime.UTC)
    loaded = load_catalogue(source, now_us=int(now.timestamp()) * 1_000_000)
    save_rulebook(compile_rulebook(loaded), folder / "rulebook")
    (folder / "mapping.yaml").write_text(MAPPING)
    rows = ["msisdn,tenure,zone", *(f"{msisdn(number)},{number},{ZONE}" for number in range(CUSTOMERS))]
    (folder / "customers.csv").write_text("\n".join(rows) + "\n")
    schema, secret = base_schema_of(loaded), create_secret(folder / "key-secret")
    as_of_us = int((now - datetime.timedelta(days=1)).timestamp()) * 1_000_000
    mapping = read_mapping(folder / "mapping.yaml", schema)
    build_base(folder / "customers.csv", mapping, schema, secret, folder / "base", as_of_us=as_of_us)
    return {
        name: str(folder / name.replace("_file", "").replace("_", "-"))
        for name in ("rulebook", "base", "key_secret_file")
    }
