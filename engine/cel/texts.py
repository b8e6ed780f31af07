"""Functions of one string: the part of a condition that depends on a single string slot, tabulated over the slot's dictionary when bound."""

from typing import Final

import msgspec

Result = bool | int | str


class TextValue(msgspec.Struct, frozen=True, tag="value"):
    """The string itself."""


class TextConstant(msgspec.Struct, frozen=True, tag="constant"):
    """A string literal."""

    text: str


class TextCall(msgspec.Struct, frozen=True, tag="call"):
    """A function by its CEL name, of strings."""

    function: str
    arguments: tuple["TextValue | TextConstant | TextCall", ...]


class TextFunction(msgspec.Struct, frozen=True):
    """What to tabulate for `slot` (ZONE_SLOT: the names of zones)."""

    slot: int
    tree: TextValue | TextConstant | TextCall


TEXT_FUNCTIONS: Final = frozenset(
    {"startsWith", "endsWith", "contains", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in", "size", "_+_"}
)
"""Functions of strings; `size` gives an int, `_+_` a string, the others a bool."""


def evaluate_text(tree: TextValue | TextConstant | TextCall, value: str) -> Result:
    """Return what the function gives for `value`; strings compare by code point, as CEL has it."""
    if isinstance(tree, TextValue):
        return value
    if isinstance(tree, TextConstant):
        return tree.text
    arguments = [evaluate_text(argument, value) for argument in tree.arguments]
    if tree.function == "size":
        return len(_text(arguments[0]))
    if tree.function == "_+_":
        return _text(arguments[0]) + _text(arguments[1])
    if tree.function == "@in":
        return arguments[0] in arguments[1:]
    return _test(tree.function, _text(arguments[0]), _text(arguments[1]))


def _text(value: Result) -> str:
    assert isinstance(value, str)
    return value


def _test(function: str, a: str, b: str) -> bool:
    match function:
        case "startsWith":
            return a.startswith(b)
        case "endsWith":
            return a.endswith(b)
        case "contains":
            return b in a
        case "_==_" | "_!=_":
            return (a == b) == (function == "_==_")
        case "_<_" | "_>=_":
            return (a < b) == (function == "_<_")
        case _:
            assert function in ("_<=_", "_>_")
            return (a <= b) == (function == "_<=_")
