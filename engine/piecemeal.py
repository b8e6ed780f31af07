"""Large structs in MessagePack, an item of their lists at a time: neither encoding nor decoding holds the interpreter for long.

What is taken apart are structs whose fields are tuples of structs or of tuples, as deep as such structs lie within each other.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec

from engine.breathing import breathe

T = TypeVar("T", bound=msgspec.Struct)
_ENCODER: Final = msgspec.msgpack.Encoder(order="deterministic")


def decoded(data: bytes | memoryview | msgspec.Raw, kind: type[T]) -> T:
    """Return what msgspec.msgpack.decode makes of a struct's bytes; raises msgspec.ValidationError."""
    loose = _decoder(_loose(kind)).decode(data)
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        breathe()
        value, item = getattr(loose, field.name), _item_type(field.type)
        if item is not None and isinstance(value, list):
            value = tuple(_items(value, _decoder(item)))
        elif isinstance(value, msgspec.Raw):
            value = decoded(value, field.type)
        values[field.name] = value
    return kind(**values)


def encoded(value: msgspec.Struct) -> Iterator[bytes]:
    """Yield, one after the other, the parts of what msgspec.msgpack.encode makes of a struct with order="deterministic"."""
    fields = msgspec.structs.fields(type(value))
    yield _head(0x80, 0xDE, len(fields))
    for field in fields:
        part = getattr(value, field.name)
        yield _ENCODER.encode(field.name)
        if _is_apart(field.type):
            yield from encoded(part)
        elif _item_type(field.type) is not None:
            yield _head(0x90, 0xDC, len(part))
            yield from map(_ENCODER.encode, part)
        else:
            yield _ENCODER.encode(part)


def _items(items: list[msgspec.Raw], decoder: "msgspec.msgpack.Decoder[Any]") -> Iterator[Any]:
    for item in items:
        yield decoder.decode(item)
        breathe()


def _head(small: int, large: int, count: int) -> bytes:
    """Return how a map or an array of so many begins: in its first byte below 16, else behind it in 16 or 32 bits."""
    if count < 16:
        return bytes([small | count])
    return (
        bytes([large]) + count.to_bytes(2, "big") if count < 1 << 16 else bytes([large + 1]) + count.to_bytes(4, "big")
    )


@lru_cache(maxsize=64)
def _decoder(kind: Any) -> "msgspec.msgpack.Decoder[Any]":
    return msgspec.msgpack.Decoder(kind)


def _item_type(kind: Any) -> Any:
    """Return the type of a long list's items, None for what is none."""
    if get_origin(kind) is not tuple:
        return None
    item, *rest = get_args(kind)
    long = rest == [...] and (get_origin(item) is tuple or _is_struct(item))
    return item if long else None


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


@lru_cache(maxsize=64)
def _is_apart(kind: Any) -> bool:
    """Return whether a type is a struct that is taken apart."""
    if not _is_struct(kind) or kind.__struct_config__.array_like:
        return False
    return any(_item_type(field.type) is not None or _is_apart(field.type) for field in msgspec.structs.fields(kind))


@lru_cache(maxsize=64)
def _loose(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return a struct with the same fields, whose long lists and structs within are left as they came."""
    config = kind.__struct_config__
    assert not config.omit_defaults, kind
    assert not config.array_like, kind
    assert config.tag is None, kind
    fields = []
    for field in msgspec.structs.fields(kind):
        type_ = field.type
        if _item_type(type_) is not None:
            type_ = list[msgspec.Raw]
        elif _is_apart(type_):
            type_ = msgspec.Raw
        default = {} if field.required else {"default": field.default}
        fields.append((field.name, type_, msgspec.field(**default)))
    return msgspec.defstruct(
        f"Loose{kind.__name__}", fields, kw_only=True, forbid_unknown_fields=config.forbid_unknown_fields
    )
