"""Worlds with more people than the decisions' own, some erased or changed live, for scans."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

from engine.base.overlay import Overlay
from engine.base.schema import base_schema_of
from engine.base.snapshot import Snapshot
from engine.rulebook import Rulebook
from loaders.catalogue.load import compile_catalogue
from tests.engine.base.world import KEYS
from tests.oracle.catalogue import read_catalogue
from tests.oracle.decide import Request
from tests.oracle.numbers import HOUR_US
from tests.oracle.oracle import Oracle
from tests.worlds.catalogues import Plain
from tests.worlds.edits import edited_deeply
from tests.worlds.files import write_base, write_catalogue
from tests.worlds.people import Row, random_row, subscriber
from tests.worlds.world import CONTACTS_MAX, bare_world, hash_of

PEOPLE = 30


@dataclass
class Crowd:
    """Everything is a function of the seed."""

    rulebook: Rulebook
    edited: Rulebook
    """Of the catalogue after some changes."""
    snapshot: Snapshot
    overlay: Overlay
    at_us: int
    plain: Plain
    edited_plain: Plain
    hashes: list[int]
    erased: set[int]

    def oracle(self, plain: Plain, rows: list[Row]) -> Oracle:
        """The oracle over the same people."""
        oracle = Oracle(read_catalogue(plain), [subscriber(row, hash_of(row.key)) for row in rows], CONTACTS_MAX)
        for hash_ in self.erased:
            oracle.forget(hash_)
        return oracle


def compiled(folder: Path, plain: Plain, at_us: int) -> Rulebook:
    write_catalogue(folder, plain)
    return compile_catalogue(folder, now_us=at_us)


def seat_many(catalogue: Plain) -> None:
    """Give an answer more seats than a block of the ledger has contacts, and each offer a product of its own, so that they are taken."""
    products = {product["id"]: product for product in catalogue["products"]}
    for number, offer in enumerate(catalogue["offers"]):
        own = {**products[offer["product"]], "id": f"own_{number}"}
        own.pop("exclusive_group", None)
        catalogue["products"].append(own)
        offer["product"] = own["id"]
    for channel in catalogue["channels"]:
        channel["max_offers"] = 6


def crowd(seed: int, folder: Path) -> tuple[Crowd, list[Row]]:
    """The crowd of a seed, its files below `folder`, and its rows."""
    world, rng = bare_world(seed), Random(f"crowd {seed}")
    if seed % 2:
        seat_many(world.catalogue)
    rows = [random_row(rng, f"customer {n}", world.catalogue, world.shape.start_us) for n in range(PEOPLE)]
    at_us = world.shape.start_us + rng.randrange(48) * HOUR_US
    edited = edited_deeply(rng, world.shape, world.catalogue, world.catalogue)
    rulebook = compiled(folder / "first", world.catalogue, world.shape.start_us)
    snapshot = write_base(folder / "base", base_schema_of(rulebook.catalogue), rows, KEYS, world.shape.start_us)
    overlay = Overlay(8)
    erased = {hash_of(row.key) for row in rng.sample(rows, 2)}
    for hash_ in erased:
        overlay.erase(hash_)
    return Crowd(
        rulebook,
        compiled(folder / "edited", edited, world.shape.start_us),
        snapshot,
        overlay,
        at_us,
        world.catalogue,
        edited,
        sorted(hash_of(row.key) for row in rows),
        erased,
    ), rows


def requests_of(crowd: Crowd, trigger: str, channel: str) -> list[Request]:
    """What a scan asks, in its order."""
    return [
        Request(f"scan {n}", hash_, trigger, channel, crowd.at_us, offers_max=12, trigger_us=crowd.at_us, dry_run=True)
        for n, hash_ in enumerate(crowd.hashes)
    ]
