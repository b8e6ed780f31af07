"""Columns of a file become typed numpy columns: exact or marked bad, a column at a time; Python sees a cell only when it is odd.

The texts of a type: int and decimal `[+-]digits[.digits]`; double also with an exponent; bool the mapping's words; timestamp RFC 3339
with a zone, or a date (midnight UTC); duration `1h30m` or `90s`.
"""

import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from engine.base.layout import value_limits
from engine.base.schema import AttributeSpec
from engine.base.values import expected
from engine.catalogue.model import INT64_MAX
from engine.catalogue.terms import ValueType
from engine.jit import frozen
from engine.kernels.base_text import parse_numbers
from engine.limits import STRING_FIELD_BYTES_MAX

_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_SPAN: Final = re.compile(
    r"-?(?=\d)(?:(\d{1,6})d)?(?:(\d{1,7})h)?(?:(\d{1,8})m)?(?:(\d{1,10}(?:\.\d{1,6})?)s)?", re.ASCII
)
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)
_TICKS: Final = {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}


class ConversionError(ValueError):
    """A column whose type can never give what is wanted of it."""


@dataclass(frozen=True, slots=True)
class Words:
    """The mapping's texts for missing, true and false."""

    missing: frozenset[str] = frozenset(("",))
    true: frozenset[str] = frozenset(("true", "True", "TRUE", "yes", "Yes", "YES", "1"))
    false: frozenset[str] = frozenset(("false", "False", "FALSE", "no", "No", "NO", "0"))


@dataclass(slots=True)
class Typed:
    """One column of a batch, n rows."""

    values: npt.NDArray[Any]
    """(n,) int64, or float64 for doubles; strings are indexes into `texts`. Zero where not known."""
    known: npt.NDArray[np.bool_]
    bad: npt.NDArray[np.bool_]
    """A value is there, and cannot be taken."""
    texts: list[str]


def convert(column: Any, spec: AttributeSpec, words: Words) -> Typed:
    """Return the Arrow column as what `spec` describes, its range checked; raises ConversionError when the column's type cannot serve."""
    if pa.types.is_dictionary(column.type):
        if is_text(column.type.value_type):
            return _from_dictionary(column, spec, words)
        column = column.cast(column.type.value_type)
    if is_text(column.type):
        typed = _from_texts(column, spec, words)
    elif spec.type in (ValueType.INT, ValueType.DECIMAL):
        typed = _integers(column, spec.scale)
    else:
        typed = _OTHERS[spec.type](column)
    low, high = value_limits(spec)
    if spec.type in (ValueType.INT, ValueType.DECIMAL) and len(typed.values):
        _refuse(typed, (typed.values < low) | (typed.values > high))
    if spec.type == ValueType.DOUBLE:
        most = float(np.finfo(np.float32).max) if spec.float32 else float(np.finfo(np.float64).max)
        _refuse(typed, ~(np.abs(typed.values) <= most))
    return typed


def is_text(kind: Any) -> bool:
    """Return whether cells of this Arrow type are texts."""
    t = pa.types
    return bool(
        t.is_string(kind)
        or t.is_large_string(kind)
        or t.is_binary(kind)
        or t.is_large_binary(kind)
        or t.is_string_view(kind)
    )


def bytes_of(column: Any) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the data and (n + 1,) offsets of a text column; missing cells are empty."""
    column = column.cast(pa.large_binary())
    if column.null_count:
        column = column.fill_null(b"")
    offsets = (
        np.frombuffer(column.buffers()[1], np.int64, len(column) + 1, 8 * column.offset)
        if len(column)
        else np.zeros(1, np.int64)
    )
    data = column.buffers()[2] if len(column) else None
    return np.frombuffer(data, np.uint8) if data is not None and data.size else np.empty(0, np.uint8), offsets


def _refuse(typed: Typed, wrong: npt.NDArray[np.bool_]) -> None:
    wrong = wrong & typed.known
    if wrong.any():
        typed.bad |= wrong
        typed.known &= ~wrong
        typed.values = np.where(wrong, typed.values.dtype.type(0), typed.values)


def _known(column: Any) -> npt.NDArray[np.bool_]:
    if not column.null_count:
        return np.ones(len(column), np.bool_)
    valid: npt.NDArray[np.bool_] = pc.is_valid(column).to_numpy(zero_copy_only=False)
    return valid


def _typed(values: npt.NDArray[Any], known: npt.NDArray[np.bool_], texts: list[str] | None = None) -> Typed:
    return Typed(values, known.copy(), np.zeros(len(known), np.bool_), texts or [])


def _numpy(column: Any) -> npt.NDArray[Any]:
    filled = column.fill_null(False if pa.types.is_boolean(column.type) else 0) if column.null_count else column
    values: npt.NDArray[Any] = filled.to_numpy(zero_copy_only=False)
    return values


def _from_dictionary(column: Any, spec: AttributeSpec, words: Words) -> Typed:
    """Return a column of texts in dictionary form: each text that occurs is looked at once."""
    size = len(column.dictionary)
    codes = _numpy(column.indices.cast(pa.int64()).fill_null(size))
    occurs = np.zeros(size + 1, np.bool_)
    occurs[codes] = True
    occurs[size] = False
    once = convert(column.dictionary.take(pa.array(np.flatnonzero(occurs))), spec, words)
    at = np.where(occurs, np.cumsum(occurs) - 1, -1)
    values, known, bad = (np.append(part, part.dtype.type(0))[at] for part in (once.values, once.known, once.bad))
    return Typed(values[codes], known[codes], bad[codes] if bad.any() else np.zeros(len(codes), np.bool_), once.texts)


def _from_texts(column: Any, spec: AttributeSpec, words: Words) -> Typed:
    missing = pc.is_in(
        column.cast(pa.large_binary()), pa.array([w.encode() for w in sorted(words.missing)], pa.large_binary())
    )
    known = ~(missing.to_numpy(zero_copy_only=False) | ~_known(column))
    if spec.type in (ValueType.INT, ValueType.DECIMAL):
        data, offsets = bytes_of(column)
        values, status = np.zeros(len(column), np.int64), np.zeros(len(column), np.uint8)
        parse_numbers(frozen(data), frozen(offsets), spec.scale, values, status)
        typed = _typed(np.where(known, values, 0), known)
        _refuse(typed, status != 0)
        return typed
    if spec.type == ValueType.STRING:
        return _strings(column, known)
    return _by_distinct(column, known, _text_parser(spec, words), spec.type == ValueType.DOUBLE)


def _distinct(column: Any) -> tuple[npt.NDArray[np.int64], Any]:
    """Return each cell's index into the distinct values, and those as Arrow's large_binary; missing cells have index 0."""
    encoded = column.cast(pa.large_binary()).dictionary_encode()
    codes = _numpy(encoded.indices).astype(np.int64)
    return codes, encoded.dictionary


def _by_distinct(column: Any, known: npt.NDArray[np.bool_], parse: Callable[[str], Any], double: bool) -> Typed:
    codes, dictionary = _distinct(column)
    cells = dictionary.to_pylist()
    parsed = np.zeros(len(cells) + 1, np.float64 if double else np.int64)
    fine = np.zeros(len(cells) + 1, np.bool_)
    for index, cell in enumerate(cells):
        try:
            parsed[index], fine[index] = parse(cell.decode().strip()), True
        except (ValueError, OverflowError):
            continue
    typed = _typed(np.where(known, parsed[codes], 0), known)
    _refuse(typed, ~fine[codes])
    return typed


def _strings(column: Any, known: npt.NDArray[np.bool_]) -> Typed:
    codes, dictionary = _distinct(column)
    fine = np.append(_numpy(pc.binary_length(dictionary)) <= STRING_FIELD_BYTES_MAX, False)
    try:
        texts = dictionary.cast(pa.large_string()).to_numpy(zero_copy_only=False).tolist()
    except pa.ArrowInvalid:
        texts = [_decoded(cell) for cell in dictionary.to_pylist()]
        fine[:-1] &= [text is not None for text in texts]
        texts = [text or "" for text in texts]
    typed = _typed(np.where(known, codes, 0), known, texts)
    if not fine[:-1].all():
        _refuse(typed, ~fine[codes])
    return typed


def _decoded(cell: bytes) -> str | None:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return None


def _text_parser(spec: AttributeSpec, words: Words) -> Callable[[str], Any]:
    if spec.type == ValueType.BOOL:
        return lambda text: _word(text, words)
    return {ValueType.DOUBLE: _parse_double, ValueType.TIMESTAMP: parse_instant, ValueType.DURATION: _parse_span}[
        spec.type
    ]


def _word(text: str, words: Words) -> int:
    if text in words.true:
        return 1
    if text in words.false:
        return 0
    raise ValueError(text)


def _parse_double(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text)


def parse_instant(text: str) -> int:
    """Return the microseconds since 1970 of an RFC 3339 instant with a zone, or of a date's midnight in UTC; raises ValueError."""
    if not text.isascii() or len(text) > 32:
        raise ValueError(text)
    instant = datetime.datetime.fromisoformat(text)
    if instant.tzinfo is None:
        if len(text) != len("2026-01-01"):
            raise ValueError(text)
        instant = instant.replace(tzinfo=datetime.UTC)
    return (instant - _EPOCH) // _MICROSECOND


def _parse_span(text: str) -> int:
    match = _SPAN.fullmatch(text)
    if not match or not any(match.groups()):
        raise ValueError(text)
    days, hours, minutes = (int(part or 0) for part in match.groups()[:3])
    whole, _, fraction = (match[4] or "0").partition(".")
    seconds = ((days * 24 + hours) * 60 + minutes) * 60 + int(whole)
    micros = seconds * 1_000_000 + int(fraction.ljust(6, "0") or 0)
    if micros > INT64_MAX:
        raise OverflowError(text)
    return -micros if text.startswith("-") else micros


def _integers(column: Any, scale: int) -> Typed:
    kind = column.type
    if pa.types.is_integer(kind):
        return _scaled(_numpy(column), _known(column), 10**scale)
    if pa.types.is_decimal(kind):
        return _decimals(column, scale)
    if pa.types.is_floating(kind) and scale == 0:
        typed = _doubles(column)
        typed.values = np.where(typed.known, typed.values, 0.0)
        _refuse(typed, (np.floor(typed.values) != typed.values) | ~(np.abs(typed.values) <= 2.0**53))
        typed.values = typed.values.astype(np.int64)
        return typed
    raise ConversionError(
        f"{kind} cannot give an exact " + ("decimal; store it as decimal or text" if scale else "integer")
    )


def _scaled(values: npt.NDArray[Any], known: npt.NDArray[np.bool_], factor: int) -> Typed:
    most = INT64_MAX // factor
    typed = _typed(values, known)
    _refuse(typed, (values > most) | (values < -most) if values.dtype.kind == "i" else values > most)
    typed.values = typed.values.astype(np.int64) * factor
    return typed


def _decimals(column: Any, scale: int) -> Typed:
    if not pa.types.is_decimal128(column.type):
        column = column.cast(pa.decimal128(38, column.type.scale))
    known = _known(column)
    raw = np.frombuffer(column.buffers()[1], np.int64) if len(column) else np.empty(0, np.int64)
    halves = raw[2 * column.offset : 2 * (column.offset + len(column))].reshape(-1, 2)
    low, high = np.where(known, halves[:, 0], 0), np.where(known, halves[:, 1], 0)
    shift = scale - column.type.scale
    typed = _scaled(low, known, 10 ** max(shift, 0)) if shift <= 18 else _typed(np.zeros(len(known), np.int64), known)
    _refuse(typed, high != low >> 63)
    if shift > 18:
        _refuse(typed, low != 0)
    if shift < 0:
        factor = 10 ** min(-shift, 18)
        _refuse(typed, typed.values % factor != 0)
        typed.values = typed.values // factor
    return typed


def _bools(column: Any) -> Typed:
    if pa.types.is_boolean(column.type):
        return _typed(_numpy(column).astype(np.int64), _known(column))
    if not pa.types.is_integer(column.type):
        raise ConversionError(f"{column.type} cannot give a bool")
    typed = _typed(_numpy(column).astype(np.int64), _known(column))
    _refuse(typed, (typed.values != 0) & (typed.values != 1))
    return typed


def _doubles(column: Any) -> Typed:
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if pa.types.is_integer(column.type):
        whole = _numpy(column)
        typed = _typed(whole.astype(np.float64), _known(column))
        _refuse(typed, ~(np.abs(typed.values) <= 2.0**53))
        return typed
    if not pa.types.is_floating(column.type):
        raise ConversionError(f"{column.type} cannot give a double")
    known = _known(column)
    return _typed(np.where(known, _numpy(column).astype(np.float64), 0.0), known)


def _words_only(column: Any) -> Typed:
    if not pa.types.is_integer(column.type):
        raise ConversionError(f"{column.type} cannot give a string")
    return _strings(column.cast(pa.string()), _known(column))


def _instants(column: Any) -> Typed:
    kind = column.type
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("us"))
    elif not pa.types.is_timestamp(kind):
        raise ConversionError(f"{kind} cannot give a timestamp")
    return _ticks(column)


def _spans(column: Any) -> Typed:
    if not pa.types.is_duration(column.type):
        raise ConversionError(f"{column.type} cannot give a duration; store it as duration, or as text such as 1h30m")
    return _ticks(column)


def _ticks(column: Any) -> Typed:
    """Return microseconds; finer ones that are not whole microseconds are bad."""
    times, over = _TICKS[column.type.unit]
    typed = _scaled(_numpy(column.cast(pa.int64())), _known(column), times)
    _refuse(typed, typed.values % over != 0)
    typed.values = typed.values // over
    return typed


_OTHERS: Final[dict[ValueType, Callable[[Any], Typed]]] = {
    ValueType.BOOL: _bools,
    ValueType.DOUBLE: _doubles,
    ValueType.STRING: _words_only,
    ValueType.TIMESTAMP: _instants,
    ValueType.DURATION: _spans,
}


def expectation(spec: AttributeSpec, words: Words) -> str:
    """Return in words what a cell of this column must hold."""
    if spec.type == ValueType.BOOL:
        return f"one of {', '.join(sorted(words.true | words.false))}"
    if spec.type == ValueType.TIMESTAMP:
        return "an instant such as 2026-01-31T12:00:00Z, or a date"
    if spec.type == ValueType.DURATION:
        return "a duration such as 1h30m"
    return expected(spec)
