"""Who was silent, as one that listens knows."""

from server.shared.silence import LISTENED_S_MAX, SILENT_S, Silence

BEAT_S = 4.0
assert BEAT_S < LISTENED_S_MAX


def beats(silence: Silence, count: int, from_s: float, *replicas: bytes) -> list[tuple[bytes, bytes]]:
    """Hear the same so often; return who was silent for too long at the end."""
    for number in range(count):
        silent = silence.heard(list(replicas), from_s + number * BEAT_S)
    return silent


LONG = int(SILENT_S / BEAT_S) + 2


def test_who_says_nothing_new_for_an_hour_is_silent_for_too_long() -> None:
    silence = Silence()
    assert beats(silence, LONG - 2, 1e6, b"1", b"a 5 0", b"2", b"b 6 0") == []
    assert beats(silence, 4, 1e6 + LONG * BEAT_S, b"1", b"a 5 0", b"2", b"b 7 0") == [(b"1", b"a 5 0")]


def test_who_speaks_or_goes_and_comes_is_heard_anew() -> None:
    silence = Silence()
    assert beats(silence, LONG - 2, 1e6, b"1", b"a 5 0") == []
    assert beats(silence, 1, 2e6, b"1", b"a 6 0") == []
    assert beats(silence, LONG - 2, 2e6, b"1", b"a 6 0") == []
    assert beats(silence, 1, 3e6) == []
    assert beats(silence, LONG - 2, 3e6, b"1", b"a 6 0") == []


def test_time_in_which_nobody_listened_says_little() -> None:
    silence = Silence()
    for hours in range(100):
        assert silence.heard([b"1", b"a 5 0"], 1e6 + 3600.0 * hours) == []
