"""Decision ids go there and back, forgive how people type, and cannot be mistyped or made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.decision_id import DecisionIds, DecisionName

IDS = DecisionIds(b"0123456789abcdef", 7)


@given(st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_an_id_says_what_was_written(sequence: int, subscriber: int) -> None:
    text = IDS.write(sequence, subscriber)
    assert IDS.read(text) == DecisionName(7, sequence, subscriber)
    assert IDS.read(text.lower()) == IDS.read(text.upper().replace("0", "O").replace("1", "L")) == IDS.read(text)
    assert text.startswith("s7-")
    assert len(text) <= 64


@given(st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1), st.data())
def test_a_mistyped_id_is_refused(sequence: int, subscriber: int, data: st.DataObject) -> None:
    text = IDS.write(sequence, subscriber).upper()
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from([c for c in "0123456789ABCDEFGHJKMNPQRSTVWXYZ-!" if c != text[at]]))
    with pytest.raises(ValueError, match="decision id"):
        IDS.read(text[:at] + other + text[at + 1 :])


@pytest.mark.parametrize(
    "text", ["", "s7", "s7-1-2-3", "x" * 65, "s99999-1-0000000000000-00000000", "ß" * 30, "s7-1\n"]
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="decision id"):
        IDS.read(text)


def test_an_id_of_another_installation_is_refused() -> None:
    with pytest.raises(ValueError, match="another installation"):
        IDS.read(DecisionIds(b"another secret!!", 7).write(1, 2))
