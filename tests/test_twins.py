"""Every kernel has a twin in plain Python: a test that names it compares the two, or TWINS says where its twin is and what compares them."""

import ast
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
KERNELS: Final = (
    ROOT / "engine/kernels",
    ROOT / "server/codec/kernels",
    ROOT / "bench/kernels",
    ROOT / "engine/whatif/kernels",
)
PACKAGES: Final = ("engine", "loaders", "server", "bench", "tests")

TWINS: Final = {
    "answer_at_once": "tests/server/codec/test_at_once.py",
    "decide_at_once": "tests/oracle/oracle.py",
    "answer_run": "tests/oracle/decide.py",
    "ask": "tests/oracle/oracle.py",
    "eligible_run": "tests/oracle/decide.py",
    "explain_run": "tests/oracle/decide.py",
    "validity": "tests/oracle/decide.py",
    "run_end": "tests/oracle/oracle.py",
    "take_items": "tests/oracle/oracle.py",
    "hand_off_quiet_us": "tests/oracle/oracle.py",
    "hand_off_caps_us": "tests/oracle/oracle.py",
    "read_contacts": "tests/engine/ledger/model.py",
    "grant_items": "tests/engine/ledger/model.py",
    "prune_blocks": "tests/oracle/ledger.py",
    "install_contacts": "tests/engine/ledger/test_working.py",
    "advance_time": "tests/engine/ledger/model.py",
    "find_contact": "tests/engine/ledger/model.py",
    "record_outcomes": "tests/engine/ledger/model.py",
    "forget_contacts": "tests/engine/ledger/model.py",
    "remember_texts": "tests/engine/ledger/test_answers.py",
    "read_texts": "tests/engine/ledger/test_answers.py",
    "say_varying": "tests/server/codec/answer_oracle.py",
    "write_answers": "tests/server/codec/answer_oracle.py",
    "put_answers": "tests/server/codec/test_leaving.py",
    "put_results": "tests/server/codec/test_leaving.py",
    "copy_texts": "tests/engine/test_texts.py",
    "insert_persons": "tests/engine/base/world.py",
    "link_changes": "tests/engine/base/world.py",
    "condition_holds": "tests/oracle/cel.py",
    "parse_numbers": "tests/loaders/base/test_build.py",
    "normalise_keys": "tests/loaders/base/test_build.py",
    "write_calls": "tests/bench/test_generator.py",
    "read_frames": "tests/bench/test_generator.py",
    "read_requests": "tests/server/codec/both_ways.py",
    "identify_rows": "tests/server/codec/digests.py",
    "read_rows": "tests/server/codec/test_rows.py",
    "begin_fields": "tests/server/codec/test_rows.py",
    "take_answers": "tests/server/tables.py",
    "index_again": "tests/server/codec/test_answer_sheet.py",
    "copy_column": "tests/server/codec/test_answer_sheet.py",
    "index_names": "tests/server/codec/both_ways.py",
    "add_coded": "tests/server/codec/test_reader.py",
    "write_messages": "tests/server/codec/test_messages.py",
    "note_batch": "tests/server/journal/test_replay.py",
    "restore_noted": "tests/server/journal/test_restart.py",
    "restore_run": "tests/engine/journal/test_runs.py",
    "restore_entries": "tests/server/journal/test_snapshots.py",
}
"""Kernels that only our own functions call, which the tests compare as a whole with this plain Python."""

ENTRIES: Final = (ROOT / "tests/server/codec/saying_entry.py", ROOT / "tests/engine/lanes_entry.py")
"""Kernels of the tests through which Python calls an inner one."""


def kernels() -> dict[tuple[str, str], ast.FunctionDef]:
    """Return the compiled functions by (module, name)."""
    return {
        (path.stem, node.name): node
        for folder in KERNELS
        for path in sorted(folder.rglob("*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and any(_compiles(decorator) for decorator in node.decorator_list)
    }


def _compiles(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func).split(".")[-1] == "kernel"


def words_in_tests() -> set[str]:
    texts = [path.read_text() for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    return set(re.findall(r"\w+", "\n".join(texts)))


def called_by(kernel: tuple[str, str], found: dict[tuple[str, str], ast.FunctionDef]) -> set[tuple[str, str]]:
    """Return the kernels whose names one uses: its own module's, else any other's of that name."""
    names = {node.id for node in ast.walk(found[kernel]) if isinstance(node, ast.Name)}
    own = {(kernel[0], name) for name in names} & found.keys()
    return own | {(module, name) for module, name in found if name in names - {name for _, name in own}}


def test_every_kernel_has_a_twin() -> None:
    found = kernels()
    known = words_in_tests() | TWINS.keys()
    reached = {kernel for kernel in found if kernel[1] in known}
    waiting = list(reached)
    while waiting:
        for kernel in called_by(waiting.pop(), found) - reached:
            reached.add(kernel)
            waiting.append(kernel)
    alone = sorted(f"{module}.{name}" for module, name in found.keys() - reached)
    assert alone == [], "write the twin in plain Python, and a test that compares the two"


def test_twins_are_there_and_still_needed() -> None:
    assert [path for path in TWINS.values() if not (ROOT / path).is_file()] == []
    assert TWINS.keys() <= {name for _, name in kernels()}


def test_inner_kernels_are_called_by_kernels_alone() -> None:
    """An inner kernel has no entry for Python: calling it compiled would end the process."""
    inner = {
        (module, name)
        for (module, name), node in kernels().items()
        if any(keyword.arg == "inner" for call in node.decorator_list for keyword in getattr(call, "keywords", []))
    }
    assert inner
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    outside = [path for path in files if path.parent not in KERNELS and path not in ENTRIES]
    taken = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {alias.name} is inner; call a kernel that calls it, or take `inner` away"
        for path in outside
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith(
            ("engine.kernels.", "engine.whatif.kernels.", "server.codec.kernels.", "bench.kernels.")
        )
        for alias in node.names
        if ((node.module or "").split(".")[-1], alias.name) in inner
    ]
    assert not taken, "\n".join(taken)
