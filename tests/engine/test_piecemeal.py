"""Structs an item at a time are what msgspec makes of them at once."""

import msgspec
import pytest

from engine.breathing import breathing
from engine.piecemeal import decoded, encoded


class Leaf(msgspec.Struct, frozen=True, omit_defaults=True):
    """Taken whole."""

    name: str
    size: int = 0
    by_language: dict[str, str] = {}


class Inner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Taken apart."""

    leaves: tuple[Leaf, ...] = ()
    one: Leaf = Leaf("one")


class Outer(msgspec.Struct, frozen=True, kw_only=True):
    """Taken apart, with one that is within."""

    number: int
    inner: Inner
    spare: Inner = Inner()
    words: tuple[tuple[str, ...], ...] = ()
    numbers: tuple[int, ...] = ()


def outer(leaves: int) -> Outer:
    made = tuple(Leaf(f"leaf {n}", n, {"es": "b", "en": "a"}) for n in range(leaves))
    return Outer(number=7, inner=Inner(leaves=made), words=(("a", "b"), ()), numbers=(1, 2, 3))


@pytest.mark.parametrize("leaves", [0, 1, 15, 16, 70_000])
def test_parts_are_the_whole(leaves: int) -> None:
    value = outer(leaves)
    assert b"".join(encoded(value)) == msgspec.msgpack.encode(value, order="deterministic")
    assert decoded(msgspec.msgpack.encode(value), Outer) == value


def test_what_is_left_out_has_its_default() -> None:
    data = msgspec.msgpack.encode({"number": 7, "inner": {}})
    assert decoded(data, Outer) == Outer(number=7, inner=Inner()) == msgspec.msgpack.decode(data, type=Outer)


@pytest.mark.parametrize(
    "value",
    [
        {"inner": {}},
        {"number": "seven", "inner": {}},
        {"number": 7, "inner": {"leaves": [{"name": 1}]}},
        {"number": 7, "inner": {"more": 1}},
        {"number": 7, "inner": {}, "words": [[1]]},
        {"number": 7, "inner": {}, "numbers": ["1"]},
    ],
)
def test_what_does_not_fit_is_refused(value: object) -> None:
    data = msgspec.msgpack.encode(value)
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(data, type=Outer)
    with pytest.raises(msgspec.ValidationError):
        decoded(data, Outer)


def test_a_breath_for_each_item() -> None:
    breaths = []
    with breathing(lambda: breaths.append(1)):
        decoded(msgspec.msgpack.encode(outer(500)), Outer)
    assert len(breaths) >= 500
