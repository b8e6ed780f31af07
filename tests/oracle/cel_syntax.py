"""A parser of the CEL subset that conditions use: tuples of an operator's name and its operands."""

import re
from functools import lru_cache
from typing import Any, Final

Tree = tuple[Any, ...]

TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<number>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?|0x[0-9a-fA-F]+|\d+)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]]))""",
    re.VERBOSE,
)
LEVELS: Final = (("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"))
ESCAPES: Final = {"n": "\n", "t": "\t", "\\": "\\", '"': '"', "'": "'", "r": "\r"}


def tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        assert match, f"no token at {at} of {text!r}"
        assert match.lastgroup
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


def unescaped(literal: str) -> str:
    def one(match: re.Match[str]) -> str:
        if match[1] or match[2]:
            return chr(int(match[1] or match[2], 16))
        return ESCAPES[match[3]]

    return re.sub(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", one, literal[1:-1])


class Parser:
    """Recursive descent over the tokens, lowest precedence first."""

    def __init__(self, text: str) -> None:
        self.tokens = [*tokens(text), ("end", "")]
        self.at = 0

    def peek(self) -> str:
        kind, text = self.tokens[self.at]
        return "" if kind == "text" else text

    def take(self, expected: str | None = None) -> tuple[str, str]:
        kind, text = self.tokens[self.at]
        assert expected is None or text == expected, f"expected {expected}, but it was {text}"
        self.at += 1
        return kind, text

    def conditional(self) -> Tree:
        condition = self.binary(0)
        if self.peek() != "?":
            return condition
        self.take()
        first = self.binary(0)
        self.take(":")
        return ("?", condition, first, self.conditional())

    def binary(self, level: int) -> Tree:
        if level == len(LEVELS):
            return self.unary()
        left = self.binary(level + 1)
        while self.peek() in LEVELS[level]:
            operator = self.take()[1]
            right = self.binary(level + 1)
            left = self.membership(left, right) if operator == "in" else (operator, left, right)
        return left

    def membership(self, left: Tree, right: Tree) -> Tree:
        if right == ("name", "subscriber.labels"):
            return ("label", left[1])
        assert right[0] == "list"
        return ("in", left, *right[1:])

    def unary(self) -> Tree:
        if self.peek() == "!":
            self.take()
            return ("!", self.unary())
        if self.peek() == "-":
            self.take()
            if self.tokens[self.at][0] == "number":
                return self.member(("literal", -self.number(self.take()[1])))
            return ("negative", self.unary())
        return self.member(self.primary())

    def number(self, text: str) -> int | float:
        if text.startswith("0x"):
            return int(text, 16)
        return int(text) if text.isdigit() else float(text)

    def primary(self) -> Tree:
        kind, text = self.take()
        if kind == "number":
            return ("literal", self.number(text))
        if kind == "text":
            return ("literal", unescaped(text))
        if text == "(":
            inner = self.conditional()
            self.take(")")
            return inner
        if text == "[":
            return ("list", *self.arguments("]"))
        if text in ("true", "false"):
            return ("literal", text == "true")
        assert kind == "name", f"unexpected {text}"
        if self.peek() != "(":
            return ("name", text)
        self.take()
        parts = self.arguments(")")
        return ("has", parts[0][1]) if text == "has" else (text, *parts)

    def member(self, tree: Tree) -> Tree:
        while self.peek() == ".":
            self.take()
            name = self.take()[1]
            if self.peek() == "(":
                self.take()
                tree = (name, tree, *self.arguments(")"))
            else:
                assert tree[0] == "name"
                tree = ("name", f"{tree[1]}.{name}")
        return tree

    def arguments(self, closing: str) -> list[Tree]:
        found: list[Tree] = []
        while self.peek() != closing:
            if found:
                self.take(",")
            found.append(self.conditional())
        self.take(closing)
        return found


@lru_cache(maxsize=1024)
def parse(text: str) -> Tree:
    """The tree of `text`, which is assumed to be in the subset."""
    parser = Parser(text)
    tree = parser.conditional()
    assert parser.take()[0] == "end", f"left over in {text!r}"
    return tree
