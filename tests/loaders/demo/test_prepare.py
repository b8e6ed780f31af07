"""The demo built once for each content and week, and its parts as the requirements count them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.base.manifest import read_manifest
from engine.catalogue.model import Catalogue
from engine.catalogue.terms import CapEvent, CapPer, ChannelKind, Moment, Scope, WindowKind
from engine.rulebook import load_rulebook
from loaders.catalogue.load import load_catalogue
from loaders.demo.prepare import CATALOGUE, prepare

WEDNESDAY = datetime(2026, 11, 18, 15, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(CATALOGUE, now_us=int(WEDNESDAY.timestamp()) * 1_000_000)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_second_preparation_of_a_week_builds_nothing(cache: Path) -> None:
    said: list[str] = []
    first = prepare(WEDNESDAY, said.append, cache)
    assert len(said) == 2
    assert prepare(datetime(2026, 11, 22, 23, 59, tzinfo=UTC), said.append, cache) == first
    assert len(said) == 2
    assert sorted(path.name for path in first.base.parent.iterdir()) == ["base", "key-secret", "rulebook"]
    assert first.key_secret_file.stat().st_mode & 0o077 == 0


def test_base_holds_every_customer_and_no_number(cache: Path) -> None:
    prepared = prepare(WEDNESDAY, lambda _: None, cache)
    (manifest,) = prepared.base.glob("*/manifest.json")
    assert read_manifest(manifest.parent).rows == 4930
    for path in (path for path in prepared.base.parent.rglob("*") if path.is_file()):
        assert b"5550182" not in path.read_bytes()


def test_rulebook_is_the_catalogue(cache: Path, catalogue: Catalogue) -> None:
    prepared = prepare(WEDNESDAY, lambda _: None, cache)
    assert [offer.id for offer in load_rulebook(prepared.rulebook).catalogue.offers] == [o.id for o in catalogue.offers]


def test_catalogue_covers_what_operators_need(catalogue: Catalogue) -> None:
    assert len({label.family for label in catalogue.labels}) >= 6
    assert {"value_top", "value_low", "stability_firm", "stability_loose"} <= {label.id for label in catalogue.labels}
    assert len(catalogue.offers) >= 24
    assert {trigger.moment for trigger in catalogue.triggers} == set(Moment)
    assert {channel.kind for channel in catalogue.channels} == set(ChannelKind)
    caps = catalogue.contact_policy.caps
    assert {cap.scope for cap in caps} == set(Scope)
    assert {cap.counts for cap in caps} == set(CapEvent)
    assert {cap.per for cap in caps} == set(CapPer)
    assert {cap.window.kind for cap in caps} == set(WindowKind)


def test_every_text_is_there_in_both_languages(catalogue: Catalogue) -> None:
    for offer in catalogue.offers:
        for texts in (*offer.content.values(), *offer.script.values()):
            assert set(texts) == {"en", "es"}, offer.id
    assert all(set(product.name) == {"en", "es"} for product in catalogue.products)


def test_every_desk_offer_has_a_script(catalogue: Catalogue) -> None:
    assert [offer.id for offer in catalogue.offers if "desk" in offer.content and "desk" not in offer.script] == []
