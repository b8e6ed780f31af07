"""What a change of a subscriber means for the totals that are counted, and how Redis is told: with the change, so that both are done or neither.

    <replica's life> <total> <units> <total>:e <events> <total>:<day> <events of the day> ...

That is added up for each replica's life at each server, so that it is known of a replica that was killed what it gave (server.shared.burial).
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from server.shared.accounts import Account, Part
from server.shared.moves import Move


class Moved(NamedTuple):
    """What a change means for totals."""

    moves: Sequence[tuple[Account, Move]] = ()
    days: Sequence[int | None] = ()
    """On which each one's event happened, if one did."""
    text: bytes = b""
    """As the function `commit` is told it."""


NOTHING: Final = Moved()


def moved(moves: Sequence[tuple[Account, Move]], days: Sequence[int | None], life: str) -> Moved:
    """Return it of these moves."""
    if not moves:
        return NOTHING
    if len(moves) == 1 and days[0] is not None:  # one offer of which it is counted how often it was decided
        name, units = moves[0][0].name, moves[0][1].units
        return Moved(moves, days, f"{life} {name} {units} {name}:e 1 {name}:{days[0]} 1".encode())
    sums: dict[str, int] = {}
    for (account, move), day in zip(moves, days, strict=True):
        name = account.name
        sums[name] = sums.get(name, 0) + move.units
        for field in (f"{name}:e", f"{name}:{day}") if day is not None else ():
            sums[field] = sums.get(field, 0) + 1
    return Moved(moves, days, f"{life} {' '.join(f'{name} {n}' for name, n in sums.items())}".encode())


def parts_of(sums: Mapping[str, int]) -> dict[str, Part]:
    """Return by name of a total what was counted of it: units that are held, events ever and by day."""
    parts: dict[str, Part] = {}
    for field, n in sums.items():
        event, kind, code, *what = field.split(":")
        part = parts.setdefault(f"{event}:{kind}:{code}", Part())
        match what:
            case []:
                part.held += n
            case ["e"]:
                part.lifetime += n
                part.held -= n
            case [day]:
                part.days[int(day)] = n
    return parts
