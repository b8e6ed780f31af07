"""Places inside scalars: for every style, the place of a character is where that character stands in the file."""

import pytest

from loaders.catalogue.document import Mapping, Scalar, parse_document
from loaders.catalogue.positions import place_in
from loaders.catalogue.problems import Problems


def _scalar(source: str) -> Scalar:
    root = parse_document("a.yaml", source, Problems())
    assert isinstance(root, Mapping)
    value = root.items[-1][1]
    assert isinstance(value, Scalar)
    return value


@pytest.mark.parametrize(
    "source",
    [
        "key: abc X def\n",
        "key:   abc X def   # more\n",
        "{key: abc X def}\n",
        "key:\n    abc X def\n",
        "key: 'it''s X'\n",
        "key: '''''X'''\n",
        'key: "X"\n',
        'key: "a\\u00e9\\x41\\n\\"\\U0001F600 X"\n',
        "key: \u00e9\U0001f600 X\n",
        "key: |\n  a\n  b X c\n",
        "key: |-\n\n    a\n      b X c\n",
        "key: |2\n      a\n   X b\n",
        "key: | # note\n   X\n",
        "first: 1\nkey: |+\n  a\n\n  X\n\n",
    ],
)
def test_character_found_where_it_stands(source: str) -> None:
    scalar = _scalar(source)
    line = scalar.text[: scalar.text.index("X")].count("\n") if scalar.style == "|" else 0
    text = scalar.text.split("\n")[line] if scalar.style == "|" else scalar.text
    place = place_in(scalar, line + 1, text.index("X") + 1)
    assert source.split("\n")[place.line - 1][place.column - 1] == "X"


@pytest.mark.parametrize("source", ["key: >\n  a\n  X\n", "key: a\n  X\n", 'key: "a\n  X"\n', "key: 'a\n\n  X'\n"])
def test_folded_text_points_to_its_start(source: str) -> None:
    scalar = _scalar(source)
    assert place_in(scalar, 1, 3) == scalar.place
    assert scalar.place[1:] == (1, 6)
