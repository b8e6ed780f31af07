"""The command as a person meets it: help, errors, exit codes, and how quickly it answers."""

import json
import os
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import rich_click as click

from engine.jit import COMPILED
from server.commands.serve import readable

ROOT = Path(__file__).parent.parent
COMMANDS = sorted(point.name for point in entry_points(group="touchpoint.commands"))


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, without the settings of whoever runs the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOUCHPOINT_")} | variables
    return subprocess.run(
        [sys.executable, "-m", "server", *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )


def test_help_names_every_command() -> None:
    shown = run("--help")
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in COMMANDS)
    assert {"serve", "decide", "explain", "outcome", "check", "build", "eval", "schema", "demo", "config"} <= set(
        COMMANDS
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_says_what_and_how(name: str) -> None:
    shown = run(name, "--help") if name != "config" else run(name, "show", "--help")
    assert shown.returncode == 0, shown.stderr
    assert "Usage: touchpoint" in shown.stdout
    assert "xample" in shown.stdout


def test_help_comes_at_once() -> None:
    """Loading kernels, gRPC or Arrow for a page of help would take seconds; four times the aim, for a busy machine, best of three."""
    spans = []
    for _ in range(3):
        started = time.perf_counter()
        assert run("--help").returncode == 0
        spans.append(time.perf_counter() - started)
    assert min(spans) < 2.0


@pytest.mark.parametrize("name", COMMANDS)
def test_loading_a_command_loads_nothing_heavy(name: str) -> None:
    (point,) = entry_points(group="touchpoint.commands", name=name)
    program = (
        f"import sys, {point.module}; "
        "heavy = {'numba', 'numpy', 'grpc', 'pyarrow', 'duckdb', 'yaml'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("nosuch",),
        ("decide",),
        ("decide", "--subscriber", "a", "--trigger", "t", "--channel", "c", "--max-offers", "13"),
        ("decide", "--subscriber", "a", "--trigger", "t", "--channel", "c", "--field", "x"),
        ("decide", "--subscriber", "a", "--trigger", "t", "--channel", "c", "--field", "x=1", "--field", "x=2"),
        ("decide", "--subscriber", "a", "--trigger", "t", "--channel", "c", "--assume-now", "2026-11-21T23:00:00Z"),
        ("decide", "--subscriber", "a", "--trigger", "t", "--channel", "c", "--dry-run", "--assume-now", "tomorrow"),
        ("outcome", "--decision", "d", "--rank", "1", "--kind", "pondered"),
        ("config", "show", "--shard", "many"),
        ("serve", "--demo", "--shard", "4/4"),
        ("serve", "--demo", "--shard", "1"),
        ("serve", "--demo", "--shard", "-1/4"),
        ("serve", "--demo", "--shard", "0/0"),
        ("serve", "--demo", "--shard", "0/65537"),
    ],
)
def test_mistake_in_the_call_gets_code_2_and_one_message(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert "Error" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_failure_gets_code_1_and_one_message() -> None:
    done = run("decide", "--subscriber", "a", "--trigger", "t", "--channel", "c", "--target", "127.0.0.1:1")
    assert done.returncode == 1
    assert "is a server running there" in " ".join(done.stderr.replace("│", "").split())
    assert "Traceback" not in done.stderr


def test_text_that_is_no_utf8_gets_code_2_and_one_message() -> None:
    done = run("decide", "--subscriber", "\udcff", "--trigger", "t", "--channel", "c", "--target", "127.0.0.1:1")
    assert done.returncode == 2
    assert "expected text in UTF-8" in " ".join(done.stderr.replace("│", "").split())
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not COMPILED, reason="nothing is compiled or kept")
@pytest.mark.parametrize("words", [("eval", "1 + 1"), ("serve", "--demo", "--listen", "127.0.0.1:0")])
@pytest.mark.parametrize("cache", ["open", "file"])
def test_folder_of_compiled_kernels_that_cannot_be_used_gets_one_message(
    tmp_path: Path, words: tuple[str, ...], cache: str
) -> None:
    if cache == "open":
        (tmp_path / "touchpoint/kernels").mkdir(parents=True)
        (tmp_path / "touchpoint/kernels").chmod(0o777)
    else:
        (tmp_path / "touchpoint").write_text("this is in the way")
    done = run(*words, XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {tmp_path}/touchpoint")
    assert "this user can write" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not COMPILED, reason="nothing is compiled")
def test_serve_says_that_it_compiles_before_it_does(tmp_path: Path) -> None:
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "server", "serve", "--demo", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as started:
        assert started.stderr is not None
        first = started.stderr.readline()
        compiled = list(tmp_path.rglob("*.nbi"))
        started.kill()
    assert first.startswith(b"compiling the kernels")
    assert not compiled


def test_more_memory_than_there_is_gets_one_message() -> None:
    said = readable(MemoryError("Unable to allocate 96.9 GiB"))
    assert isinstance(said, click.ClickException)
    assert "96.9 GiB; lower contacts_max" in said.message
    assert readable(OSError("listen: cannot listen")).args == ("listen: cannot listen",)
    assert isinstance(readable(mistake := KeyError("a mistake in the program")), KeyError), mistake


def test_config_show_says_who_set_what(tmp_path: Path) -> None:
    (tmp_path / "touchpoint.toml").write_text('shard = "4/9"\nlog_level = "debug"\nqueue_items_max = 7\n')
    done = run(
        "config", "show", "--origin", "--json", "--config", str(tmp_path / "touchpoint.toml"), "--shard", "6/9",
        TOUCHPOINT_SHARD="5/9", TOUCHPOINT_LOG_LEVEL="error",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["shard"] == {"value": "6/9", "origin": "flag"}
    assert shown["log_level"] == {"value": "error", "origin": "TOUCHPOINT_LOG_LEVEL"}
    assert shown["queue_items_max"] == {"value": 7, "origin": str(tmp_path / "touchpoint.toml")}
    assert shown["insecure"] == {"value": False, "origin": "default"}


def test_reader_that_goes_away_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m server config show --origin | head -n 1",
        cwd=ROOT,
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
