"""Findings about quiet hours: push channels without any, days on which none begin, short gaps, windows that add nothing or silence nobody.

Quiet hours are local wall-clock minutes, so what is found of a day's minutes holds in every zone and at every change of the clock. A day's kind is its
weekday or holiday, and any weekday can be a holiday: each day is looked at with the day before and after it, holidays or not.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from typing import Final

from engine.catalogue.model import Catalogue
from engine.catalogue.policy import QuietHours
from engine.catalogue.terms import ChannelKind, Day
from engine.lint.finding import Finding, Subject

PUSH_NEVER_QUIET = "push_never_quiet"
DAY_NEVER_QUIET = "day_never_quiet"
QUIET_GAP = "quiet_gap"
QUIET_SETTLED = "quiet_settled"
QUIET_OF_NOTHING = "quiet_of_nothing"

GAP_MINUTES: Final = 60
DAY_MINUTES: Final = 1_440
WEEK: Final = tuple(day for day in Day if day is not Day.HOLIDAY)

Spans = list[tuple[int, int]]
Days = tuple[Day, Day, Day]
"""Kinds of a day before, a day, and a day after."""


def quiet_findings(catalogue: Catalogue, gap_minutes: int = GAP_MINUTES) -> Iterator[Finding]:
    """Yield what can be proved of quiet hours; gaps of `gap_minutes` or more are not named."""
    windows = sorted(catalogue.contact_policy.quiet_hours, key=lambda window: window.id)
    for channel in catalogue.channels:
        if channel.kind == ChannelKind.PUSH and not any(channel.channel_class in w.classes for w in windows):
            yield Finding(
                PUSH_NEVER_QUIET,
                Subject("channel", channel.id, "class"),
                f"messages on {channel.id} are sent at any hour",
                f"no quiet hours name its class, {channel.channel_class}",
                f"add {channel.channel_class} to quiet hours",
            )
    triples = three_days(bool(catalogue.contact_policy.holidays))
    heard = {c.channel_class for c in catalogue.channels if not c.inbound_exempt}
    for name in sorted({name for window in windows for name in window.classes} & heard):
        of_class = [window for window in windows if name in window.classes]
        yield from _loud_days(name, of_class, triples)
        yield from _gaps(name, of_class, triples, gap_minutes)
    yield from _useless(windows, heard, triples)


def _loud_days(name: str, windows: Sequence[QuietHours], triples: Sequence[Days]) -> Iterator[Finding]:
    """Yield the kinds of days on which no window of the class begins, when others have one."""
    met = {days[1] for days in triples}
    loud = [day for day in Day if day in met and not any(day in window.days for window in windows)]
    if not loud:
        return
    because = f"no quiet hours of class {name} have {', '.join(loud)} among their days"
    if Day.HOLIDAY in loud:
        because += "; a holiday is matched by `holiday` only, whatever weekday it is"
    yield Finding(
        DAY_NEVER_QUIET,
        Subject("quiet hours", max(windows, key=lambda window: len(window.days)).id, "days"),
        f"class {name} has quiet hours, but none that begin on {', '.join(loud)}",
        because,
        "add the days, or leave `days` out, which means all eight",
    )


def _gaps(name: str, windows: Sequence[QuietHours], triples: Sequence[Days], gap_minutes: int) -> Iterator[Finding]:
    """Yield short gaps between two quiet times, each once, with the first day on which it is met."""
    met: dict[tuple[int, int], Days] = {}
    for days in triples:
        spans = quiet_spans(windows, days)
        for (_, end), (start, _) in pairwise(spans):
            if 0 <= end < DAY_MINUTES and start - end < gap_minutes:
                met.setdefault((end, start), days)
    for (end, start), days in sorted(met.items()):
        window = next(w for w in windows if w.to_minute % DAY_MINUTES == end % DAY_MINUTES)
        yield Finding(
            QUIET_GAP,
            Subject("quiet hours", window.id),
            f"class {name} may be reached between {_clock(end)} and {_clock(start)} on {days[1]}",
            f"one quiet time ends and the next begins {start - end} minutes later",
            "close the gap, if it is not meant",
        )


def _useless(windows: Sequence[QuietHours], heard: set[str], triples: Sequence[Days]) -> Iterator[Finding]:
    """Yield windows that silence no channel, and those whose minutes the others have; each is left out before the next is looked at."""
    left = list(windows)
    for window in reversed(windows):
        classes = [name for name in window.classes if name in heard]
        subject = Subject("quiet hours", window.id)
        if not classes:
            left.remove(window)
            yield Finding(
                QUIET_OF_NOTHING,
                subject,
                f"quiet hours {window.id} never stop anything",
                "every channel of their classes is exempt from quiet hours",
                "take them out, or take inbound_exempt off a channel",
            )
            continue
        others = [[w for w in left if w is not window and name in w.classes] for name in classes]
        if all(is_covered(window, rest, triples) for rest in others):
            left.remove(window)
            names = sorted({w.id for rest in others for w in rest})
            yield Finding(
                QUIET_SETTLED,
                subject,
                f"quiet hours {window.id} add nothing",
                f"every minute of theirs is quiet by {' and '.join(names)}",
                "take them out, or mend their hours or days",
            )


def quiet_spans(windows: Sequence[QuietHours], days: Days) -> Spans:
    """Return the quiet minutes of windows that begin on one of three days, merged, from -1440 on; minute 0 begins the middle one."""
    spans = []
    for number, day in enumerate(days, -1):
        for window in windows:
            if day in window.days:
                wraps = window.to_minute <= window.from_minute
                start = number * DAY_MINUTES
                spans.append((start + window.from_minute, start + window.to_minute + wraps * DAY_MINUTES))
    merged: Spans = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def is_covered(window: QuietHours, others: Sequence[QuietHours], triples: Sequence[Days]) -> bool:
    """Return whether every minute of a window is quiet by the others too, whichever of the three days its own day stands between."""
    end = window.to_minute + (DAY_MINUTES if window.to_minute <= window.from_minute else 0)
    return all(
        any(start <= window.from_minute and end <= until for start, until in quiet_spans(others, days))
        for days in triples
        if days[1] in window.days
    )


def three_days(holidays: bool) -> list[Days]:
    """Return every three days in a row, ordinary weeks first; `holidays`: any of them may be one."""
    weeks = [(WEEK[number - 1], WEEK[number], WEEK[(number + 1) % 7]) for number in range(7)]
    found: list[Days] = []
    for which in product((False, True) if holidays else (False,), repeat=3):
        for days in weeks:
            before, day, after = (Day.HOLIDAY if holiday else d for holiday, d in zip(which, days, strict=True))
            found.append((before, day, after))
    return found


def _clock(minute: int) -> str:
    return f"{minute // 60 % 24:02}:{minute % 60:02}"
