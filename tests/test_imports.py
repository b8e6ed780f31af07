"""Who may import what, beyond the contracts of import-linter: allow-lists, read from the source."""

import ast
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent


def imported(path: Path) -> set[str]:
    """Return the absolute dotted names that a file imports; `from a import b` gives `a.b`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 or node.module is None, f"{path}: imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def beyond(folder: str, allowed: tuple[str, ...]) -> list[str]:
    """Return what files under `folder` import that is neither of the standard library nor allowed."""
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for name in sorted(imported(path)):
            top = name.split(".")[0]
            if top not in sys.stdlib_module_names and not any(name == a or name.startswith(a + ".") for a in allowed):
                found.append(f"{path.relative_to(ROOT)}: {name}")
    return found


# engine.reasons is but numbers: the kernels write them, and the rest of the engine reads them.
ALLOWED: Final = {
    "engine/kernels": (
        "numpy",
        "numba.types",
        "engine.intrinsics",
        "engine.jit",
        "engine.dtypes",
        "engine.limits",
        "engine.reasons",
        "engine.kernels",
    ),
    "server/codec/kernels": (
        "numpy",
        "numba.types",
        "engine.jit",
        "engine.dtypes",
        "engine.limits",
        "engine.reasons",
        "engine.kernels",
        "server.codec.bounds",
        "server.codec.dtypes",
        "server.codec.request_tables",
        "server.codec.answer_tables",
        "server.codec.sayings",
        "server.codec.kernels",
    ),
    "bench/kernels": ("numpy", "numba.types", "engine.jit", "engine.kernels", "bench.wire", "bench.kernels"),
    "engine": ("numpy", "numba", "llvmlite", "msgspec", "cel_expr_python", "google.protobuf", "engine"),
    "loaders": (
        "numpy",
        "msgspec",
        "pyarrow",
        "duckdb",
        "yaml",
        "holidays",
        "rich",
        "rich_click",
        "click",
        "phonenumbers",
        "engine",
        "loaders",
    ),
    "clients": ("touchpoint.v1", "grpc", "google", "rich", "rich_click", "click", "clients", "pyarrow"),
    "proto/touchpoint": ("touchpoint.v1", "google", "grpc"),
}


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_imports_stay_within_what_the_folder_may_use(folder: str) -> None:
    assert beyond(folder, ALLOWED[folder]) == []


def test_kernels_import_nothing_else_of_the_standard_library() -> None:
    allowed = {"typing", "collections"}
    found = {
        f"{path.name}: {name}"
        for folder in ("engine/kernels", "server/codec/kernels", "bench/kernels")
        for path in (ROOT / folder).rglob("*.py")
        for name in imported(path)
        if name.split(".")[0] in sys.stdlib_module_names and name.split(".")[0] not in allowed
    }
    assert found == set()


def test_the_cel_front_end_is_one_module() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "engine").rglob("*.py")
        if any(n.startswith("cel_expr_python") for n in imported(path))
    }
    assert users <= {"engine/cel/frontend.py"}


def test_arrow_is_one_module_of_the_clients() -> None:
    users = {path.name for path in (ROOT / "clients").rglob("*.py") if any("pyarrow" in n for n in imported(path))}
    assert users == {"columns.py"}


def test_clients_share_no_code_with_the_server() -> None:
    shared = {"server", "loaders", "engine", "bench", "tests"}
    found = {
        name for path in (ROOT / "clients").rglob("*.py") for name in imported(path) if name.split(".")[0] in shared
    }
    assert found == set()
