"""Bounds over all files: how many there may be of each thing, reported where the first one too many stands."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.limits import ATTRIBUTES_MAX, CAPS_MAX, LABELS_MAX
from loaders.catalogue import CatalogueErrors, load_catalogue

COMPLETE = Path(__file__).parents[2] / "data" / "catalogues" / "complete"
NOW_US = 1_767_225_600_000_000


def _labels(count: int) -> str:
    return "labels:\n" + "".join(f"  - {{id: l{n}, family: basic, kind: static}}\n" for n in range(count))


def _attributes(count: int) -> str:
    return "attributes:\n" + "".join(f"  - {{id: a{n}, type: int}}\n" for n in range(count))


def _channels(count: int) -> str:
    return "channels:\n" + "".join(f"  - {{id: c{n}, kind: pull, class: screen, hold: 1m}}\n" for n in range(count))


def _fields(count: int) -> str:
    fields = [f"{{id: t{half}, moment: first, fields: {{%s}}}}" % ", ".join(
        f"f{n}: {{type: int}}" for n in range(half * count // 2, (half + 1) * count // 2)
    ) for half in (0, 1)]  # fmt: skip
    return "triggers:\n" + "".join(f"  - {field}\n" for field in fields)


@pytest.mark.parametrize(
    ("write", "most", "report"),
    [
        (_labels, LABELS_MAX - 8, f"labels: expected at most {LABELS_MAX:,} in all files, was {LABELS_MAX + 1:,}"),
        (_attributes, ATTRIBUTES_MAX - 9, f"attributes: expected at most {ATTRIBUTES_MAX} in all files, was 257"),
        (_channels, 64 // 2 - 4, "contact_policy.purposes: expected purposes x channels of at most 64, was 2 x 33"),
        (_fields, 128 - 6, "triggers.fields: expected at most 128 different names, was 130"),
    ],
)
def test_one_too_many_over_all_files(tmp_path: Path, write: Callable[[int], str], most: int, report: str) -> None:
    for path in COMPLETE.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "z.yaml").write_text(write(most))
    load_catalogue(tmp_path, now_us=NOW_US)
    (tmp_path / "z.yaml").write_text(write(most + (2 if write is _fields else 1)))
    with pytest.raises(CatalogueErrors) as caught:
        load_catalogue(tmp_path, now_us=NOW_US)
    assert report in str(caught.value)
    assert caught.value.problems[0].file == ("country.yaml" if write is _channels else "z.yaml")
    assert len(caught.value.problems) == 1


def test_too_many_caps(tmp_path: Path) -> None:
    for path in COMPLETE.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    country = tmp_path / "country.yaml"
    cap = "{id: x%d, scope: all, per: subscriber, counts: seen, window: {calendar: day}, limit: 4}"
    more = "".join(f"    - {cap % number}\n" for number in range(CAPS_MAX - 5))
    country.write_text(country.read_text().replace("  caps:\n", f"  caps:\n{more}"))
    with pytest.raises(
        CatalogueErrors, match=r"country.yaml:\d+:5: contact_policy.caps: expected 0 to 64 items, was 65"
    ):
        load_catalogue(tmp_path, now_us=NOW_US)


def test_no_holidays_named(tmp_path: Path) -> None:
    for path in COMPLETE.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    country = tmp_path / "country.yaml"
    country.write_text(country.read_text().replace("{country: US, dates: [2026-12-24, 2026-07-04]}", "{}"))
    with pytest.raises(CatalogueErrors, match=r"country.yaml:17:13: .* expected country, dates or both, was neither"):
        load_catalogue(tmp_path, now_us=NOW_US)
