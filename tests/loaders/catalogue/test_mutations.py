"""The complete catalogue with a few bytes changed: it loads, or it is reported with places inside the files; nothing else ever happens."""

import random
from pathlib import Path

import pytest

from loaders.catalogue import CatalogueErrors, load_catalogue

COMPLETE = Path(__file__).parents[2] / "data" / "catalogues" / "complete"
NOW_US = 1_767_225_600_000_000
PIECES = (
    b"\n",
    b"  ",
    b"- ",
    b": ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"'",
    b'"',
    b"|",
    b"#",
    b"&a ",
    b"*a",
    b"!",
    b"\t",
    b"\xff",
    b"0",
    b"~",
    b"{{",
)


def _mutated(data: bytes, random_: random.Random) -> bytes:
    for _ in range(random_.randint(1, 3)):
        at = random_.randrange(len(data))
        kind = random_.randrange(4)
        if kind == 0:
            data = data[:at] + data[at + random_.randint(1, 20) :]
        elif kind == 1:
            data = data[:at] + random_.choice(PIECES) + data[at:]
        elif kind == 2:
            other = random_.randrange(len(data))
            data = data[:at] + data[other : other + random_.randint(1, 40)] + data[at:]
        else:
            data = data[:at] + bytes([random_.randrange(256)]) + data[at + 1 :]
    return data


@pytest.mark.parametrize("seed", range(4))
def test_changed_bytes_load_or_are_reported(tmp_path: Path, seed: int) -> None:
    random_ = random.Random(seed)
    files = {path.name: path.read_bytes() for path in COMPLETE.glob("*.yaml")}
    refused = 0
    for _ in range(25):
        name = random_.choice(sorted(files))
        mutated = {**files, name: _mutated(files[name], random_)}
        for file, data in mutated.items():
            (tmp_path / file).write_bytes(data)
        try:
            load_catalogue(tmp_path, now_us=NOW_US)
        except CatalogueErrors as errors:
            refused += 1
            for problem in errors.problems:
                lines = mutated[problem.file].decode("utf-8", "replace").replace("\r", "\n").split("\n")
                assert 1 <= problem.line <= len(lines) + 1, problem
                text = lines[problem.line - 1] if problem.line <= len(lines) else ""
                assert 1 <= problem.column <= len(text) + 1 or "\x85" in text, (problem, text)
                assert all((problem.what, problem.was, problem.do)), problem
    assert refused > 5
