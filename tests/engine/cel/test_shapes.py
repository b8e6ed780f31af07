"""A front end that has seen a condition's shape says of every other text what a new one says: the same tree, or the same complaint."""

import random
import re

import pytest

from engine.cel.errors import CelError
from engine.cel.frontend import Frontend
from engine.cel.schema import Schema, Slot, SlotType
from engine.cel.shapes import Words, learned, spelled
from engine.cel.syntax import Node
from tests.engine.cel.expressions import BY_TYPE, NAMES, Expressions

SCHEMA = Schema(
    (
        *(Slot(name, SlotType[kind.upper()]) for name, kind in NAMES.items()),
        Slot("now", SlotType.TIMESTAMP),
        Slot("flag", SlotType.BOOL),
        Slot("deep.er.count", SlotType.INT),
    ),
    ("gold", "heavy"),
)
SOURCES = [
    '"gold" in subscriber.labels && r.count >= 12',
    '"heavy" in subscriber.labels && r.total >= 0',
    "  \n'heavy' in subscriber.labels&&\tr.total>=7 ",
    '!("gold" in subscriber.labels) || r.flag && !r.other',
    "r.count == -5 && r.total == 0",
    "r.count == - 6 && r.total == 1",
    "r.count - 5 > 3",
    "r.count -6 > 3",
    "-r.count > 3",
    "has(r.plan) && r.plan.startsWith('a')",
    'has(r.app) && r.plan.startsWith("b")',
    "has(r.seen)",
    "has(now)",
    "has(flag)",
    "has(deep.er.count) && deep.er.count in [1, 2, 3]",
    "r.count in [1]",
    "r.count in [4, 5]",
    "r.count in [4, 5,]",
    "r.count in [4, -5]",
    "r.count in []",
    "r.ratio in [1.5, 2.0, 0.1]",
    "r.ratio in [1.5, 2]",
    "r.plan in ['a']",
    "r.plan in ['b', \"c\"]",
    "r.plan in ['b', 'it''s']",
    "'gold' in ['gold'] && r.plan == 'x'",
    "r.plan == 'b' || r.plan == \"it's\"",
    "subscriber.labels[1] == 'a'",
    "r.ratio > 1.5",
    "r.ratio > 1",
    "r.ratio > .5",
    "r.ratio > 1.",
    "r.ratio > 1e3",
    "r.count > 0x1F",
    "r.count > 5u",
    "r.count > 9223372036854775807",
    "r.count > 9223372036854775808",
    "r.count == -9223372036854775808",
    "r.count > 007",
    "r.count > 1 // and so on",
    "r.count / 2 > 1",
    "r.plan == 'a\\n'",
    "r.plan == r'a'",
    "r.plan == b'a'",
    "r.plan == '''a'''",
    "r.plan == \"\" 'a'",
    "r.plan == 'é\U0001f600' && r.count > nothing",
    "r.plan == 'é\U0001f600' && r.count > 1",
    "r . plan == 'a'",
    "r.plan . startsWith('a')",
    "r.plan.size() == 3",
    "r.flag ? r.count > 1 : r.total > 2",
    "true && !false",
    "r.flag == true",
    "null == null",
    "subscriber.labels.exists(x, x == 'gold')",
    "{'a': 1}.size() == 1",
    "r.unknown > 1",
    "r.count > 'a'",
    "r.count > ",
    "",
    "timestamp('2024-02-30T00:00:00Z') < r.now",
    "now.getHours('UTC') > 3 && r.seen.getHours('Asia/Tokyo') == 1",
    "r.plan == 'a\x00'",
    "r.plan == 'a\x0b'",
    "r.count\x0b> 1",
    "r.count in [1,\x0b2]",
    "r.count\xa0> 1",
    "(r.count > 1)",
    "((r.count) > (1))",
]


def outcome(frontend: Frontend, source: str) -> Node | tuple[str, int, int]:
    try:
        return frontend.parse(source)
    except CelError as error:
        return error.message, error.line, error.column


def test_a_front_end_that_has_seen_all_says_the_same() -> None:
    warm = Frontend(SCHEMA)
    for source in [*SOURCES, *SOURCES, *reversed(SOURCES)]:
        assert outcome(warm, source) == outcome(Frontend(SCHEMA), source), source


def varied(rng: random.Random, source: str) -> str:
    """The text with some literals, names and blanks exchanged, now and then into something else or something wrong."""

    def exchanged(match: re.Match[str]) -> str:
        text, roll = match.group(), rng.random()
        if text[0] in "'\"":
            return f'"{rng.choice(("", "x", "gold", "é", "UTC"))}"' if roll < 0.5 else text
        if text[0].isdigit():
            whole = str(rng.choice((0, 3, 10**18, 2**63))) if roll < 0.9 else "2.5"
            return whole if "." not in text else f"{rng.randrange(99)}.{rng.randrange(99)}"
        if text in NAMES:
            kind = NAMES[text] if roll < 0.9 else rng.choice(list(BY_TYPE))
            return rng.choice(BY_TYPE[kind])
        return text if roll < 0.99 else rng.choice(("now", "nothing", "("))

    made = re.sub(r"'[^']*'|\"[^\"]*\"|\d+(\.\d+)?|[A-Za-z][\w.]*", exchanged, source)
    return re.sub(r"(?<=[ (),])", lambda _: rng.choice(("", "", " ", "\n")), made)


@pytest.mark.parametrize("seed", range(8))
def test_varied_texts_of_a_shape_are_read_like_new_ones(seed: int) -> None:
    rng = random.Random(seed)
    expressions = Expressions(rng)
    for _ in range(12):
        warm, source = Frontend(SCHEMA), expressions.make("bool", rng.randrange(1, 5))
        outcome(warm, source)
        for text in (source, *(varied(rng, source) for _ in range(4))):
            assert outcome(warm, text) == outcome(Frontend(SCHEMA), text), text


def test_texts_that_differ_in_literals_and_names_have_one_shape() -> None:
    words = Words({"a.x": "int", "a.y": "int", "a.z": "double", "a.list": "list"})
    shapes = [
        spelled(text, words)
        for text in ('"p" in a.list && a.x >= 12', "'q'  in a.list\n&& a.y>=0", '"p" in a.list && a.z >= 12')
    ]
    one, two, three = (shape.shape if shape else None for shape in shapes)
    assert one == two != three
    assert one == '" in <list.1> && <int.1> >= 0'


def test_a_shape_is_checked_once() -> None:
    class Counting(Frontend):
        checked = 0

        def _checked(self, source: str) -> Node:
            self.checked += 1
            return super()._checked(source)

    frontend = Counting(SCHEMA)
    for number in range(50):
        frontend.parse(f'"gold" in subscriber.labels && r.{"count" if number % 2 else "total"} >= {number}')
    assert frontend.checked == 1


def test_a_tree_with_parts_beyond_the_tokens_is_not_learned() -> None:
    frontend, words = Frontend(SCHEMA), Words(NAMES)
    source = "r.count == 1"
    plain = spelled(source, words)
    assert plain is not None
    assert learned(frontend.parse(source), plain.tokens) is not None
    assert learned(frontend.parse("r.total == 1"), plain.tokens) is None
    assert learned(frontend.parse("r.count == 2"), plain.tokens) is None
    assert learned(frontend.parse("(r.count == 1)"), plain.tokens) is None
    assert spelled("r.plan == '" + "a" * 20_000 + "'", words) is None
