"""`touchpoint lint` as a person or a program calls it."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from engine.lint.rules import RULES
from loaders.commands.lint import lint

ROOT = Path(__file__).parent.parent
USELESS = ROOT / "tests/data/catalogues/useless"


def run(*words: str | Path, code: int = 0) -> Result:
    done = CliRunner().invoke(lint, [*map(str, words)])
    assert done.exit_code == code, done.output
    return done


def test_every_rule_is_found_at_its_place_with_its_words() -> None:
    report = (USELESS / "report.txt").read_text()
    assert run(USELESS, code=1).stdout == report
    assert all(f" {rule}: " in report for rule in RULES)


def test_the_demo_has_nothing_of_no_use() -> None:
    assert run("--fail-on", "note").stdout.startswith("telco_demo: 0 errors, 0 warnings, 0 notes; ")


def test_json_says_the_same() -> None:
    told = json.loads(run(USELESS, "--json", code=1).stdout)
    lines = run(USELESS, code=1).stdout.splitlines()
    assert len(told["findings"]) == len(lines) - 1 == told["error"] + told["warning"] + told["note"]
    assert (told["catalogue"], told["campaigns"], told["not_judged"]) == ("useless", 5, 1)
    for finding, line in zip(told["findings"], lines, strict=False):
        place = f"{finding['file']}:{finding['line']}:{finding['column']}"
        assert line.startswith(f"{place}: {finding['severity']} {finding['rule']}: {finding['found']}: ")
        assert line.endswith(f"{finding['because']}; {finding['do']}")
        source = (USELESS / finding["file"]).read_text().splitlines()[finding["line"] - 1]
        assert source[finding["column"] - 1 :].strip()


def test_exit_code_by_severity(tmp_path: Path) -> None:
    for path in USELESS.glob("*.yaml"):
        text = path.read_text().replace('!("heavy_data" in subscriber.labels)', "subscriber.tenure > 0")
        (tmp_path / path.name).write_text(text.replace("from: 2026-10-01", "from: 2026-08-01"))
    run(tmp_path, "--fail-on", "error")
    run(tmp_path, code=1)
    run(tmp_path, "--fail-on", "note", code=1)


def test_gaps_are_as_long_as_told() -> None:
    assert "quiet_gap" not in run(USELESS, "--gap-minutes", "30", code=1).stdout


def test_a_catalogue_with_mistakes_is_reported_like_check_does(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text("catalogue: 7\n")
    assert "all.yaml:1:12: catalogue: expected an id" in run(tmp_path, code=1).stderr


def test_rules_are_explained() -> None:
    assert run("--explain", "never_wins").stdout.startswith(
        "never_wins (warning): An offer of a campaign is never made"
    )
    assert len(run("--explain", "all").stdout.splitlines()) == len(RULES)
    assert "expected one of dead_condition" in run("--explain", "nothing", code=2).stderr
