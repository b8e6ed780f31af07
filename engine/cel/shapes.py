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
    rf"""{_BLANK}*(?:(?P<word>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*(?!["']))
    |(?P<text>(?:{_TEXT})(?!["']))|(?P<float>{_FLOAT}{_ENDS})|(?P<whole>{_WHOLE}{_ENDS})
    |(?P<texts>{_list_of(_TEXT)})|(?P<floats>{_list_of(_FLOAT)})|(?P<wholes>{_list_of(_WHOLE)})
    |(?P<sign>&&|\|\||[=!<>]=|/(?!/)|\.(?!\d)|[-<>!+*%?:()\[\],])){_BLANK}*""",
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

Token = tuple[str, int, str]
"""A piece of a text: its kind (`name` for a declared name, `sign` for what is part of the shape itself), where it starts, and its text."""


class Spelled(NamedTuple):
    """A text's shape, and the tokens that fill it."""

    shape: str
    tokens: list[Token]


class Words:
    """How the words of conditions are read, given the type of each declared name."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds
        self._read: dict[str, tuple[str, str]] = {}

    def read(self, word: str) -> tuple[str, str]:
        """Return (the declared name that the word begins with, or "", and what the word is in a shape)."""
        known = self._read.get(word)
        if known is None:
            known = self._look_up(word)
            if len(self._read) < SHAPES_MAX:
                self._read[word] = known
        return known

    def _look_up(self, word: str) -> tuple[str, str]:
        name = word
        while name not in self._kinds:
            name, dot, _ = name.rpartition(".")
            if not dot:
                return "", word
        # has(now) is wrong where has(subscriber.since) is right, so how many parts a name has belongs to the shape.
        return name, f"<{self._kinds[name]}.{name.count('.')}>{word[len(name) :]}"


def spelled(source: str, words: Words) -> Spelled | None:
    """Return the shape of a text and its tokens; None when it is not of plain forms throughout."""
    if len(source) > SOURCE_CHARS_MAX:
        return None
    tokens: list[Token] = []
    marks: list[str] = []
    following = _TOKEN.scanner(source).match  # type: ignore[attr-defined]
    end = 0
    while (match := following()) is not None:
        kind: str = match.lastgroup
        text: str = match[kind]
        start: int = match.start(kind)
        end = match.end()
        if kind == "sign":
            tokens.append((kind, start, text))
            marks.append(text)
        elif kind != "word":
            tokens.append((kind, start, text))
            marks.append(_MARKS[kind])
        else:
            name, mark = words.read(text)
            marks.append(mark)
            if name:
                tokens.append(("name", start, name))
            if name != text:
                tokens.append(("sign", start + len(name), text[len(name) :]))
    return Spelled(" ".join(marks), tokens) if end == len(source) else None


Fit = Callable[[list[Token]], Node]
"""Makes the tree of a text of the shape from its tokens."""


class _NotPlainError(Exception):
    """The tree has a part that the tokens do not account for."""


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
        self.at = {token[1]: number for number, token in enumerate(tokens)}

    def token(self, offset: int) -> int:
        number = self.at.get(offset)
        if number is None:
            raise _NotPlainError
        return number

    def fit(self, node: Node) -> Fit:
        number, kind = self.token(node.offset), node.type
        if isinstance(node, Call):
            function, parts = node.function, [self.fit(argument) for argument in node.arguments]
            return lambda tokens: Call(tokens[number][1], kind, function, tuple([part(tokens) for part in parts]))
        if isinstance(node, Name):
            self.named(number, node.name)
            return lambda tokens: Name(tokens[number][1], kind, tokens[number][2])
        if isinstance(node, Has):
            name = self.token(node.start)
            self.named(name, node.name)
            return lambda tokens: Has(tokens[number][1], kind, tokens[name][2], tokens[name][1])
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
        if token[0] == "sign" and token[2] in ("true", "false", "null"):
            value = node.value
            return lambda tokens: Constant(tokens[number][1], kind, value)
        parsed = _PARSED.get(token[0])
        if parsed is not None and _same(parsed(token[2]), node.value):
            return lambda tokens: Constant(tokens[number][1], kind, parsed(tokens[number][2]))
        if token[2] == "-" and number + 1 < len(self.tokens):
            negated = _PARSED.get(self.tokens[number + 1][0])
            if negated is not None and _same(negated("-" + self.tokens[number + 1][2]), node.value):
                return lambda tokens: Constant(tokens[number][1], kind, negated("-" + tokens[number + 1][2]))
        raise _NotPlainError

    def list_of(self, node: ListOf, number: int) -> Fit:
        kind, token = node.type, self.tokens[number]
        if token[0] not in _ITEMS:
            parts = [self.fit(element) for element in node.elements]
            return lambda tokens: ListOf(tokens[number][1], kind, tuple([part(tokens) for part in parts]))
        item = node.elements[0].type
        made = _elements(token, item)
        if len(made) != len(node.elements) or not all(map(_equal, made, node.elements)):
            raise _NotPlainError
        return lambda tokens: ListOf(tokens[number][1], kind, tuple(_elements(tokens[number], item)))


def _elements(token: Token, kind: str) -> list[Node]:
    parsed = _PARSED[_ITEMS[token[0]]]
    return [Constant(token[1] + match.start(), kind, parsed(match.group())) for match in _ITEM.finditer(token[2])]


def _equal(made: Node, node: Node) -> bool:
    return made == node and isinstance(made, Constant) and isinstance(node, Constant) and _same(made.value, node.value)


def _same(a: Literal, b: Literal) -> bool:
    """Return whether two literals are one: -0.0 is not 0.0, and 1 is not 1.0."""
    return type(a) is type(b) and repr(a) == repr(b)
