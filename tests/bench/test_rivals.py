"""A rival that is not there is left out with its reason, and never stands as a figure."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from bench import subjects
from bench.figure import Figure
from bench.rivals import building, matchers
from bench.subjects import StartError, rivals, started


def test_rival_without_a_toolchain_is_missing_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with rivals(("cpp_empty",)) as found:
        assert found.subjects == []
        assert "libgrpc++-dev" in found.missing["cpp_empty"]


def test_rival_that_does_not_compile_is_missing_with_the_compiler_s_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = tmp_path / "broken.cc"
    source.write_text("int main() { return nothing_of_this_name; }\n")
    monkeypatch.setattr(building, "SOURCE", source)
    monkeypatch.setattr(building, "cache_folder", lambda: tmp_path / "worlds")
    built = building.callback_server()
    assert built.path is None
    assert "nothing_of_this_name" in built.why or "no gRPC C++" in built.why or "no C++ compiler" in built.why
    assert not list(tmp_path.rglob("empty_callback-*"))


def test_rival_in_cpp_compiles_where_there_is_a_toolchain() -> None:
    """A mistake in its source must not pass for a machine without a compiler."""
    built = building.callback_server()
    if built.path is None and not built.version:
        pytest.skip(built.why)
    assert built.path is not None, built.why
    assert built.path.stat().st_mode & 0o100


@pytest.mark.parametrize("name", ["native_empty", "grpc_aio_empty"])
def test_rival_that_is_not_installed_is_missing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    command, why = subjects._command_of(name)
    assert (command is None) == (name == "native_empty")
    assert ("pip install" in why) == (name == "native_empty")


def test_matcher_that_is_not_installed_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "zen" else name)
    assert matchers.missing("zen") == "zen is not installed; pip install .[bench]"
    assert matchers.missing("datalogic") == ""


def test_server_that_does_not_start_says_why() -> None:
    with (
        pytest.raises(StartError, match="no module of this name"),
        started("x", ["python3", "-c", "raise SystemExit('no module of this name')"]),
    ):
        raise AssertionError("it does not start")


def test_figures_are_compared_with_their_targets_both_ways() -> None:
    found = {"a": {"b": 2.0}, "c": 3}
    assert Figure("a.b", "", least=2).met(found) is True
    assert Figure("a.b", "", least=2.1).met(found) is False
    assert Figure("c", "", most=2).met(found) is False
    assert Figure("c", "", most=3).met(found) is True
    assert Figure("a.x", "", most=3).met(found) is None
    assert Figure("c", "").met(found) is None
