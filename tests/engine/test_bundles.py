"""Bundles cross into kernels the same by tuple and by reference, and what is not of their type is refused by name."""

import sys
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from numba import types

from engine.bundles import reference, replaced
from engine.jit import COMPILED, bundle, direct, kernel, read_only, writable

pytestmark = pytest.mark.skipif(not COMPILED, reason="without the JIT a bundle is a tuple like any other")


class Table(NamedTuple):
    weights: npt.NDArray[np.int64]
    grid: npt.NDArray[np.uint8]


class Job(NamedTuple):
    table: Table
    out: npt.NDArray[np.int64]
    start: int


TABLE_TYPE: Any = bundle(Table, read_only(np.int64), writable(np.uint8, 2))
JOB_TYPE: Any = bundle(Job, TABLE_TYPE, writable(np.int64), types.int64)


@kernel(types.int64(JOB_TYPE))
def weigh_rows(job: Job) -> int:
    """Write to `out` each row's weighted sum, and return all of them with the start."""
    total = job.start
    for row in range(job.table.grid.shape[0]):
        job.out[row] = 0
        for column in range(job.table.grid.shape[1]):
            job.out[row] += job.table.weights[column] * job.table.grid[row, column]
        total += job.out[row]
    return total


def job_of(**changes: Any) -> Job:
    grid = np.arange(6, dtype=np.uint8).reshape(3, 2)
    parts: dict[str, Any] = {
        "weights": np.array([10, 100]),
        "grid": grid,
        "out": np.zeros(3, np.int64),
        "start": 7,
    } | changes
    return Job(Table(parts["weights"], parts["grid"]), parts["out"], parts["start"])


@pytest.mark.parametrize("pass_as", [lambda job: job, reference])
def test_tuples_and_references_are_read_and_written_alike(pass_as: Any) -> None:
    job = job_of()
    assert weigh_rows(pass_as(job)) == 7 + 100 + 320 + 540
    assert job.out.tolist() == [100, 320, 540]


def test_reference_sees_what_changes_in_place_and_numbers_that_are_set() -> None:
    job = job_of()
    kept = reference(job)
    job.table.weights[:] = 1
    assert replaced(kept, start=0) is kept
    assert weigh_rows(kept) == 15
    assert reference(kept) is kept


def test_direct_calls_do_what_calls_do() -> None:
    for job in (job_of(), reference(job_of())):
        assert direct(weigh_rows)(job) == weigh_rows(job)
    with pytest.raises(TypeError):
        direct(weigh_rows)(job_of(), job_of())  # type: ignore[call-arg]  # one too many


def test_fields_are_replaced_in_place_or_not_at_all() -> None:
    kept = reference(job_of())
    table = Table(np.array([1, 2]), np.ones((2, 2), np.uint8))
    assert replaced(kept, table=table, start=1) is kept
    assert weigh_rows(kept) == 1 + 3 + 3
    wrong: Any = np.zeros(2)
    for changes in ({"out": wrong}, {"table": Table(wrong, table.grid)}):
        with pytest.raises(TypeError, match=r"expected .*array"):
            replaced(kept, **changes)
        assert weigh_rows(kept) == 7


def test_read_only_arrays_pass_where_nothing_is_written() -> None:
    weights = np.array([10, 100])
    weights.flags.writeable = False
    assert weigh_rows(job_of(weights=weights)) == weigh_rows(reference(job_of(weights=weights)))


def read_only_copy(array: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("pass_as", [lambda job: job, reference])
@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"out": np.zeros(3, np.int32)}, "Job.out"),
        ({"out": np.zeros(6, np.int64)[::2]}, "Job.out"),
        ({"out": read_only_copy(np.zeros(3, np.int64))}, "Job.out"),
        ({"out": [0, 0, 0]}, "Job.out"),
        ({"weights": np.zeros(2)}, "Table.weights"),
        ({"grid": np.zeros(6, np.uint8)}, "Table.grid"),
        ({"grid": np.zeros((2, 3), np.uint8).T}, "Table.grid"),
    ],
)
def test_array_of_another_type_is_refused_by_name(pass_as: Any, changes: dict[str, Any], name: str) -> None:
    with pytest.raises(TypeError, match=f"{name}: expected .*array"):
        weigh_rows(pass_as(job_of(**changes)))


def test_arrays_are_neither_leaked_nor_let_go() -> None:
    job = job_of()
    before = sys.getrefcount(job.out), sys.getrefcount(job.table)
    for _ in range(1_000):
        weigh_rows(job)
    assert (sys.getrefcount(job.out), sys.getrefcount(job.table)) == before
