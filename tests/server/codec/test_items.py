"""A batch message's items are found where they lie, and nothing beyond its end is read."""

import random

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from touchpoint.v1 import decision_service_pb2 as pb

from server import framing
from server.codec.items import Items, items_in, items_of
from server.codec.kernels.spans import NO_SPANS, item_spans
from server.failure import RefusedError

ITEMS = st.lists(st.binary(max_size=300), max_size=12)
LONG = b"x" * 70_000


def encoded(items: list[bytes]) -> bytes:
    """Return the message as the wire format has it: tag, length, item."""
    out = bytearray()
    for item in items:
        out.append(0x0A)
        size = len(item)
        while size >= 0x80:
            out.append(size & 0x7F | 0x80)
            size >>= 7
        out += bytes([size]) + item
    return bytes(out)


def listed(items: Items) -> list[bytes]:
    return [items.payload(item) for item in range(len(items))]


def twin(message: bytes) -> list[bytes] | None:
    """Return the items as protobuf's own parser finds them; None when it refuses the message."""
    try:
        return list(framing._TWINS["DecideBatchRequest"].FromString(message).items)
    except DecodeError:
        return None


@given(ITEMS)
@settings(max_examples=100, deadline=None)
def test_items_are_found_where_they_lie(items: list[bytes]) -> None:
    found = items_in(encoded(items))
    assert found is not None
    assert listed(found) == items
    assert listed(items_of(items)) == items


@given(ITEMS, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_what_is_found_in_a_spoilt_message_is_what_protobuf_finds(items: list[bytes], rng: random.Random) -> None:
    message = bytearray(encoded(items))
    for _ in range(rng.randint(1, 3)):
        match rng.randrange(3):
            case 0 if message:
                message[rng.randrange(len(message))] = rng.randrange(256)
            case 1:
                del message[rng.randint(0, len(message)) :]
            case _:
                message.insert(rng.randint(0, len(message)), rng.randrange(256))
    found = items_in(bytes(message))
    assert found is None or listed(found) == twin(bytes(message))


@pytest.mark.parametrize("message", [b"\x0a", b"\x0a\x80", b"\x0a\x01", b"\x0a\xff\xff\xff\xff\x0f", b"\x0b", b"\x00"])
def test_a_malformed_message_is_odd_and_refused(message: bytes) -> None:
    assert items_in(message) is None
    with pytest.raises(RefusedError, match="DecideBatchRequest"):
        framing.batch_items(message)


@pytest.mark.parametrize(
    "message", [b"\x10\x05\x0a\x01x", b"\x0a\x81\x00x", b"\x0a\x81\x80\x80\x80\x00x", b"\x8a\x00\x01x"]
)
def test_rare_forms_give_the_same_items(message: bytes) -> None:
    """An unknown field; a length or a tag that is padded."""
    assert listed(framing.batch_items(message)) == [b"x"] == twin(message)


def test_items_beyond_the_arrays_are_counted() -> None:
    message = np.frombuffer(encoded([b"a"] * 9), np.uint8)
    item_at, item_bytes = np.full(6, -1, np.int64), np.full(6, -1, np.int32)
    assert item_spans(message, item_at[:5], item_bytes[:5]) == 9
    assert item_at.tolist() == [2, 5, 8, 11, 14, -1]
    assert item_bytes.tolist() == [1, 1, 1, 1, 1, -1]
    assert item_spans(message[:-1], item_at, item_bytes) == NO_SPANS
    many = items_in(encoded([LONG, b""] * 400))
    assert many is not None
    assert listed(many) == [LONG, b""] * 400


def test_pieces_follow_each_other() -> None:
    items = [pb.DecideRequest(request_id=f"r{n}").SerializeToString() for n in range(10)]
    pieces = list(items_of(items).pieces(4))
    assert [len(piece) for piece in pieces] == [4, 4, 2]
    assert [payload for piece in pieces for payload in listed(piece)] == items
