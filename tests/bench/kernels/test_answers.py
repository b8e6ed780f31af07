"""Answers checked by the kernel as protobuf's own parser reads them, whole and damaged."""

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from touchpoint.v1 import decision_service_pb2 as pb

from bench.kernels.answers import NO_OFFER, OFFER, WRONG, check_decision
from engine.jit import frozen

REQUEST = 0xFEDC_BA98_7654_3210


def checked(message: bytes) -> tuple[int, int]:
    """Return the kernel's verdict and the digest that it left."""
    left = np.zeros(2, np.uint64)
    padded = frozen(np.frombuffer(b"\x01\x02" + message + b"\x03", np.uint8))
    with np.errstate(over="ignore"):
        said = check_decision(padded, 2, 2 + len(message), np.uint64(REQUEST), left, 1)
    assert left[0] == 0
    return int(said), int(left[1])


def expected(message: bytes) -> int:
    """The kernel's twin: what protobuf reads."""
    try:
        answer = pb.DecideResponse.FromString(message)
    except DecodeError:
        return WRONG
    if answer.request_id != f"{REQUEST:016x}":
        return WRONG
    return OFFER if answer.offers and answer.decision_id else NO_OFFER


def random_answer(rng: np.random.Generator) -> pb.DecideResponse:
    answer = pb.DecideResponse(
        rulebook_generation=int(rng.integers(1 << 40)), base_version="v" * int(rng.integers(300))
    )
    if rng.random() < 0.9:
        answer.request_id = f"{REQUEST:016x}"
    if rng.random() < 0.8:
        answer.decision_id = "s0-" + str(rng.integers(1 << 60))
    for rank in range(int(rng.integers(0, 4))):
        answer.offers.add(rank=rank + 1, score=float(rng.random()), content="ñ" * int(rng.integers(200)))
    answer.decided_at.seconds = int(rng.integers(1 << 33))
    return answer


def test_whole_answers_are_read_as_protobuf_reads_them() -> None:
    rng = np.random.default_rng(1)
    met = set()
    for _ in range(300):
        message = random_answer(rng).SerializeToString()
        said, digest = checked(message)
        assert said == expected(message)
        assert (digest != 0) == bool(pb.DecideResponse.FromString(message).decision_id) or said == WRONG
        met.add(said)
    assert met == {OFFER, NO_OFFER, WRONG}


def test_damaged_answers_are_never_taken_for_better_than_they_are() -> None:
    """Cut anywhere, or with a byte changed in the part that has structure: the kernel says no more than protobuf does, and reads nothing beyond."""
    rng = np.random.default_rng(2)
    for _ in range(100):
        message = bytearray(random_answer(rng).SerializeToString())
        cut = bytes(message[: int(rng.integers(len(message)))])
        assert checked(cut)[0] <= max(expected(cut), NO_OFFER)
        if expected(cut) == WRONG and not cut.startswith(b"\x0a\x10" + f"{REQUEST:016x}".encode()):
            assert checked(cut)[0] == WRONG
        message[int(rng.integers(2))] ^= 1 << int(rng.integers(8))
        assert checked(bytes(message))[0] in (OFFER, NO_OFFER, WRONG)


def test_digests_tell_decision_ids_apart() -> None:
    digests = set()
    for number in range(2_000):
        answer = pb.DecideResponse(request_id=f"{REQUEST:016x}", decision_id=f"s0-{number}-0G{number % 7}")
        digests.add(checked(answer.SerializeToString())[1])
    assert len(digests) == 2_000


@pytest.mark.parametrize(
    "message",
    [b"\x0a", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x0b", b"\x09\x00", b"\x0d\x00\x00", b"\xff" * 11],
)
def test_malformed_fields_are_wrong(message: bytes) -> None:
    assert checked(message) == (WRONG, 0)
