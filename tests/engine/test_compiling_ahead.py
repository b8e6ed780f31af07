"""Kernels compiled ahead are found by whoever imports them; what cannot be compiled ahead is left to them, without an error."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine import compiling_ahead, kernel_cache
from engine.compiling_ahead import compile_ahead
from engine.jit import COMPILED

pytestmark = pytest.mark.skipif(not COMPILED, reason="kernels are plain Python")
MODULES = ["engine.kernels.mix", "engine.kernels.base_text"]


@pytest.fixture(autouse=True)
def cache_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kernel_cache, "cache_folder", lambda: tmp_path / "touchpoint" / "kernels")
    monkeypatch.setattr(compiling_ahead, "modules_in", lambda _: MODULES)
    return tmp_path


def kept(folder: Path) -> set[str]:
    return {path.name.partition("-")[0] for path in folder.rglob("*.nbi")}


def test_what_is_missing_is_compiled_once_and_told(cache_apart: Path) -> None:
    told: list[tuple[int, int]] = []
    compile_ahead(["ours"], lambda *progress: told.append(progress), processes=2)
    names = {name.rpartition(".")[2] for name in kept(cache_apart)}
    assert {"mix64", "parse_numbers", "normalise_keys"} <= names
    assert told == [(0, 0), *((number + 1, len(names)) for number in range(len(names)))]
    compile_ahead(["ours"], lambda *_: pytest.fail("it is all there"))
    kernel_cache.folder_of("engine.kernels.mix").joinpath("complete").unlink()
    compile_ahead(["ours"], lambda *progress: told.append(progress), processes=1)
    assert told[-1] == (1, 1)


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "print(4, flush=True); input(); print('.', flush=True)"])
def test_a_process_that_ends_early_leaves_the_rest_to_the_import(
    monkeypatch: pytest.MonkeyPatch, cache_apart: Path, program: str
) -> None:
    monkeypatch.setattr(compiling_ahead, "COMMAND", (sys.executable, "-c", program))
    compile_ahead(["ours"], lambda *_: None, processes=2)
    assert kept(cache_apart) == set()
    assert not list(cache_apart.rglob("complete"))


def test_a_process_whose_orders_end_ends_in_the_midst_of_compiling(cache_apart: Path) -> None:
    module = "engine.kernels.answering"
    command = [*compiling_ahead.COMMAND, module]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        assert int(process.stdout.readline()) >= 2
        process.stdin.write(f"{module}\n")
        process.stdin.close()
        assert process.wait(30) == 0
    assert not (kernel_cache.folder_of(module) / "complete").exists()


def test_larger_modules_come_first_so_that_processes_end_together() -> None:
    sizes = {module: kernel_cache.sources_bytes(module) for module in kernel_cache.modules_in("engine.kernels")}
    largest = sorted(sizes, key=lambda module: -sizes[module])[:4]
    assert "engine.kernels.answering" in largest
    assert min(sizes.values()) > 0
