"""Templates: what is rendered, what is refused and where, and that no value is ever read as a template."""

import datetime
import math
import struct
import zoneinfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.catalogue.terms import ValueType
from engine.templates import (
    LENGTH_MAX,
    PARTS_MAX,
    Template,
    TemplateError,
    Variable,
    compile_template,
    fixed_text,
    format_value,
    render,
)

VARIABLES = {
    "subscriber.first_name": Variable(type=ValueType.STRING),
    "subscriber.charges": Variable(type=ValueType.DECIMAL, scale=2),
    "subscriber.vip": Variable(type=ValueType.BOOL),
    "subscriber.senior": Variable(type=ValueType.BOOL),
    "offer.name": Variable(type=ValueType.STRING, fixed="Data {{10}} GB"),
    "offer.id": Variable(type=ValueType.STRING, fixed="data_10g"),
    "campaign.id": Variable(type=ValueType.STRING, always=True),
}
EVERYTHING = {
    "subscriber.first_name": "Ana",
    "subscriber.charges": "9.90",
    "subscriber.vip": "true",
    "subscriber.senior": "false",
    "campaign.id": "topup",
}


def _render(source: str, values: dict[str, str] | None = None, length_max: int = LENGTH_MAX) -> str:
    return render(compile_template(source, VARIABLES, length_max=length_max), (values or {}).get)


@pytest.mark.parametrize(
    ("source", "full", "empty"),
    [
        ("Hello", "Hello", "Hello"),
        ("Hi {{subscriber.first_name|there}}!", "Hi Ana!", "Hi there!"),
        ("Hi{{ subscriber.first_name | }}!", "HiAna!", "Hi !"),
        ("{{subscriber.first_name|}}{{subscriber.charges|a|b}}", "Ana9.90", "a|b"),
        ("{{offer.name}} {{offer.id}}", "Data {{10}} GB data_10g", "Data {{10}} GB data_10g"),
        ("{{{{offer.id}} and }}", "{{offer.id}} and }}", "{{offer.id}} and }}"),
        ("{{#subscriber.vip}}Dear{{/subscriber.vip}} you", "Dear you", " you"),
        ("{{^subscriber.vip}}Dear{{/subscriber.vip}} you", " you", "Dear you"),
        ("{{^subscriber.senior}}young{{/subscriber.senior}}", "young", "young"),
        (
            "a{{#subscriber.vip}}b{{^subscriber.senior}}c{{offer.id}}{{/subscriber.senior}}d{{/subscriber.vip}}e",
            "abcdata_10gde",
            "ae",
        ),
        ("{{#subscriber.vip}}{{#subscriber.vip}}x{{/subscriber.vip}}{{/subscriber.vip}}y", "xy", "y"),
        ("{{#subscriber.vip}}{{/subscriber.vip}}y", "y", "y"),
        ('a & <b> "c"\n\u00a1d!', 'a & <b> "c"\n\u00a1d!', 'a & <b> "c"\n\u00a1d!'),
    ],
)
def test_rendered_with_and_without_values(source: str, full: str, empty: str) -> None:
    assert _render(source, EVERYTHING) == full
    assert _render(source) == empty


def test_value_with_braces_stays_as_it_is() -> None:
    assert _render("{{subscriber.first_name|}}", {"subscriber.first_name": "{{offer.id}}"}) == "{{offer.id}}"


@pytest.mark.parametrize(
    ("source", "line", "column", "message"),
    [
        ("", 1, 1, "expected some text, was nothing, write the message"),
        (" \n", 1, 1, "expected some text, was nothing, write the message"),
        ("Hi {{subscriber.first_nam|you}}", 1, 4, 'expected a known name, was "subscriber.first_nam", write subscriber.first_name if that is meant'),
        ("Hi {{nothing.alike|you}}", 1, 4, 'expected a known name, was "nothing.alike", declare it, or take the tag out'),
        ("Hi {{}}", 1, 4, 'expected a name like subscriber.first_name, was "", mend the tag'),
        ("{{{offer.id}}}", 1, 1, 'expected a name like subscriber.first_name, was "{offer.id", mend the tag'),
        ("{{! comment}}", 1, 1, 'expected a name like subscriber.first_name, was "! comment", mend the tag'),
        ("one\n  {{offer.id", 2, 3, "expected }} on the same line, was none, close the tag, or write {{{{ for two braces"),
        ("{{offer.id\n}}", 1, 1, "expected }} on the same line, was none, close the tag, or write {{{{ for two braces"),
        ("{{offer.id {{offer.id}}", 1, 1, "expected }} on the same line, was none, close the tag, or write {{{{ for two braces"),
        (
            "{{subscriber.first_name}}",
            1,
            1,
            "expected a stand-in, as subscriber.first_name may be missing, was without one, "
            "write what then stands there, like {{subscriber.first_name|customer}}",
        ),
        ("{{#subscriber.vip}}x", 1, 1, "expected {{/subscriber.vip}} after it, was no end, close the section"),
        ("x{{/subscriber.vip}}", 1, 2, "expected a section that is open, was {{/subscriber.vip}}, close what was opened last"),
        (
            "{{#subscriber.vip}}\n{{^subscriber.senior}}\n{{/subscriber.vip}}",
            3,
            1,
            "expected {{/subscriber.senior}} first, was {{/subscriber.vip}}, close what was opened last",
        ),
        ("{{#subscriber.charges}}", 1, 1, "expected a bool, as subscriber.charges opens a section, was decimal, show it with {{subscriber.charges|}} instead"),
        ("{{#subscriber.vip|x}}", 1, 1, "expected no | in a section's tag, was one, take it out"),
    ],
)  # fmt: skip
def test_mistake_refused_at_its_place(source: str, line: int, column: int, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compile_template(source, VARIABLES)
    assert (caught.value.line, caught.value.column, caught.value.message) == (line, column, message)


def test_too_long_before_any_value_refused() -> None:
    assert _render("12345{{subscriber.first_name|}}", length_max=5) == "12345"
    with pytest.raises(TemplateError, match=r"1:1: expected at most 4 characters, was 5 before any value, shorten it"):
        compile_template("12345{{subscriber.first_name|}}", VARIABLES, length_max=4)


def test_longer_output_cut() -> None:
    assert _render("{{subscriber.first_name|}}!", {"subscriber.first_name": "x" * 100}, length_max=10) == "x" * 10


def test_too_many_parts_refused() -> None:
    compile_template("{{campaign.id}}" * PARTS_MAX, VARIABLES)
    with pytest.raises(TemplateError, match="expected at most 1,000 tags and texts"):
        compile_template("{{campaign.id}}" * (PARTS_MAX + 1), VARIABLES)


def test_constant_only_without_lookups() -> None:
    fixed = compile_template("{{{{ {{offer.name}} as {{offer.id}}", VARIABLES)
    assert (fixed.constant, fixed.variables, len(fixed.parts)) == ("{{ Data {{10}} GB as data_10g", (), 1)
    live = compile_template("{{#subscriber.vip}}{{campaign.id}}{{/subscriber.vip}}{{subscriber.vip|}}", VARIABLES)
    assert (live.constant, live.variables) == (None, ("campaign.id", "subscriber.vip"))


def test_goes_through_msgpack_unchanged() -> None:
    template = compile_template("{{#subscriber.vip}}{{campaign.id}}!{{/subscriber.vip}}", VARIABLES, length_max=50)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(template), type=Template)
    assert again == template
    assert render(again, EVERYTHING.get) == "topup!"


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="{}#^/|. \nabsubscriber.vipoffer.id", max_size=60))
def test_any_text_compiles_or_is_refused_inside_it(source: str) -> None:
    mistake: TemplateError | None = None
    try:
        assert len(_render(source, EVERYTHING)) <= LENGTH_MAX
    except TemplateError as error:
        mistake = error
    if mistake is not None:
        lines = source.split("\n")
        assert 1 <= mistake.line <= len(lines)
        assert 1 <= mistake.column <= len(lines[mistake.line - 1]) + 1
    elif "{{" not in source:
        assert _render(source) == source


def _bits(value: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", value))[0])


@pytest.mark.parametrize(
    ("type_", "value", "nanos", "scale", "text"),
    [
        (ValueType.BOOL, 1, 0, 0, "true"),
        (ValueType.BOOL, 0, 0, 0, "false"),
        (ValueType.INT, -1_200_000, 0, 0, "-1200000"),
        (ValueType.DECIMAL, 990, 0, 2, "9.90"),
        (ValueType.DECIMAL, -5, 0, 2, "-0.05"),
        (ValueType.DECIMAL, 0, 0, 3, "0.000"),
        (ValueType.DECIMAL, 42, 0, 0, "42"),
        (ValueType.DOUBLE, _bits(900.0), 0, 0, "900"),
        (ValueType.DOUBLE, _bits(0.1), 0, 0, "0.1"),
        (ValueType.DOUBLE, _bits(-2.5e-7), 0, 0, "-2.5e-07"),
        (ValueType.DOUBLE, _bits(math.inf), 0, 0, "inf"),
        (ValueType.TIMESTAMP, 1_767_225_600, 0, 0, "2026-01-01"),
        (ValueType.TIMESTAMP, -1, 999_999_999, 0, "1969-12-31"),
        (ValueType.DURATION, 0, 5, 0, "0s"),
        (ValueType.DURATION, 5_400, 0, 0, "1h30m"),
        (ValueType.DURATION, 90_061, 0, 0, "1d1h1m1s"),
        (ValueType.DURATION, -61, 0, 0, "-1m1s"),
        (ValueType.DURATION, -61, 1, 0, "-1m"),
        (ValueType.TIMESTAMP, 1 << 62, 0, 0, str(1 << 62)),
    ],
)
def test_value_formatted(type_: ValueType, value: int, nanos: int, scale: int, text: str) -> None:
    assert format_value(type_, value, nanos, scale) == text


def test_timestamp_formatted_in_zone() -> None:
    zone: datetime.tzinfo = zoneinfo.ZoneInfo("America/Chicago")
    assert format_value(ValueType.TIMESTAMP, 1_767_225_600, zone=zone) == "2025-12-31"


PIECES = ("{{offer.id}}", "{{ offer.name |x}}", "{{offer.name|}}", "{{campaign.id}}", "{{subscriber.first_name|a}}")
SOURCES = st.lists(st.sampled_from([*PIECES, "{{{{", "{", "}", "}}", "words", " ", "\n", "♫"]), min_size=1, max_size=8)


@given(SOURCES, st.integers(1, 30))
@settings(max_examples=300, deadline=None)
def test_fixed_text_is_what_compiling_and_rendering_give(pieces: list[str], length_max: int) -> None:
    source = "".join(pieces)
    fixed = {"offer.id": "{{offer.name}}", "offer.name": "N", "campaign.id": "c"}
    variables = {
        **{name: Variable(type=ValueType.STRING, fixed=text) for name, text in fixed.items()},
        "subscriber.first_name": Variable(type=ValueType.STRING),
    }
    try:
        template = compile_template(source, variables, length_max=length_max)
    except TemplateError:
        return
    text = fixed_text(source, fixed, length_max=length_max)
    assert text == (None if template.variables or "{{{{" in source else template.constant)


def test_fixed_text_leaves_alone_what_may_say_more() -> None:
    assert fixed_text("{{offer.id}}!", {"offer.id": "a"}) == "a!"
    for source in ("{{subscriber.first_name|}}", "{{#subscriber.vip}}x{{/subscriber.vip}}", "{{{{offer.id}}", "{{"):
        assert fixed_text(source, {"offer.id": "a"}) is None
