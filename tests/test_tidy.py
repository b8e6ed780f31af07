"""What linters cannot say about this tree: sizes, names, kernels and their twins, nothing of one machine in tracked files."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
PACKAGES: Final = ("engine", "loaders", "server", "clients", "bench", "tests")
FUNCTION_LINES_MAX: Final = 70
FILE_LINES_MAX: Final = 450
"""Look for a seam at 400."""
ARGUMENTS_MAX: Final = 5
KERNEL_ARGUMENTS_MAX: Final = 8
BANNED_NAMES: Final = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "stuff"}
TEXT_SUFFIXES: Final = {
    ".py",
    ".md",
    ".toml",
    ".yaml",
    ".yml",
    ".proto",
    ".json",
    ".lock",
    ".cfg",
    ".txt",
    ".js",
    ".mjs",
    ".sh",
    "",
}

type_ignore = re.compile(r"#\s*type:\s*ignore(?!\[)")
machine_path = re.compile(r"(?<![\w.])/(?:root|work/(?!\.)|home/[a-z]+|Users/[a-z]+|opt/(?:wheels|pypi)|tmp/scratch)\b")
# Assembled from parts, so that this file is not its own finding.
registry_host = re.compile(
    "|".join(re.escape(host) for host in ("pypi" + ".org", "pythonhosted" + ".org", "registry.npmjs" + ".org"))
)


def tracked(*suffixes: str) -> list[Path]:
    """Return the files that git tracks, or would, of the given suffixes."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and (not suffixes or path.suffix in suffixes)]


def ours() -> list[Path]:
    return [path for path in tracked(".py") if path.relative_to(ROOT).parts[0] in PACKAGES]


def in_tests(path: Path) -> bool:
    return path.relative_to(ROOT).parts[0] == "tests"


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def is_kernel(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(
        isinstance(decorator, ast.Call)
        and getattr(decorator.func, "id", getattr(decorator.func, "attr", "")) == "kernel"
        for decorator in function.decorator_list
    )


def kernels() -> list[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    return [(path, function) for path in ours() for function in functions(path) if is_kernel(function)]


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def test_functions_stay_short() -> None:
    long = [
        f"{where(path, function.lineno)}: {function.name} has {lines_of(function)} lines"
        for path in ours()
        for function in functions(path)
        if lines_of(function) > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_files_stay_short() -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in ours()}
    assert [f"{where(path, size)}" for path, size in sizes.items() if size > FILE_LINES_MAX] == []


def test_positional_arguments_stay_few() -> None:
    found = []
    for path in (path for path in ours() if not in_tests(path)):
        for function in functions(path):
            positional = [
                a.arg for a in (*function.args.posonlyargs, *function.args.args) if a.arg not in ("self", "cls")
            ]
            most = KERNEL_ARGUMENTS_MAX if is_kernel(function) or "kernels" in path.parts else ARGUMENTS_MAX
            if len(positional) > most:
                found.append(f"{where(path, function.lineno)}: {function.name} takes {len(positional)}")
    assert found == []


def test_files_are_named_after_what_they_hold() -> None:
    assert [where(path, 1) for path in ours() if path.stem in BANNED_NAMES or set(path.parts) & BANNED_NAMES] == []


def test_modules_open_with_what_they_are() -> None:
    assert [
        where(path, 1)
        for path in ours()
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ] == []


def test_kernels_live_in_their_folder() -> None:
    outside = [
        f"{where(path, function.lineno)}: {function.name}"
        for path, function in kernels()
        if path.parent
        not in (
            ROOT / "engine/kernels",
            ROOT / "server/codec/kernels",
            ROOT / "bench/kernels",
            ROOT / "engine/whatif/kernels",
        )
        and not in_tests(path)
    ]
    assert outside == []


def test_compile_options_are_set_in_one_place() -> None:
    compiled = re.compile(r"\b(?:njit|numba\.jit|vectorize|guvectorize|prange|cfunc)\b")
    assert [
        where(p, 1)
        for p in ours()
        if p not in (ROOT / "engine/jit.py", Path(__file__)) and compiled.search(p.read_text())
    ] == []


def test_nothing_names_a_machine_or_a_registry() -> None:
    found = []
    for path in tracked():
        if path.suffix not in TEXT_SUFFIXES or path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if machine_path.search(line) or registry_host.search(line):
                found.append(f"{where(path, number)}: {line.strip()[:100]}")
    assert found == []


BANNED_CALLS: Final = {
    "eval",
    "exec",
    "compile",
    "pickle.load",
    "pickle.loads",
    "marshal.loads",
    "yaml.load",
    "os.system",
}
SAFE_IN_TESTS: Final = {"yaml.load"}
"""Tests subclass the safe loader."""


def called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def test_nothing_runs_text_as_code() -> None:
    found = []
    for path in ours():
        tree = ast.parse(path.read_text())
        found += [
            f"{where(path, node.lineno)}: {called(node)}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and called(node) in BANNED_CALLS - (SAFE_IN_TESTS if in_tests(path) else set())
        ]
        found += [
            f"{where(path, node.lineno)}: imports pickle"
            for node in ast.walk(tree)
            if isinstance(node, ast.Import) and any(alias.name in ("pickle", "dill", "shelve") for alias in node.names)
        ]
    assert found == []


def test_numbers_are_loaded_without_pickle() -> None:
    assert [
        where(path, 1)
        for path in ours()
        if re.search(r"allow_pickle\s*=\s*True", path.read_text()) and path != Path(__file__)
    ] == []


def test_ignored_types_say_which() -> None:
    assert [where(path, 1) for path in ours() if type_ignore.search(path.read_text()) and path != Path(__file__)] == []


@pytest.mark.parametrize(
    "name", ["LICENSE", "README.md", "CHANGELOG.md", "requirements.lock", "requirements-dev.lock", "Makefile"]
)
def test_the_ground_is_there(name: str) -> None:
    assert (ROOT / name).read_text().strip()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_locks_pin_with_hashes_and_without_an_index(name: str) -> None:
    text = (ROOT / name).read_text()
    pinned = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert all("==" in line for line in pinned)
    assert text.count("==") <= text.count("--hash=sha256:")
    assert "index-url" not in text
    assert "find-links" not in text


def test_both_locks_agree() -> None:
    def pins(name: str) -> set[str]:
        return {line.split()[0] for line in (ROOT / name).read_text().splitlines() if "==" in line}

    assert pins("requirements.lock") <= pins("requirements-dev.lock")


def test_every_make_target_is_described() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert phony is not None
    described = set(re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE))
    assert set(phony.group(1).split()) == described
