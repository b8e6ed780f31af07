"""Conditions that differ in nothing but literals and names of one type have one shape, which the checker need not see twice.

    "heavy" in subscriber.labels && subscriber.tenure >= 12   ->   '" in <list.1> && <int.1> >= 0'

What the parser and the checker say of a text depends on its tokens; of a literal or a declared name, only on the type. So the tree of the first
text of a shape, with its own literals, names and offsets put in, is the tree of any other. Only what was found right is kept, so every complaint
is about the real text; and only tokens of plain forms are read (decimal numbers, texts without a backslash), anything else has no shape.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from engine.cel.syntax import Call, Constant, Has, ListOf, Literal, Name, Node

SOURCE_CHARS_MAX: Final = 16_384
"""Longer texts have no shape: the parser's own bound on length stays far away."""
SHAPES_MAX: Final = 10_000

_TEXT: Final = r"\"[^\"\\\x00-\x1f\x7f\ud800-\udfff]*\"|'[^'\\\x00-\x1f\x7f\ud800-\udfff]*'"
_BLANK: Final = r"[ \t\r\n]"
_FLOAT: Final = r"\d{1,17}\.\d{1,17}"
_WHOLE: Final = r"\d{1,18}"
_ENDS: Final = r"(?![A-Za-z0-9_.])"


def _list_of(item: str) -> str:
    return rf"\[{_BLANK}*(?:{item})(?:{_BLANK}*,{_BLANK}*(?:{item}))*{_BLANK}*\]"


_TOKEN: Final = re.compile(
    rf"""(?P<blank>{_BLANK}+)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*(?!["']))
    |(?P<texts>{_list_of(_TEXT)})|(?P<floats>{_list_of(_FLOAT)})|(?P<wholes>{_list_of(_WHOLE)})
    |(?P<text>(?:{_TEXT})(?!["']))|(?P<float>{_FLOAT}{_ENDS})|(?P<whole>{_WHOLE}{_ENDS})
    |(?P<sign>&&|\|\||[=!<>]=|/(?!/)|\.(?!\d)|[-<>!+*%?:()\[\],])""",
    re.VERBOSE | re.ASCII,
)
_ITEM: Final = re.compile(rf"{_TEXT}|{_FLOAT}|{_WHOLE}")
_PARSED: Final[dict[str, Callable[[str], Literal]]] = {
    "text": lambda text: text[1:-1],
    "float": float,
    "whole": int,
}
_ITEMS: Final = {"texts": "text", "floats": "float", "wholes": "whole"}
_MARKS: Final = {"text": '"', "float": "0.0", "whole": "0", "texts": '[""]', "floats": "[0.0]", "wholes": "[0]"}


class Token(NamedTuple):
    """A piece of a text: its kind (`name` for a declared name, `sign` for what is part of the shape itself), where it starts, and its text."""

    kind: str
    start: int
    text: str


class Spelled(NamedTuple):
    """A text's shape, and the tokens that fill it."""

    shape: str
    tokens: list[Token]


Fit = Callable[[list[Token]], Node]
"""Makes the tree of a text of the shape from its tokens."""


class _NotPlainError(Exception):
    """The tree has a part that the tokens do not account for."""


def spelled(source: str, kinds: Mapping[str, str]) -> Spelled | None:
    """Return the shape of a text, with the type of each declared name in `kinds`; None when it is not of plain forms throughout."""
    if len(source) > SOURCE_CHARS_MAX:
        return None
    tokens: list[Token] = []
    marks: list[str] = []
    at = 0
    for match in _TOKEN.finditer(source):
        if match.start() != at:
            return None
        at = match.end()
        kind = match.lastgroup
        if kind == "blank":
            continue
        assert kind is not None
        if kind == "word":
            _add_word(match.group(), match.start(), kinds, tokens, marks)
            continue
        tokens.append(Token(kind, match.start(), match.group()))
        marks.append(_MARKS[kind] if kind in _MARKS else match.group())
    return Spelled(" ".join(marks), tokens) if at == len(source) else None


def _add_word(word: str, start: int, kinds: Mapping[str, str], tokens: list[Token], marks: list[str]) -> None:
    """Add the declared name that a word begins with, and what follows it; or the word as part of the shape."""
    name = word
    while name not in kinds:
        name, dot, _ = name.rpartition(".")
        if not dot:
            tokens.append(Token("sign", start, word))
            marks.append(word)
            return
    tokens.append(Token("name", start, name))
    # has(now) is wrong where has(subscriber.since) is right, so how many parts a name has belongs to the shape.
    marks.append(f"<{kinds[name]}.{name.count('.')}>")
    if name != word:
        tokens.append(Token("sign", start + len(name), word[len(name) :]))
        marks.append(word[len(name) :])


def learned(tree: Node, tokens: list[Token]) -> Fit | None:
    """Return how to make a tree like this one, the tree of these tokens; None when it has parts that the tokens do not account for."""
    try:
        return _Learner(tokens).fit(tree)
    except _NotPlainError:
        return None


class _Learner:
    """Finds for every part of a tree the token that it comes from."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = {token.start: number for number, token in enumerate(tokens)}

    def token(self, offset: int) -> int:
        number = self.at.get(offset)
        if number is None:
            raise _NotPlainError
        return number

    def fit(self, node: Node) -> Fit:
        number, kind = self.token(node.offset), node.type
        if isinstance(node, Call):
            function, parts = node.function, [self.fit(argument) for argument in node.arguments]
            return lambda tokens: Call(tokens[number].start, kind, function, tuple([part(tokens) for part in parts]))
        if isinstance(node, Name):
            self.named(number, node.name)
            return lambda tokens: Name(tokens[number].start, kind, tokens[number].text)
        if isinstance(node, Has):
            name = self.token(node.start)
            self.named(name, node.name)
            return lambda tokens: Has(tokens[number].start, kind, tokens[name].text, tokens[name].start)
        if isinstance(node, Constant):
            return self.constant(node, number)
        if isinstance(node, ListOf):
            return self.list_of(node, number)
        raise _NotPlainError

    def named(self, number: int, name: str) -> None:
        if self.tokens[number][::2] != ("name", name):
            raise _NotPlainError

    def constant(self, node: Constant, number: int) -> Fit:
        kind, token = node.type, self.tokens[number]
        if token.kind == "sign" and token.text in ("true", "false", "null"):
            value = node.value
            return lambda tokens: Constant(tokens[number].start, kind, value)
        parsed = _PARSED.get(token.kind)
        if parsed is not None and _same(parsed(token.text), node.value):
            return lambda tokens: Constant(tokens[number].start, kind, parsed(tokens[number].text))
        if token.text == "-" and number + 1 < len(self.tokens):
            parsed = _PARSED.get(self.tokens[number + 1].kind)
            if parsed is not None and _same(parsed("-" + self.tokens[number + 1].text), node.value):
                return lambda tokens: Constant(tokens[number].start, kind, parsed("-" + tokens[number + 1].text))
        raise _NotPlainError

    def list_of(self, node: ListOf, number: int) -> Fit:
        kind, token = node.type, self.tokens[number]
        if token.kind not in _ITEMS:
            parts = [self.fit(element) for element in node.elements]
            return lambda tokens: ListOf(tokens[number].start, kind, tuple([part(tokens) for part in parts]))
        item = node.elements[0].type
        made = _elements(token, item)
        if len(made) != len(node.elements) or not all(map(_equal, made, node.elements)):
            raise _NotPlainError
        return lambda tokens: ListOf(tokens[number].start, kind, tuple(_elements(tokens[number], item)))


def _elements(token: Token, kind: str) -> list[Node]:
    parsed = _PARSED[_ITEMS[token.kind]]
    return [
        Constant(token.start + match.start(), kind, parsed(match.group())) for match in _ITEM.finditer(token.text)
    ]


def _equal(made: Node, node: Node) -> bool:
    return made == node and isinstance(made, Constant) and isinstance(node, Constant) and _same(made.value, node.value)


def _same(a: Literal, b: Literal) -> bool:
    """Return whether two literals are one: -0.0 is not 0.0, and 1 is not 1.0."""
    return type(a) is type(b) and repr(a) == repr(b)
