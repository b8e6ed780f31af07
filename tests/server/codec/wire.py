"""Protobuf's wire format written by hand, for what no well-behaved client writes."""


def varint(number: int, padding: int = 0) -> bytes:
    """Return a number as 64 bits, with so many needless bytes."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    for _ in range(padding):
        out[-1] |= 0x80
        out.append(0)
    return bytes(out)


def tag(number: int, kind: int) -> bytes:
    return varint(number << 3 | kind)


def number_field(number: int, value: int, padding: int = 0) -> bytes:
    return tag(number, 0) + varint(value, padding)


def text_field(number: int, value: bytes, padding: int = 0) -> bytes:
    return tag(number, 2) + varint(len(value), padding) + value


def double_field(number: int, value: bytes) -> bytes:
    return tag(number, 1) + value


def group(number: int, inside: bytes) -> bytes:
    return tag(number, 3) + inside + tag(number, 4)
