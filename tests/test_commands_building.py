"""`check`, `schema`, `build` and `eval` as a person or a program calls them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it ships none
import pytest
import yaml

from engine.rulebook import load_rulebook

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "loaders/demo"


def run(*words: str | Path, code: int = 0, given: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "server", *map(str, words)],
        cwd=ROOT,
        input=given,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_check_of_a_right_catalogue() -> None:
    assert json.loads(run("check", DEMO / "catalogue", "--json").stdout)["ok"] is True
    assert "telco_demo is right" in run("check").stdout


def test_check_reports_all_mistakes_at_their_places(tmp_path: Path) -> None:
    for path in (DEMO / "catalogue").glob("*.yaml"):
        text = path.read_text()
        text = text.replace("purpose: marketing", "purpose: marketting", 1) if path.name == "data.yaml" else text
        text = text.replace("limit: 3}", "limit: -3}") if path.name == "policy.yaml" else text
        (tmp_path / path.name).write_text(text)
    said = run("check", tmp_path, code=1).stderr.splitlines()
    assert any(line.startswith("data.yaml:") and "marketing" in line for line in said)
    assert any(line.startswith("policy.yaml:") for line in said)
    problems = json.loads(run("check", tmp_path, "--json", code=1).stdout)["problems"]
    assert len(problems) == len(said)


def test_schema_accepts_the_demo_and_refuses_a_misspelling() -> None:
    schema = json.loads(run("schema").stdout)
    validator = jsonschema.validators.validator_for(schema)(schema)
    for path in (DEMO / "catalogue").glob("*.yaml"):
        # Only text: YAML's own dates are no JSON.
        validator.validate(yaml.load(path.read_text(), Loader=_WithoutDates))  # a safe loader, less dates
    assert not validator.is_valid({"campains": []})


class _WithoutDates(yaml.SafeLoader):
    pass


_WithoutDates.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def test_build_rulebook_writes_what_a_server_loads(tmp_path: Path) -> None:
    told = json.loads(run("build", "rulebook", DEMO / "catalogue", "--output", tmp_path / "rulebook", "--json").stdout)
    assert told["candidates"] == len(load_rulebook(tmp_path / "rulebook").candidates)
    run("build", "rulebook", tmp_path / "nosuch", "--output", tmp_path / "other", code=1)
    assert not (tmp_path / "other").exists()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from loaders.demo.synthesis import write_wide

    path = tmp_path_factory.mktemp("table") / "wide.csv"
    write_wide(path, "2026-11-16T00:00:00Z")
    return path


def test_build_base_reports_rejected_rows_without_their_content(table: Path, tmp_path: Path) -> None:
    lines = table.read_text().splitlines()
    lines[3] = re.sub(r"\+1\d{10}", "nobody", lines[3])
    (tmp_path / "bad.csv").write_text("\n".join(lines[:500]) + "\n")
    words = (
        "build", "base", tmp_path / "bad.csv", "--mapping", DEMO / "mapping.yaml", "--catalogue", DEMO / "catalogue",
        "--secret-file", tmp_path / "secret", "--output", tmp_path / "base",
    )  # fmt: skip
    assert "secret" in run(*words, code=1).stderr
    report = json.loads(run(*words, "--new-secret", "--json").stdout)
    assert (report["rows_read"], report["rows_kept"], report["rows_rejected"]) == (499, 498, 1)
    told = run(*words)
    assert "1 rejected" in told.stdout
    assert "nobody" not in told.stdout + told.stderr


def test_build_verify_says_which_file_and_where(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "base"
    words = ("--mapping", DEMO / "mapping.yaml", "--catalogue", DEMO / "catalogue")
    run("build", "base", table, *words, "--secret-file", tmp_path / "secret", "--new-secret", "--output", out)
    said = run("build", "--verify", out).stdout
    assert re.fullmatch(r"snapshot \S+ is whole: [\d,]+ subscribers, [\d,]+ bytes\n", said)
    rows = next(out.glob("*/rows.u8"))
    raw = bytearray(rows.read_bytes())
    raw[100] ^= 1
    rows.chmod(0o640)
    rows.write_bytes(raw)
    for folder in (out, rows.parent):
        refused = run("build", "--verify", folder, code=1).stderr
        assert re.search(
            rf"{re.escape(str(rows))}: damaged between bytes 0 and {len(raw)}: expected SHA-256 \w+, was \w+", refused
        )
        assert "copy the named files anew" in refused
    rows.write_bytes(raw[:-1])
    assert f"expected {len(raw)} bytes, was {len(raw) - 1}" in run("build", "--verify", out, code=1).stderr
    run("build", "--verify", tmp_path / "nowhere", code=2)
    run("build", "--verify", out, "rulebook", DEMO / "catalogue", "--output", tmp_path / "r", code=2)


def test_build_base_refuses_a_file_that_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    done = run(
        "build", "base", tmp_path / "other.csv", "--mapping", DEMO / "mapping.yaml", "--catalogue", DEMO / "catalogue",
        "--secret-file", tmp_path / "secret", "--new-secret", "--output", tmp_path / "base", code=1,
    )  # fmt: skip
    assert "msisdn" in done.stderr
    assert not list(tmp_path.glob("base/*"))


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("a.x > 12", "--var", "a.x:int=18"), {"value": True}),
        (("a / b", "--var", "a:int=7", "--var", "b:int=2"), {"value": 3}),
        (("a > 1 || b", "--var", "a:int", "--var", "b:bool=true"), {"value": True}),
        (("a > 1 && b", "--var", "a:int", "--var", "b:bool=true"), {"unknown": ["a"]}),
        (("s", "--var", "s:string=x"), {"value": "x"}),
    ],
)
def test_eval_of_one_expression(words: tuple[str, ...], answer: dict[str, object]) -> None:
    assert json.loads(run("eval", *words, "--json").stdout) == answer


def test_eval_that_fails_or_is_refused() -> None:
    assert json.loads(run("eval", "1 / a", "--var", "a:int=0", "--json", code=1).stdout) == {
        "error": "division by zero"
    }
    assert "refused" in json.loads(run("eval", "a +", "--var", "a:int=0", "--json", code=1).stdout)
    run("eval", "a", "--var", "a:bool=perhaps", code=2)
    run("eval", "a", "--var", "a", code=2)
    run("eval", code=2)


def test_eval_of_lines_gives_a_line_for_each() -> None:
    lines = [
        '{"expr": "a / b", "vars": {"a": "int", "b": "int"}, "row": {"a": "7", "b": 0}}',
        '{"expr": "a + 1", "vars": {"a": "int"}, "row": {"a": "9007199254740993"}}',
        '{"expr": "a", "vars": {"a": "double"}, "row": {"a": "NaN"}}',
        "not JSON",
        '{"expr": "a", "vars": {"a": "bool"}}',
    ]
    answers = [json.loads(line) for line in run("eval", "--jsonl", given="\n".join(lines) + "\n").stdout.splitlines()]
    assert answers[0] == {"error": "division by zero"}
    assert answers[1] == {"value": "9007199254740994"}
    assert answers[2] == {"value": "NaN"}
    assert "refused" in answers[3]
    assert answers[4] == {"unknown": ["a"]}
