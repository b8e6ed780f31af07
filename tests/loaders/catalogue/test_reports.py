"""Every mistake of the broken catalogues, each at its exact place with its exact words; report.txt beside them was checked by eye."""

from pathlib import Path

import pytest

from loaders.catalogue import CatalogueErrors, load_catalogue

FOLDER = Path(__file__).parents[2] / "data" / "catalogues"
BROKEN = ("broken_shapes", "broken_meaning", "broken_texts")
NOW_US = 1_767_225_600_000_000
AN_ID = "labels.id: expected an id of small letters, digits and _, 64 at most, starting with a letter"
A_NUMBER = "attributes.max: expected a number of 64 bits with at most 9 digits after the point"


def _expected(name: str) -> list[str]:
    return (FOLDER / name / "report.txt").read_text().splitlines()


def _report(folder: Path) -> list[str]:
    with pytest.raises(CatalogueErrors) as caught:
        load_catalogue(folder, now_us=NOW_US)
    return str(caught.value).splitlines()


@pytest.fixture(scope="module")
def reports() -> dict[str, list[str]]:
    """Return the report of each broken catalogue, made in one pass."""
    return {name: _report(FOLDER / name) for name in BROKEN}


@pytest.mark.parametrize(("name", "line"), [(name, line) for name in BROKEN for line in _expected(name)])
def test_mistake_reported_at_its_place(reports: dict[str, list[str]], name: str, line: str) -> None:
    assert line in reports[name]


@pytest.mark.parametrize("name", BROKEN)
def test_nothing_else_reported(reports: dict[str, list[str]], name: str) -> None:
    assert reports[name] == _expected(name)


def test_table_of_mistakes_is_long() -> None:
    assert sum(len(_expected(name)) for name in BROKEN) >= 120


def _write(folder: Path, text: str) -> Path:
    for path in (FOLDER / "complete").glob("*.yaml"):
        (folder / path.name).write_text(path.read_text())
    (folder / "z.yaml").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("text", "report"),
    [
        ("labels: [a, b\n", "z.yaml:2:1: expected YAML"),
        ("labels:\n\t- {id: a}\n", "z.yaml:2:1: expected spaces, was a tab, indent with spaces only"),
        ("labels: &a []\n", 'z.yaml:1:9: expected no anchors and aliases, was "&a", write the values out'),
        ("labels: *a\n", 'z.yaml:1:9: expected no anchors and aliases, was "*a", write the values out'),
        ("labels: !!python/object:os.system []\n", 'z.yaml:1:9: expected no tags, was "tag:yaml.org,2002:python/object:os.system", leave the tag out'),
        ("labels: []\n---\nlabels: []\n", "z.yaml:2:1: expected one document, was a second ---, put it into a file of its own"),
        ("- a\n", "z.yaml:1:1: file: expected a mapping, was a list, write catalogue, policy_version, country and so on, each with a colon"),
        ("? [a]\n: b\n", "z.yaml:1:3: expected a name before the colon, was a list or a mapping, write plain text"),
        ("catalogue: other\n", "z.yaml:1:12: catalogue: expected once in all files, was there again, keep this or the one at country.yaml:2"),
        ("<<: {labels: []}\n", 'z.yaml:1:1: file: expected one of its fields, was "<<", take it out'),
        ("labels:\n  - {id: value_high, family: basic, kind: static}\n", 'z.yaml:2:10: labels: expected each id once, was "value_high" again, rename this one'),
        ('labels: [{id: "a\\0b", family: basic, kind: static}]\n', f'z.yaml:1:15: {AN_ID}, was "a\N{REPLACEMENT CHARACTER}b"'),
        ("labels: [{id: \uff41, family: basic, kind: static}]\n", f'z.yaml:1:15: {AN_ID}, was "\uff41"'),
        ("attributes: [{id: a, type: int, max: ٣}]\n", f'z.yaml:1:38: {A_NUMBER}, was "٣"'),
        ("attributes: [{id: a, type: int, max: 9223372036854775808}]\n", f'z.yaml:1:38: {A_NUMBER}, was "9223372036854775808"'),
    ],
)  # fmt: skip
def test_single_mistake_in_one_more_file(tmp_path: Path, text: str, report: str) -> None:
    _write(tmp_path, text)
    (line,) = _report(tmp_path)
    assert line.startswith(report)


def test_file_that_cannot_be_read_hides_no_names(tmp_path: Path) -> None:
    _write(tmp_path, "labels: [")
    (tmp_path / "offers.yaml").write_text("offers: [")
    assert [line.split(":")[0] for line in _report(tmp_path)] == ["offers.yaml", "z.yaml"]


def test_wrong_declaration_blames_no_condition(tmp_path: Path) -> None:
    _write(tmp_path, "")
    path = tmp_path / "subscribers.yaml"
    path.write_text(path.read_text().replace("id: tenure_months, type: int", "id: tenure_months, type: integer"))
    assert [line.split(": ")[1] for line in _report(tmp_path)] == [
        "attributes.type",
        "attributes.min",
        "attributes.max",
    ][:1]


def test_missing_fields_reported_together(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("labels: []\n")
    lines = _report(tmp_path)
    assert [line.split()[3] for line in lines] == [
        "catalogue",
        "contact_policy",
        "country",
        "languages",
        "policy_version",
    ]
    assert all(line.startswith("a.yaml:1:1: ") for line in lines)
