"""Parts of local date-times and durations. Civil dates after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"."""

from numba import types

from engine.dtypes.operation import (
    DAY,
    DAY_OF_WEEK,
    DAY_OF_YEAR,
    HOURS,
    MINUTES,
    MONTH,
    SECONDS,
    YEAR,
)
from engine.jit import kernel
from engine.kernels.cel_number import quotient_of

SECOND_NS = 1_000_000_000
_i8 = types.int64


@kernel(_i8(_i8), inner=True)
def _days_before_year(year: int) -> int:
    """Return the days from 1970-01-01 to January 1 of a year of the proleptic Gregorian calendar."""
    past = year - 1
    return past * 365 + past // 4 - past // 100 + past // 400 - 719_162


@kernel(_i8(_i8, _i8), inner=True)
def _of_date(days: int, part: int) -> int:
    """Return the year, month (from 0), day (from 1 or 0) or day of the year (from 0) of `days` since 1970-01-01."""
    shifted = days + 719_468  # days since 0000-03-01: leap days end the shifted year
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year_of_era = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    from_march = (5 * of_year + 2) // 153
    year = year_of_era + era * 400 + (1 if from_march >= 10 else 0)
    if part == YEAR:
        return year
    if part == DAY_OF_YEAR:
        return days - _days_before_year(year)
    if part == MONTH:
        return from_march + 2 if from_march < 10 else from_march - 10
    day = of_year - (153 * from_march + 2) // 5
    return day + 1 if part == DAY else day


@kernel(_i8(_i8, _i8))
def instant_part(local_s: int, part: int) -> int:
    """Return a part of a local date-time given as seconds since 1970-01-01T00:00:00 local; numbering as in CEL (Sunday is 0)."""
    days = local_s // 86_400
    of_day = local_s - days * 86_400
    if part == HOURS:
        return of_day // 3_600
    if part == MINUTES:
        return of_day // 60 % 60
    if part == SECONDS:
        return of_day % 60
    if part == DAY_OF_WEEK:
        return (days + 4) % 7
    return _of_date(days, part)


@kernel(_i8(_i8, _i8))
def span_part(span_ns: int, part: int) -> int:
    """Return a duration's whole hours, minutes or seconds, truncated toward zero, or the milliseconds of its fraction."""
    if part == HOURS:
        return quotient_of(span_ns, 3_600 * SECOND_NS)
    if part == MINUTES:
        return quotient_of(span_ns, 60 * SECOND_NS)
    seconds = quotient_of(span_ns, SECOND_NS)
    if part == SECONDS:
        return seconds
    return quotient_of(span_ns - seconds * SECOND_NS, 1_000_000)
