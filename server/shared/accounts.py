"""What a replica knows of one total over all subscribers: its own part, what others have, and the units that it leased and has not given yet.

    in Redis, of each replica     held units (given, or leased and to spare) | events ever | events by day
    together                      held + events that count < limit, before one more is leased

A unit is the right to one more contact that counts toward the total. Events replace held units: what was leased stays counted wherever it is, so a
figure that is told late only makes a total look fuller.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from engine.ledger.names import TOTALLED
from engine.ledger.working import KnownTotal
from server.shared.moves import Target

SPARE_MAX: Final = 4_096
"""Units leased beyond need at most. As many as were given in the last second, so that a busy replica asks about once a second, and an idle one keeps none."""


@dataclass(slots=True)
class Part:
    """Held units and events: of a replica, or of others."""

    held: int = 0
    lifetime: int = 0
    days: dict[int, int] = field(default_factory=dict)
    """By home-zone day."""

    def text(self, version: int) -> bytes:
        """Return it as Redis has it."""
        days = "".join(f" {day}:{events}" for day, events in sorted(self.days.items()))
        return f"{version} 0 {self.held} {self.lifetime}{days}".encode()

    def since(self, day: int | None) -> int:
        """Return what counts in a window from that day on, None: ever."""
        if day is None:
            return self.held + self.lifetime
        return self.held + sum(events for at, events in self.days.items() if at >= day)


def part_of(text: bytes) -> Part:
    """Return what Redis says."""
    _, _, held, lifetime, *days = text.decode().split(" ")
    return Part(int(held), int(lifetime), {int(day): int(events) for day, events in (each.split(":") for each in days)})


def total_key(name: str) -> bytes:
    """Return the key of a total's hash."""
    return b"tp:{0}:total:" + name.encode()


class Account:
    """One total."""

    def __init__(self, event: int, target: Target, slot: int) -> None:
        self.event = event
        self.target = target
        self.slot = slot
        self.name: Final = f"{event}:{TOTALLED[target[0]]}:{target[1]}"
        self.key: Final = total_key(self.name)
        self.limits: list[tuple[int, int]] = []
        """(cap, limit) of the present rulebook."""
        self.own = Part()
        """Its held units are those leased."""
        self.spare = 0
        """Of them, how many are not given yet; below 0: given without a lease, by an outcome that came late."""
        self.others = Part()
        self.version = 0
        self.told = b""
        """The own part as it was told last, which may be asserted at any time."""
        self.changed = False
        """Whether there is something to tell."""
        self.given = self.given_before = 0
        """Units given in the present period (server.shared.stock.PERIOD_S), and in the one before."""
        self.sold_out = False
        """Whether nothing is to spare and it is not known that there is something to lease."""

    def give(self, units: int) -> None:
        """Take units to give from those to spare, or back to them (below 0)."""
        self.spare -= units
        if units > 0:
            self.given += units
            self.sold_out = self.sold_out or self.spare <= 0

    def happened(self, day: int) -> None:
        """One given unit is an event now."""
        self.own.held -= 1
        self.own.lifetime += 1
        self.own.days[day] = self.own.days.get(day, 0) + 1
        self.changed = True

    def part(self, first_day: int) -> bytes:
        """Return the own part, as it is to be told now; older days than the first are dropped."""
        if self.spare < 0:
            self.own.held, self.spare = self.own.held - self.spare, 0
        for day in [day for day in self.own.days if day < first_day]:
            del self.own.days[day]
        self.version += 1
        self.told, self.changed = self.own.text(self.version), False
        return self.told

    def heard(self, leased: int, others: Part) -> None:
        """Take down what was leased, and what others have."""
        self.own.held += leased
        self.spare += leased
        self.others = others
        if leased:
            self.told = self.own.text(self.version)

    @property
    def pace(self) -> int:
        """How many units it is sensible to have to spare."""
        return min(max(self.given, self.given_before), SPARE_MAX)

    @property
    def busy(self) -> bool:
        """Whether there is something to tell, to give back or to ask about."""
        return bool(self.spare or self.given_before or self.changed or (self.sold_out and self.limits))

    def begin_period(self) -> None:
        """Begin another period: give back what is to spare beyond what was given in the one before."""
        self.given, self.given_before = 0, self.given
        self.keep(self.pace)

    def keep(self, units: int) -> None:
        """Give back what is to spare beyond so many units, when it is told next."""
        if (surplus := self.spare - units) > 0:
            self.own.held -= surplus
            self.spare -= surplus
            self.changed = True

    def known(self) -> KnownTotal:
        """Return the total as it is known here: what others hold, what this replica gave, all events."""
        days = dict(self.others.days)
        for day, events in self.own.days.items():
            days[day] = days.get(day, 0) + events
        held = self.others.held + self.own.held - self.spare
        return KnownTotal(held, self.others.lifetime + self.own.lifetime, days)

    def room(self, since_days: Sequence[int | None]) -> int:
        """Return how many units are left, to spare here or to lease, by the first day of each cap; 0 or less: none."""
        own, others, spare = self.own, self.others, self.spare
        return min(
            (limit - own.since(since_days[cap]) - others.since(since_days[cap]) + spare for cap, limit in self.limits),
            default=0,
        )

    def closed(self, since_days: Sequence[int | None]) -> KnownTotal:
        """Return the total as if nothing were left but what is to spare here."""
        known = self.known()
        return known._replace(live=known.live + max(self.room(since_days) - max(self.spare, 0), 0))

    def limits_at(self, since_days: Sequence[int | None]) -> list[bytes]:
        """Return (first day that counts, or nothing for ever; limit) of each cap, by the first day of each."""
        firsts = [(since_days[cap], limit) for cap, limit in self.limits]
        return [word for first, limit in firsts for word in (b"" if first is None else b"%d" % first, b"%d" % limit)]
