"""Nothing is compiled once the engine is warm: every kernel has its declared signatures and no more, whatever is asked."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba.core.event
import numpy as np
import pytest
from numba import types
from numba.core.errors import NumbaError

import engine.jit
import engine.kernel_cache
from engine.batch import DRY_RUN
from engine.jit import COMPILED, compiled_kernels, kernel, read_only, writable
from tests.worlds.agreement import first_difference
from tests.worlds.commands import Decide, Explain, Record
from tests.worlds.engine_driver import EngineDriver
from tests.worlds.script import written_world

pytestmark = pytest.mark.skipif(not COMPILED, reason="kernels are plain Python")
SEEDS = (3, 9, 13, 14)
"""Worlds of caps, stock, cool-downs and conditions."""


@contextmanager
def compiles_nothing() -> Iterator[None]:
    """Fail when any function is compiled, or a kernel has another signature than before."""
    before = {id(k): list(k.nopython_signatures) for k in compiled_kernels}
    with numba.core.event.install_recorder("numba:compile") as recorder:
        yield
    compiled = [str(event.data["dispatcher"]) for _, event in recorder.buffer if event.is_start]
    assert compiled == []
    assert {id(k): list(k.nopython_signatures) for k in compiled_kernels} == before


def warm_up(driver: EngineDriver, now_us: int) -> None:
    """As server.lifecycle does: a dry run for every trigger and channel, and one explanation."""
    bound = driver.engine.bound
    pairs = [(trigger, channel) for trigger in bound.trigger_index.values() for channel in bound.channel_index.values()]
    batch = driver.engine.new_batch(len(pairs))
    batch.count = len(pairs)
    for row, (trigger, channel) in enumerate(pairs):
        batch.subscriber[row], batch.trigger[row], batch.channel[row] = 1, trigger, channel
        batch.flags[row], batch.now_us[row] = DRY_RUN, now_us
    driver.engine.decide(batch)
    batch.count = 1
    driver.engine.explain(batch)


def waits(dispatcher: Any) -> bool:
    """Return whether an inner kernel has not been needed yet."""
    return "waits_for" in vars(dispatcher)


def test_every_kernel_has_what_it_declares_and_can_learn_nothing_more() -> None:
    assert len(compiled_kernels) > 100
    needed = [dispatcher for dispatcher in compiled_kernels if not waits(dispatcher)]
    assert len(needed) > 40
    for dispatcher in needed:
        assert dispatcher.nopython_signatures, dispatcher
        assert not dispatcher._can_compile, f"{dispatcher} would compile for other arguments"
    for dispatcher in compiled_kernels:
        assert waits(dispatcher) <= dispatcher.targetoptions["no_cpython_wrapper"], (
            f"{dispatcher} is called from Python"
        )


@pytest.mark.usefixtures("kernels_apart")
def test_an_inner_kernel_waits_for_a_caller_and_gets_its_declared_signatures_alone() -> None:
    inner = kernel(types.int64(types.int64), types.float64(types.float64), inner=True)(doubled)
    assert waits(inner)
    assert inner.nopython_signatures == []  # type: ignore[attr-defined]  # a dispatcher
    function: Any = lambda count: inner(inner(count))  # noqa: E731  # it closes over the inner kernel
    assert kernel(types.int64(types.int64))(function)(3) == 12
    assert not waits(inner)
    assert inner.nopython_signatures == [types.int64(types.int64), types.float64(types.float64)]  # type: ignore[attr-defined]  # a dispatcher
    assert not inner._can_compile  # type: ignore[attr-defined]  # a dispatcher
    with pytest.raises(NumbaError):
        kernel(types.complex128(types.complex128))(function)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_compiles_after_warm_up(tmp_path: Path, seed: int) -> None:
    """A whole script: decisions, outcomes, changes, erasure, reloads, hand-offs; its answers are right, too."""
    world = written_world(seed, 60)
    met = Counter(type(command) for command in world.script)
    assert met[Decide]
    assert met[Record]
    assert met[Explain]
    warm_up(EngineDriver(world, tmp_path / "warm"), world.shape.start_us)
    with compiles_nothing():
        assert first_difference(world, tmp_path / "played") is None


def test_a_call_with_other_types_is_refused_and_not_compiled() -> None:
    from engine.kernels.counting import kth_smallest

    with compiles_nothing(), pytest.raises(TypeError, match="No matching definition"):
        kth_smallest(np.zeros(3, np.float32), 3, 1)


def test_a_table_that_may_be_written_is_not_taken_for_one_that_is_read() -> None:
    """Read-only arrays are a type of their own, in one direction: writable ones may be passed on to be read."""
    source: Any = writable(np.int64)
    assert source.mutable
    assert not read_only(np.int64).mutable


@pytest.fixture
def kernels_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Kernels made by the test are neither kept nor cached where others are."""
    monkeypatch.setattr(engine.jit, "compiled_kernels", [])
    monkeypatch.setattr(engine.jit, "folder_of", lambda module: tmp_path / module)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))


def first_of_new_array(count: int) -> int:
    return int(np.zeros(count, np.int64)[0])


def length_of_new_list(count: int) -> int:
    return len([count] * count)


def doubled(count: int) -> int:
    return 2 * count


@pytest.mark.usefixtures("kernels_apart")
@pytest.mark.parametrize("allocating", [first_of_new_array, length_of_new_list])
def test_a_kernel_that_allocates_is_refused(allocating: Any) -> None:
    with pytest.raises(NumbaError):
        kernel(types.int64(types.int64))(allocating)


@pytest.mark.usefixtures("kernels_apart")
def test_what_is_compiled_would_be_seen() -> None:
    with pytest.raises(AssertionError, match="doubled"), compiles_nothing():
        assert kernel(types.int64(types.int64))(doubled)(4) == 8


def test_kernels_are_cached_by_all_of_ours_that_they_import() -> None:
    """Of several packages, in whatever form they are imported, and what those import."""
    root = Path(engine.kernel_cache.__file__).parent.parent
    sources = {
        path.relative_to(root).as_posix() for path in engine.kernel_cache._sources("server.codec.kernels.reading")
    }
    assert {
        "server/codec/kernels/reading.py",
        "server/codec/request_tables.py",
        "server/codec/kernels/wire.py",
    } <= sources
    assert {"engine/jit.py", "engine/inner_library.py", "engine/limits.py", "engine/kernels/siphash.py"} <= sources
    assert "server/codec/kernels/message.py" in sources
    assert not any(path.startswith(("tests/", "bench/")) or path.endswith("reader.py") for path in sources)
