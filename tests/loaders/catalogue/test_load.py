"""The complete example read whole: units, dates, order, defaults."""

import datetime
import random
import re
import shutil
import zoneinfo
from pathlib import Path

import msgspec
import pytest
import yaml

from engine.catalogue.model import INT64_MAX, INT64_MIN, Catalogue
from engine.catalogue.policy import FOREVER_US, Window
from engine.catalogue.terms import CapPer, Day, Factor, Scope, WeekDay, WindowKind
from loaders.catalogue import CatalogueErrors, load_catalogue

COMPLETE = Path(__file__).parents[2] / "data" / "catalogues" / "complete"
NOW_US = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z"""
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


@pytest.fixture(scope="module")
def complete() -> Catalogue:
    """Return the complete example."""
    return load_catalogue(COMPLETE, now_us=NOW_US)


def _us(text: str, zone: str = "UTC") -> int:
    instant = datetime.datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(zone))
    return int(instant.timestamp()) * 1_000_000


def test_single_fields_complete(complete: Catalogue) -> None:
    assert (complete.id, complete.policy_version, complete.languages) == ("complete", "3", ("en", "es", "no"))
    assert complete.country.zones == ("America/Chicago", "America/New_York", "Pacific/Honolulu")
    assert complete.country.home_zone == "America/Chicago"
    assert complete.anonymous_offers
    assert complete.control.universal_share == 0.02
    assert complete.ranking.factors == (Factor.PROPENSITY, Factor.VALUE, Factor.LEVER)


def test_lists_sorted_by_id(complete: Catalogue) -> None:
    lists = (complete.labels, complete.attributes, complete.triggers, complete.channels, complete.products)
    policy = complete.contact_policy
    for things in (*lists, complete.offers, complete.campaigns, policy.purposes, policy.caps, policy.quiet_hours):
        ids = [thing.id for thing in things]
        assert ids == sorted(ids)
        assert len(ids) >= 2
    assert [field.id for field in complete.triggers[2].fields] == ["app", "roaming", "used_mb"]


def test_ranges_scaled(complete: Catalogue) -> None:
    ranges = {item.id: (item.min, item.max, item.scale) for item in complete.attributes}
    assert ranges["monthly_charges"] == (0, 1_000_000, 2)
    assert ranges["balance"] == (-99_500, INT64_MAX, 3)
    assert ranges["tenure_months"] == (0, 1_200, 0)
    assert ranges["calls"] == (INT64_MIN, INT64_MAX, 0)


def test_durations_in_microseconds(complete: Catalogue) -> None:
    ages = {label.id: label.max_age_us for label in complete.labels}
    assert (ages["heavy_data"], ages["night_surfer"], ages["paperless"]) == (7 * DAY_US, 36 * HOUR_US, None)
    channels = {channel.id: (channel.hold_us, channel.queue_deadline_us) for channel in complete.channels}
    assert channels["desk"] == (HOUR_US // 4, 0)
    assert channels["outbound_call"] == (0, HOUR_US * 3 // 2)
    cool_down = complete.contact_policy.cool_down
    assert (cool_down.after_refusal_us, cool_down.after_not_now_us) == (30 * DAY_US, 36 * HOUR_US)
    assert cool_down.refusal_scope is Scope.CATEGORY
    assert complete.contact_policy.reoffer.after_acceptance_us == FOREVER_US


def test_dates_are_local_midnight_in_home_zone(complete: Catalogue) -> None:
    offers = {offer.id: (offer.from_us, offer.until_us) for offer in complete.offers}
    midnights = _us("2026-01-01", "America/Chicago"), _us("2027-01-01", "America/Chicago")
    assert offers["data_10g_half"] == midnights
    assert offers["data_20g_new"] == (None, None)
    assert offers["phone_deal"] == (_us("2026-03-01T14:00:00"), _us("2026-04-01T00:00:00"))
    campaigns = {campaign.id: (campaign.from_us, campaign.until_us) for campaign in complete.campaigns}
    assert campaigns["renewal"] == (None, _us("2026-06-30T22:00:00"))


def test_switches_and_defaults_of_campaigns(complete: Catalogue) -> None:
    campaigns = {item.id: (item.obeys_caps, item.counts, item.control_share, item.lever) for item in complete.campaigns}
    assert campaigns["data_topup"] == (True, True, 0.1, 1.5)
    assert campaigns["renewal"] == (False, False, 0.0, 1.0)
    assert campaigns["spring"] == (True, False, 0.0, 1.0)


def test_quiet_hours_quoted_or_not(complete: Catalogue) -> None:
    windows = {
        item.id: (item.classes, item.days, item.from_minute, item.to_minute)
        for item in complete.contact_policy.quiet_hours
    }
    week = (Day.MON, Day.TUE, Day.WED, Day.THU, Day.FRI)
    assert windows["night"] == (("message",), week, 21 * 60, 9 * 60)
    assert windows["weekend"] == (("message", "voice"), (Day.SAT, Day.SUN, Day.HOLIDAY), 18 * 60, 24 * 60)
    assert windows["lunch"] == (("voice",), tuple(Day), 12 * 60, 13 * 60 + 30)


def test_windows_of_caps(complete: Catalogue) -> None:
    caps = {cap.id: cap for cap in complete.contact_policy.caps}
    assert caps["sms_week"].window == Window(kind=WindowKind.ROLLING, duration_us=7 * DAY_US)
    assert caps["each_offer"].window == Window(kind=WindowKind.WEEK, week_start=WeekDay.SUNDAY)
    assert caps["stock_phone"].window == Window(kind=WindowKind.LIFETIME)
    assert (caps["stock_phone"].per, caps["stock_phone"].target, caps["each_offer"].target) == (
        CapPer.TOTAL,
        "phone_deal",
        None,
    )


def test_holidays_of_country_and_listed(complete: Catalogue) -> None:
    days = complete.contact_policy.holidays
    assert {"2026-12-24", "2026-07-04", "2025-12-25", "2029-01-01"} <= set(days)
    assert not any(day.startswith(("2024", "2030")) for day in days)
    assert list(days) == sorted(set(days))


def test_texts_as_written(complete: Catalogue) -> None:
    offers = {offer.id: offer for offer in complete.offers}
    content = offers["data_10g_half"].content
    assert content["desk"]["no"] == "Det er '{{offer.name}}'"
    assert content["desk"]["en"].count("\n") == 2
    assert set(content) == {"desk", "sms", "ussd"}
    assert str(complete.products[0].price) == "9.90"
    assert type(content["desk"]["no"]) is str


def test_goes_through_msgpack_unchanged(complete: Catalogue) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(complete), type=Catalogue) == complete


@pytest.mark.parametrize("seed", range(4))
def test_order_in_files_changes_nothing(complete: Catalogue, tmp_path: Path, seed: int) -> None:
    shuffle = random.Random(seed)

    def shuffled(value: object, keep: bool = False) -> object:
        if isinstance(value, dict):
            items = [(key, shuffled(item, keep=key == "languages")) for key, item in value.items()]
            shuffle.shuffle(items)
            return dict(items)
        if isinstance(value, list) and not keep:
            return shuffle.sample([shuffled(item) for item in value], len(value))
        return value

    for number, path in enumerate(shuffle.sample(sorted(COMPLETE.iterdir()), 4)):
        tree = shuffled(yaml.BaseLoader(path.read_text()).get_single_data())
        (tmp_path / f"{number}.yaml").write_text(yaml.safe_dump(tree, sort_keys=False, default_style='"'))
    text = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "heavy_data" in text
    _unquote_numbers(tmp_path)
    assert load_catalogue(tmp_path, now_us=NOW_US) == complete


def _unquote_numbers(folder: Path) -> None:
    for path in folder.iterdir():
        text = re.sub(r'"(true|false|-?[0-9]+(\.[0-9]+)?(e-2)?)"(?=\n)', r"\1", path.read_text())
        path.write_text(text)


def test_lists_split_over_files(complete: Catalogue, tmp_path: Path) -> None:
    shutil.copytree(COMPLETE, tmp_path, dirs_exist_ok=True)
    whole = (tmp_path / "subscribers.yaml").read_text()
    head, tail = whole.split("  - {id: fibre_area", 1)
    (tmp_path / "subscribers.yaml").write_text(head)
    (tmp_path / "a_later.yaml").write_text("labels:\n  - {id: fibre_area" + tail)
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    (tmp_path / ".hidden.yaml").write_text("{{{")
    assert load_catalogue(tmp_path, now_us=NOW_US) == complete


def test_links_to_files_followed(complete: Catalogue, tmp_path: Path) -> None:
    for path in COMPLETE.iterdir():
        (tmp_path / path.name).symlink_to(path)
    assert load_catalogue(tmp_path, now_us=NOW_US) == complete


def test_midnight_that_does_not_exist(tmp_path: Path) -> None:
    shutil.copytree(COMPLETE, tmp_path, dirs_exist_ok=True)
    country, offers = tmp_path / "country.yaml", tmp_path / "offers.yaml"
    country.write_text(country.read_text().replace("America/Chicago", "America/Havana"))
    offers.write_text(offers.read_text().replace("from: 2026-01-01", "from: 2026-03-08"))
    loaded = load_catalogue(tmp_path, now_us=NOW_US)
    assert loaded.offers[0].from_us == _us("2026-03-08T05:00:00")


def test_nothing_returned_with_a_mistake(tmp_path: Path) -> None:
    shutil.copytree(COMPLETE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "z.yaml").write_text("labels: [{id: Bad}]\n")
    with pytest.raises(CatalogueErrors):
        load_catalogue(tmp_path, now_us=NOW_US)
