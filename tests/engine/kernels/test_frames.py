"""Frames and their checksum, beside plain Python and the published check values."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.jit import frozen
from engine.kernels.crc32c import crc32c
from engine.kernels.frames import DAMAGED, HEADER_BYTES, NOT_WHOLE, OUT_OF_TURN, frame_end, seal_frame


def plain_crc32c(data: bytes) -> int:
    """RFC 3720, appendix B.4: the polynomial 0x11EDC6F41, bits reflected, from all ones, inverted at the end."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def plain_frame(sequence: int, record: bytes) -> bytes:
    rest = struct.pack("<IQ", len(record), sequence) + record
    return struct.pack("<I", plain_crc32c(rest)) + rest


def plain_frame_end(data: bytes, start: int, sequence: int) -> int:
    if start + HEADER_BYTES > len(data):
        return NOT_WHOLE
    crc, length, number = struct.unpack_from("<IIQ", data, start)
    end = start + HEADER_BYTES + length
    if end > len(data):
        return NOT_WHOLE
    if plain_crc32c(data[start + 4 : end]) != crc:
        return DAMAGED
    return end if number == sequence else OUT_OF_TURN


def array(data: bytes) -> np.ndarray:
    return frozen(np.frombuffer(data, np.uint8))


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_crc32c_of_the_published_examples(data: bytes, crc: int) -> None:
    assert crc32c(array(data), 0, len(data)) == crc == plain_crc32c(data)


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 200))
def test_crc32c_of_any_part(data: bytes, one: int, other: int) -> None:
    start, stop = sorted((min(one, len(data)), min(other, len(data))))
    assert crc32c(array(data), start, stop) == plain_crc32c(data[start:stop])


@given(st.binary(max_size=60), st.binary(max_size=100), st.integers(0, 2**63 - 1), st.integers(0, 20))
def test_seal_frame_and_frame_end(before: bytes, record: bytes, sequence: int, cut: int) -> None:
    buffer = np.frombuffer(bytearray(before + bytes(HEADER_BYTES) + record), np.uint8)
    seal_frame(buffer, len(before), len(buffer), sequence)
    assert buffer.tobytes() == before + plain_frame(sequence, record)
    data = buffer.tobytes()[: len(buffer) - min(cut, len(buffer))]
    for number in (sequence, sequence ^ 1):
        assert frame_end(array(data), len(before), number) == plain_frame_end(data, len(before), number)


@given(st.binary(max_size=40), st.data())
def test_frame_end_of_a_damaged_frame(record: bytes, data: st.DataObject) -> None:
    frame = bytearray(plain_frame(7, record))
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    frame[bit // 8] ^= 1 << bit % 8
    found = frame_end(array(bytes(frame)), 0, 7)
    assert found == plain_frame_end(bytes(frame), 0, 7)
    assert found < 0
