"""Trigger fields as typed by a person."""

from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st
from touchpoint.v1.value_pb2 import Value

from clients.fields import parse_duration, parse_field, parse_instant


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("night=true", "night", Value(bool_value=True)),
        ("days=30", "days", Value(int_value=30)),
        ("days=-30", "days", Value(int_value=-30)),
        ("used_mb=950.5", "used_mb", Value(double_value=950.5)),
        ("used_mb=1e3", "used_mb", Value(double_value=1000.0)),
        ("used_mb:double=950", "used_mb", Value(double_value=950.0)),
        ("app=video", "app", Value(string_value="video")),
        ("app:string=12", "app", Value(string_value="12")),
        ("app=a=b", "app", Value(string_value="a=b")),
        ("app=", "app", Value(string_value="")),
        ("stayed:duration=1h30m", "stayed", Value(duration_value=Duration(seconds=5400))),
        ("big=999999999999999999999", "big", Value(double_value=1e21)),
    ],
)
def test_field_of_each_type(text: str, name: str, value: Value) -> None:
    assert parse_field(text) == (name, value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "=1",
        "a:int=x",
        "a:bool=yes",
        "a:wide=1",
        "a:timestamp=2026-01-01T00:00:00",
        "a:duration=",
        "a:int=1e3",
    ],
)
def test_field_that_is_not_one(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_field(text)


def test_int_past_64_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a int"):
        parse_field("a:int=9223372036854775808")


@given(days=st.integers(0, 999), hours=st.integers(0, 99), minutes=st.integers(0, 99), seconds=st.integers(0, 99))
def test_duration_is_the_sum_of_its_parts(days: int, hours: int, minutes: int, seconds: int) -> None:
    expected = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    assert parse_duration(f"{days}d{hours}h{minutes}m{seconds}s") == expected


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_an_instant_beyond_all_years_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match="beyond the years"):
        parse_instant(text)


def test_a_value_that_is_no_text_is_told_as_one() -> None:
    with pytest.raises(ValueError, match="a: expected a value, was"):
        parse_field("a=\udcff")
