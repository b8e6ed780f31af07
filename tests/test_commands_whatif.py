"""`touchpoint whatif` as a person or a program calls it, on the demo."""

import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from engine.base.folder import current_version
from engine.base.overlay import Overlay
from engine.base.schema import base_schema_of
from engine.base.snapshot import open_current
from engine.base.write import write_snapshot
from engine.engine import Engine
from engine.jit import COMPILED
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.reasons import Reason
from engine.rulebook import load_rulebook
from engine.whatif.report import Report
from loaders.commands.whatif import whatif
from loaders.commands.whatif_tables import print_report
from loaders.demo.prepare import CATALOGUE, Prepared, prepare
from tests.engine.base.world import KEYS, records_of

pytestmark = pytest.mark.skipif(
    not COMPILED, reason="the demo's decisions take minutes; scans of worlds run uncompiled too"
)
ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 11, 25, 18, tzinfo=UTC)
AT = ("--at", NOW.isoformat())
APP = ("--trigger", "app_open", "--channel", "app")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(NOW, print, tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's catalogue with data offers before all others, and a campaign that takes the lapsed too."""
    folder = tmp_path_factory.mktemp("edited")
    for path in CATALOGUE.glob("*.yaml"):
        (folder / path.name).write_text(path.read_text())
    text = (folder / "data.yaml").read_text()
    taken = """'!("lapsed" in subscriber.labels) && "heavy_data" in subscriber.labels'"""
    assert text.count(taken) == 1
    text = text.replace(taken, """'"heavy_data" in subscriber.labels'""")
    (folder / "data.yaml").write_text(text.replace("priority: 5", "priority: 9"))
    return folder


def run(*words: str | Path, code: int = 0) -> Result:
    done = CliRunner().invoke(whatif, [*map(str, words)])
    assert done.exit_code == code, done.output + done.stderr
    return done


def said(done: Result) -> str:
    """The message without the box around it, and without spaces, since words are cut where lines end."""
    return "".join(done.stderr.replace("│", "").split())


def report(*words: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*words, "--json").stdout)
    return found


def test_the_command_in_a_process_of_its_own(demo: Prepared) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOUCHPOINT_")}
    words = ("whatif", CATALOGUE, "--base", demo.base, *APP, *AT)
    done = subprocess.run(
        [sys.executable, "-m", "server", *words],
        cwd=ROOT,
        env=environment | {"COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "app_open on app: " in done.stdout
    assert "starved: data_day_pass (data_shelf) reaches " in done.stdout
    assert "one_year_ten_percent (retention_contract)" in done.stdout


def test_every_decision_is_the_engine_s_own(demo: Prepared) -> None:
    """The whole demo, asked item by item through Engine.decide, gives the same reasons, first offers and seats."""
    found = report(
        demo.rulebook,
        "--base",
        demo.base,
        *AT,
        "--trigger",
        "data_usage",
        "--trigger",
        "desk_open",
        "--field",
        "used_mb=9500",
    )
    rulebook, snapshot = load_rulebook(demo.rulebook), open_current(demo.base, None)
    at_us = round(NOW.timestamp() * 1_000_000)
    engine = Engine(rulebook, snapshot, Overlay(1), MemoryLedger(4_096, RingAnswers(1 << 16), outcomes_max=1), at_us)
    assert found["looked_at"] == len(snapshot.rows.hashes) == 4_930
    for pair in found["pairs"]:
        reasons, first, chosen = asked(engine, snapshot.rows.hashes, at_us, pair["trigger"], pair["channel"])
        assert pair["counts"]["reasons"] == dict(reasons)
        assert not any("LEDGER_FULL" in candidate["stopped"] for candidate in pair["counts"]["candidates"])
        for candidate in pair["counts"]["candidates"]:
            key = candidate["campaign"], candidate["offer"]
            assert (candidate["first"], candidate["chosen"]) == (first[key], chosen[key])


def asked(
    engine: Engine, hashes: Any, at_us: int, trigger: str, channel: str
) -> tuple[Counter[str], Counter[Any], Counter[Any]]:
    reasons: Counter[str] = Counter()
    first: Counter[Any] = Counter()
    chosen: Counter[Any] = Counter()
    names = [(c.campaign.id, c.offer.id) for c in engine.bound.candidates]
    batch = engine.new_batch()
    for start in range(0, len(hashes), len(batch.body)):
        part = hashes[start : start + len(batch.body)]
        batch.count = len(part)
        batch.subscriber[: len(part)] = part
        batch.trigger[:], batch.channel[:] = engine.bound.trigger_index[trigger], engine.bound.channel_index[channel]
        batch.now_us[:], batch.flags[:], batch.offers_max[:] = at_us, 1, 12
        batch.field_values[:, 0], batch.field_known[:, 0] = at_us // 1_000_000, 1
        at = engine.bound.field_index["used_mb"]
        batch.field_values[:, at], batch.field_known[:, at] = np.float64(9500).view(np.int64), trigger == "data_usage"
        decisions = engine.decide(batch)
        reasons.update(Reason(code).name for code in decisions.reason.tolist())
        first.update(names[n] for n in decisions.chosen[:, 0].tolist() if n >= 0)
        chosen.update(names[n] for n in decisions.chosen.ravel().tolist() if n >= 0)
    return reasons, first, chosen


def test_a_rulebook_and_its_catalogue_give_the_same(demo: Prepared) -> None:
    words = ("--base", demo.base, *APP, *AT)
    ours, theirs = (report(source, *words) for source in (CATALOGUE, demo.rulebook))
    assert ours["pairs"] == theirs["pairs"]
    assert ours["base"] == current_version(demo.base)


def test_everything_adds_up(demo: Prepared) -> None:
    found = report(
        demo.rulebook, "--base", demo.base, *AT, "--segment", "heavy_data", "--segment", "tenure_months=12,24"
    )
    assert len(found["pairs"]) > 30
    for pair in found["pairs"]:
        counts = pair["counts"]
        assert sum(counts["reasons"].values()) == counts["looked_at"] == found["looked_at"]
        assert sum(candidate["first"] for candidate in counts["candidates"]) == counts["offered"]
        for candidate in counts["candidates"]:
            assert candidate["chosen"] + sum(candidate["stopped"].values()) == counts["looked_at"]
            assert candidate["first"] <= candidate["chosen"] <= candidate["reach"] - candidate["control"]
        for by in ("heavy_data", "tenure_months"):
            segments = [segment["counts"] for segment in pair["segments"] if segment["by"] == by]
            assert sum(segment["looked_at"] for segment in segments) == counts["looked_at"]
            for at, candidate in enumerate(counts["candidates"]):
                assert sum(segment["candidates"][at]["reach"] for segment in segments) == candidate["reach"]


def test_many_triggers_and_channels_are_a_line_each(demo: Prepared) -> None:
    words = (demo.rulebook, "--base", demo.base, *AT)
    found = report(*words)
    for pair in found["pairs"]:
        assert {o["id"] for o in pair["counts"]["offers"] if o["chosen"]}.isdisjoint(found["unchosen"])
    lines = run(*words).stdout.splitlines()
    assert len([line for line in lines if line.startswith(("app_open ", "desk_open "))]) > 5
    assert not any(" get an offer, at most " in line for line in lines)
    detailed = run(*words, "--details").stdout
    assert detailed.count(" get an offer, at most ") == len(found["pairs"])


def test_against_what_decides_today(demo: Prepared, edited: Path) -> None:
    words = ("--base", demo.base, *APP, *AT)
    same = report(CATALOGUE, *words, "--against", demo.rulebook.parent)["pairs"][0]["against"]
    assert (same["first_changed"], same["newly_offered"], same["flows"]) == (0, 0, [])
    found = report(edited, *words, "--against", demo.rulebook)["pairs"][0]
    before, after = found["against"]["before"], found["counts"]
    assert before == report(demo.rulebook, *words)["pairs"][0]["counts"]
    assert after["candidates"] != before["candidates"]
    assert min(found["against"][name] for name in ("first_changed", "newly_offered")) > 0
    (shelf,) = (change for change in found["against"]["campaigns"] if change["campaign"] == "data_shelf")
    assert shelf["reach_after"] == shelf["reach_before"] + shelf["newly_reached"] > shelf["reach_before"]
    assert shelf["no_longer_reached"] == 0
    moved = sum(flow["subscribers"] for flow in found["against"]["flows"])
    assert moved == sum(found["against"][name] for name in ("first_changed", "newly_offered", "no_longer_offered"))
    text = run(edited, *words, "--against", demo.rulebook).stdout
    assert "against today: " in text
    assert " → " in text


def test_fields_that_were_not_given_are_named(demo: Prepared) -> None:
    words = (demo.rulebook, "--base", demo.base, *AT, "--trigger", "data_usage", "--channel", "sms")
    (without,), (given,) = (report(*words, *more)["pairs"] for more in ((), ("--field", "used_mb:double=9500")))
    assert any("used_mb" in names for names in without["fields_missing"].values())
    assert not any("used_mb" in names for names in given["fields_missing"].values())
    assert "--field used_mb=..." in " ".join(run(*words).stdout.split())


def test_caps_bind_in_rounds(demo: Prepared) -> None:
    (pair,) = report(
        demo.rulebook, "--base", demo.base, *AT, "--trigger", "app_open", "--channel", "sms", "--rounds", "5"
    )["pairs"]
    offered = [one["offered"] for one in pair["rounds"]]
    assert len(offered) == 5
    assert offered[0] == pair["counts"]["offered"] > offered[-1] == 0
    assert any(cap["binds"] and cap["stopped_in_round"][-1] == offered[0] for cap in pair["caps"])


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_report_fits_the_terminal(demo: Prepared, width: int, tmp_path: Path) -> None:
    text = run(
        demo.rulebook, "--base", demo.base, *APP, *AT, "--segment", "heavy_data", "--rounds", "2", "--json"
    ).stdout
    with (tmp_path / "told").open("w+") as told:
        print_report(msgspec.json.decode(text, type=Report), Console(file=told, width=width))
        told.seek(0)
        assert max(len(line.rstrip("\n")) for line in told) <= width


def test_a_base_without_subscribers(demo: Prepared, tmp_path: Path) -> None:
    schema = base_schema_of(load_rulebook(demo.rulebook).catalogue)
    records, texts = records_of(schema, [])
    write_snapshot(tmp_path, records, texts, KEYS, as_of_us=0, has_as_of=False)
    words = (
        demo.rulebook,
        "--base",
        tmp_path,
        *AT,
        "--segment",
        "tenure_months",
        "--against",
        demo.rulebook,
        "--rounds",
        "2",
    )
    found = report(*words)
    assert (found["subscribers"], found["looked_at"], found["decisions"]) == (0, 0, 0)
    assert all(pair["counts"]["reasons"] == {} and pair["starved"] == [] for pair in found["pairs"])
    assert "0 of 0 (-) get an offer" in run(*words, "--details").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--trigger", "app_opne"), "did you mean app_open?"),
        (("--channel", "fax"), "expected a channel of the catalogue, was 'fax'; there are app"),
        (("--trigger", "birthday", "--channel", "ussd"), "no campaign has an offer for birthday on ussd"),
        (("--segment", "heavy_dta"), "did you mean heavy_data?"),
        (("--segment", "heavy_data=1"), "heavy_data is a label, which has no values"),
        (("--segment", "thing:heavy_data"), "expected NAME, label:NAME or attribute:NAME"),
        (("--segment", "tenure_months=24,12"), "expected values in rising order"),
        (("--segment", "tenure_months=long"), "tenure_months: expected a int, was 'long'"),
        (("--field", "used_mb"), "expected name=value, was 'used_mb'"),
        (("--field", "used_mb=much"), "used_mb: expected a double, was 'much'"),
        (("--field", "used_gb=1"), "did you mean used_mb?"),
        (("--at", "today"), "expected an instant such as"),
        (("--at", "0001-01-01T00:00:00+14:00"), "from 1971 to 2999"),
        (("--rounds", "21"), "21 is not in the range 1<=x<=20"),
        (("--sample", "0"), "0 is not in the range x>=1"),
    ],
)
def test_questions_without_sense_are_refused(demo: Prepared, words: tuple[str, ...], told: str) -> None:
    done = run(demo.rulebook, "--base", demo.base, *words, code=2)
    assert told.replace(" ", "") in said(done)


def test_a_catalogue_with_mistakes_is_reported_like_check_does(demo: Prepared, tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text("catalogue: 7\n")
    assert "all.yaml:1:12: catalogue: expected an id".replace(" ", "") in said(
        run(tmp_path, "--base", demo.base, code=1)
    )
    assert "all.yaml:1:12".replace(" ", "") in said(run(CATALOGUE, "--base", demo.base, "--against", tmp_path, code=1))


def test_what_is_not_there_is_said(demo: Prepared, tmp_path: Path) -> None:
    assert "expected a folder of snapshots".replace(" ", "") in said(
        run(CATALOGUE, "--base", tmp_path / "none", code=1)
    )
    assert "build a base".replace(" ", "") in said(run(CATALOGUE, "--base", tmp_path, code=1))
    assert "cannot be read".replace(" ", "") in said(run(tmp_path / "none", "--base", demo.base, code=1))
    (tmp_path / "rulebook").write_bytes(b"nothing of the kind")
    assert "expected a compiled rulebook".replace(" ", "") in said(
        run(CATALOGUE, "--base", demo.base, "--against", tmp_path, code=1)
    )


def test_a_base_that_does_not_fit_is_refused(demo: Prepared, tmp_path: Path) -> None:
    for path in CATALOGUE.glob("*.yaml"):
        text = path.read_text()
        (tmp_path / path.name).write_text(
            text.replace("id: heavy_data,", "id: heavier_data,").replace('"heavy_data"', '"heavier_data"')
        )
    assert "label heavier_data is missing".replace(" ", "") in said(run(tmp_path, "--base", demo.base, code=1))
