"""Files that want to do harm, or are simply no text: one clear report each, quickly, and nothing half-loaded."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from loaders.catalogue import CatalogueErrors, load_catalogue
from loaders.catalogue.document import DEPTH_MAX, NODES_MAX, SCALAR_CHARS_MAX
from loaders.catalogue.files import FILE_BYTES_MAX, FILES_MAX, FOLDER_CHARS_MAX
from loaders.catalogue.problems import PROBLEMS_MAX

COMPLETE = Path(__file__).parents[2] / "data" / "catalogues" / "complete"
NOW_US = 1_767_225_600_000_000
SECONDS_MAX = 2.0 if sys.gettrace() is None else 20.0
"""A tracer, such as coverage's, is no part of the promise."""


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    load_catalogue(COMPLETE, now_us=NOW_US)


def _errors(folder: Path) -> CatalogueErrors:
    started = time.process_time()
    with pytest.raises(CatalogueErrors) as caught:
        load_catalogue(folder, now_us=NOW_US)
    assert time.process_time() - started < SECONDS_MAX
    return caught.value


def _only(folder: Path) -> str:
    errors = _errors(folder)
    assert (len(errors.problems), errors.more) == (1, 0)
    return str(errors)


def _bomb() -> bytes:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join(['*' + a] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("data", "report"),
    [
        (_bomb(), 'a.yaml:1:4: expected no anchors and aliases, was "&a"'),
        (b"[" * 3_000_000, f"a.yaml:1:{DEPTH_MAX + 2}: expected at most {DEPTH_MAX} levels"),
        (b"{a: " * 900_000, "levels"),
        (b"- " * 2_000_000, "levels"),
        (b"? " * 2_000_000, "levels"),
        (b"labels: [" + b"a," * 1_900_000 + b"]", f"expected at most {NODES_MAX:,} values in a file"),
        (b"catalogue: " + b"a" * (SCALAR_CHARS_MAX + 1), f"expected at most {SCALAR_CHARS_MAX:,} characters in one value, was 65,537"),
        (b'catalogue: "' + b"a" * 4_000_000, "expected YAML"),
        (b"a" * (FILE_BYTES_MAX + 1), f"expected at most {FILE_BYTES_MAX:,} bytes in a file, was 4,194,305"),
        (b"catalogue: demo\nname: caf\xe9\n", "a.yaml:2:10: expected UTF-8, was byte 0xe9"),
        ("catalogue: é\xe9".encode("utf-16"), "byte order mark"),
        (b"\xef\xbb\xbfcatalogue: demo\n", "expected UTF-8 without a byte order mark"),
        (b"catalogue: a\x00b\n", "expected YAML"),
        (b"catalogue: a\x07b\n", "expected YAML"),
        (b"%YAML 9.9\n---\ncatalogue: demo\n", "expected YAML"),
        (b'catalogue: "\\ud800"\n', "expected"),
        (b"#" * 4_000_000 + b"\n: :\n{", "expected"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value[:12]),
)  # fmt: skip
def test_hostile_file_reported_once(tmp_path: Path, data: bytes, report: str) -> None:
    (tmp_path / "a.yaml").write_bytes(data)
    assert report in _only(tmp_path)


def test_huge_cell_never_read(tmp_path: Path) -> None:
    with (tmp_path / "a.yaml").open("wb") as file:
        file.write(b"catalogue: ")
        file.truncate(1 << 30)
    assert f"was {1 << 30:,}, split it" in _only(tmp_path)


def test_thousand_mistakes_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("offers:\n" + "  - {id: Bad, product: 1, value: a, prioriti: x}\n" * 5_000)
    errors = _errors(tmp_path)
    missing, clashes = 5, 4_999
    assert (len(errors.problems), errors.more) == (PROBLEMS_MAX, 5_000 * 5 + missing + clashes - PROBLEMS_MAX)
    assert str(errors).splitlines()[-1] == f"and {errors.more} more"


def test_thousands_of_wrong_conditions_are_quick(tmp_path: Path) -> None:
    for path in COMPLETE.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    campaign = "state: live, triggers: [data_usage], channels: [sms], purpose: marketing, offers: [data_20g_new]"
    lines = [f"  - {{id: c{n}, {campaign}, condition: subscriber.calls > 1.5 && not_there}}\n" for n in range(9_000)]
    (tmp_path / "z.yaml").write_text("campaigns:\n" + "".join(lines))
    errors = _errors(tmp_path)
    assert errors.problems[-1].line == PROBLEMS_MAX + 1
    assert str(errors).endswith("\nand perhaps more, which show when these are mended")


def test_unknown_names_among_many_are_quick(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("".join(["products:\n", *(
        f"  - {{id: product_{n}, name: {{en: A}}, price: 1, category: c}}\n" for n in range(15_000)
    )]))  # fmt: skip
    (tmp_path / "b.yaml").write_text("".join(["languages: [en]\noffers:\n", *(
        f"  - {{id: o{n}, product: produkt_{n}, value: 1, propensity: 1}}\n" for n in range(3_000)
    )]))  # fmt: skip
    started = time.process_time()
    with pytest.raises(CatalogueErrors) as caught:
        load_catalogue(tmp_path, now_us=NOW_US)
    assert time.process_time() - started < 2 * SECONDS_MAX
    assert caught.value.more > 2_000
    assert "write product_" in str(caught.value)


def _loop(folder: Path) -> None:
    (folder / "a.yaml").symlink_to(folder / "b.yaml")
    (folder / "b.yaml").symlink_to(folder / "a.yaml")


def _dangling(folder: Path) -> None:
    (folder / "a.yaml").symlink_to(folder / "nowhere")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "a.yaml")


def _device(folder: Path) -> None:
    (folder / "a.yaml").symlink_to("/dev/zero")


def _inner(folder: Path) -> None:
    (folder / "a.yaml").mkdir()


def _yml(folder: Path) -> None:
    (folder / "a.yml").write_text("labels: []\n")


@pytest.mark.parametrize(
    ("make", "report"),
    [
        (lambda folder: None, "expected at least one *.yaml file, was none"),
        (_loop, "a.yaml:1:1: expected a file that can be read, was too many levels of symbolic links"),
        (_dangling, "a.yaml:1:1: expected a file that can be read, was no such file or directory"),
        (_pipe, "a.yaml:1:1: expected a regular file"),
        (_device, "a.yaml:1:1: expected a regular file"),
        (_inner, "a.yaml:1:1: expected a file that can be read, was is a directory"),
        (_yml, 'a.yml:1:1: expected files called *.yaml, was "a.yml", rename it to end in .yaml'),
    ],
)
def test_strange_folder_reported(tmp_path: Path, make: Callable[[Path], None], report: str) -> None:
    make(tmp_path)
    assert report in str(_errors(tmp_path)).splitlines()[0]


def test_no_folder_reported(tmp_path: Path) -> None:
    assert "expected a folder of *.yaml files, was no such file" in _only(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    assert "expected a folder of *.yaml files, was not a directory" in _only(tmp_path / "file")


def test_too_many_files_reported(tmp_path: Path) -> None:
    for number in range(FILES_MAX + 1):
        (tmp_path / f"{number}.yaml").touch()
    assert f"expected at most {FILES_MAX} files, was {FILES_MAX + 1}" in _only(tmp_path)


def test_folder_too_large_reported(tmp_path: Path) -> None:
    for number in range(FOLDER_CHARS_MAX // FILE_BYTES_MAX + 1):
        (tmp_path / f"{number:02}.yaml").write_bytes(b"#" * FILE_BYTES_MAX)
    assert f"expected at most {FOLDER_CHARS_MAX:,} characters in all files" in str(_errors(tmp_path))
