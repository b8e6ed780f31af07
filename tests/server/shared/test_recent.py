"""What is kept to be asserted is bounded by time and by bytes."""

import pytest

from server.shared import recent
from server.shared.recent import Recent


def test_what_is_too_old_or_too_much_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1_000.0
    monkeypatch.setattr("server.shared.recent.time.monotonic", lambda: now_s)
    kept = Recent()
    for number in range(70):
        now_s = 1_000.0 + number
        kept.add("assert_contacts", number, 1, b"x")
    assert [each.subscriber for each in kept.all()] == list(range(9, 70))
    now_s += 30
    assert [each.subscriber for each in kept.all()] == list(range(39, 70))
    monkeypatch.setattr(recent, "KEPT_BYTES_MAX", 1_000)
    kept.add("assert_contacts", 100, 1, b"x" * 500)
    assert [each.subscriber for each in kept.all()] == [69, 100]
    kept.add("assert_contacts", 101, 1, b"x" * 5_000)
    assert kept.all() == [], "what alone is too much is not kept; nor does it stop anything"
    kept.add("assert_contacts", 102, 1, b"x")
    assert [each.subscriber for each in kept.all()] == [102]
