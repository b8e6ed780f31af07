"""One simulation: everything that happens follows from a seed, first in safety mode, with faults, then in liveness mode, without.

Safety mode checks as things happen, and after each start, that nothing promised is broken. Liveness mode stops the faults, starts what is down, and wants
every request answered, fresh subscribers offered something, and the journal written, within a bounded time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import Any, Final
from unittest.mock import patch

from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1 import subscriber_service_pb2 as subscriber

from engine.journal.erasing import erase
from engine.journal.journal import Durability
from engine.journal.retiring import Keep
from engine.journal.segments import JournalError
from tests.simulation.caps_model import Span
from tests.simulation.clients import Ask, Attempted, Clients, Together
from tests.simulation.clock import HOUR_US, MINUTE_US, SECOND_US, VirtualClock
from tests.simulation.disk import Crash, Faults, VirtualDisk
from tests.simulation.keeping import drawn_us, make_snapshot, see_what_is_kept
from tests.simulation.network import Network, Schedule
from tests.simulation.node import SEGMENT_BYTES, Node
from tests.simulation.promises import see_promises
from tests.simulation.receiver import Receiver, ViolationError
from tests.simulation.world import CHANNELS, EDITIONS, FRESH, PURPOSE_OF, START_US, SUBSCRIBERS

EVENTS: Final = 90
"""What clients and faults begin in one simulation."""
PAUSES_US: Final = [0, 0, 1_000, SECOND_US, 30 * SECOND_US, 2 * MINUTE_US, 10 * MINUTE_US, HOUR_US, 5 * HOUR_US]
RECOVERED_WITHIN_US: Final = 10 * SECOND_US
"""How long after the last fault everything has to be well again."""


@dataclass(frozen=True)
class Plan:
    """What kind of simulation a seed is."""

    durability: Durability
    lossy: bool
    disk_fails: bool
    clock_jumps: bool
    swaps: bool


def plan_of(rng: Random) -> Plan:
    """Return a plan, drawn."""
    durability: Durability = rng.choice(["always", "always", "everysec", "none"])
    jumps = rng.random() < 0.15
    return Plan(durability, rng.random() < 0.7, rng.random() < 0.4, jumps, not jumps and rng.random() < 0.4)


class Simulation:
    """The world of one seed; `run` plays it."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(f"simulation {seed}")
        self.keep_us = drawn_us(seed)
        self.plan = plan_of(self.rng)
        self.clock = VirtualClock(START_US + self.rng.randrange(12 * 24) * HOUR_US)
        self.schedule = Schedule(self.clock)
        self.disk = VirtualDisk(Random(f"disk {seed}"))
        self.node = Node(self.clock, self.disk, self.plan.durability)
        self.node.edition = self.rng.randrange(EDITIONS)
        self.network = Network(Random(f"network {seed}"), self.schedule)
        self.receiver = Receiver()
        self.receiver.editions.append((0, self.node.edition))
        self.clients = Clients(self)
        self.high_us = self.clock.wall_us()
        """The latest instant that the wall clock has shown."""
        self.safe_moment = self.clean_moment = 0
        """The last turn after which all was on the medium, and with the disk."""
        self.turn_waits = False
        self.ends = 0
        """How often the server, or its machine, ended in the middle of things."""
        self._trace = blake2b(digest_size=16)

    @property
    def digest(self) -> str:
        """Return what is the same for the same course of events."""
        trace = self._trace.copy()
        for name in self.disk.names():
            trace.update(name.encode() + bytes(self.disk.files[name].data))
        return trace.hexdigest()

    def note(self, text: str) -> None:
        """Add something to the course of events."""
        self._trace.update(f"{self.clock.passed_us} {text}\n".encode())

    def span(self) -> Span:
        """Return the present instant."""
        now_us = self.clock.wall_us()
        return Span(now_us, self.high_us if self.plan.clock_jumps else now_us)

    def begin_offers(self, ask: Ask, answer: Any) -> None:
        """Show or send what an answer offers."""
        self.clients.begin_offers(ask, answer)

    def run(self) -> None:
        """Play it all; raises ViolationError."""
        with patch("engine.journal.journal.SEGMENT_BYTES", SEGMENT_BYTES):
            self.be_in_safety_mode()
            self.be_in_liveness_mode()

    def be_in_safety_mode(self) -> None:
        """Play with faults."""
        if self.plan.lossy:
            self.network.lost_share, self.network.twice_share = self.rng.choice([(0.02, 0.02), (0.15, 0.15)])
            self.network.delays_us = [0, 1_000, 50_000, SECOND_US, 40 * SECOND_US]
        if self.plan.disk_fails:
            self.disk.faults.error_share = self.rng.choice([0.01, 0.1, 0.3])
        self.start()
        for _ in range(EVENTS):
            self.begin_something()
            self.pass_time(self.rng.choice(PAUSES_US))
        self.receiver.check_caps()

    def be_in_liveness_mode(self) -> None:
        """End the faults, and see that all is well within a bounded time."""
        self.disk.faults = Faults()
        self.network.lost_share = self.network.twice_share = 0.0
        self.network.delays_us = [1_000]
        if not self.node.up:
            self.start()
        self.confirm_clock()
        end_us = self.clock.passed_us + RECOVERED_WITHIN_US
        while self.clock.passed_us < end_us:
            self.pass_time(2 * SECOND_US)
        self.node.idle()
        if self.node.kept.journal.failure is not None:
            raise ViolationError(f"the journal still fails: {self.node.kept.journal.failure}")
        if self.plan.durability != "none" and not self.node.safe:
            raise ViolationError("not all is on the medium, and nothing is wrong with it")
        last = [self.clients.ask(key, "desk", 3) for key in FRESH]
        for ask in last:
            ask.send()
        self.pass_time(2 * HOUR_US)
        stuck = [ask.id for ask in last if ask.answer is None]
        stuck += [
            ask.id
            for ask in self.clients.asks
            if ask.attempts and not ask.settled and ask.first_us > self.clock.wall_us() - HOUR_US
        ]
        if stuck:
            raise ViolationError(f"never answered: {stuck}")
        self.kill()
        self.start()
        self.pass_time(2 * HOUR_US)
        self.receiver.check_caps()
        see_what_is_kept(self.disk, self.high_us - self.keep_us)

    def begin_something(self) -> None:
        """Have a client or a fault do something."""
        things: list[tuple[Callable[[], None], float]] = [
            (self.ask, 10.0),
            (self.ask_again, 1.0),
            (self.consent, 1.5),
            (lambda: self.clients.label(self.rng.choice(SUBSCRIBERS), self.rng.random() < 0.5), 0.5),
            (lambda: self.clients.erase(self.rng.choice(SUBSCRIBERS)), 0.1),
            (self.end_between_turns, 0.7),
            (self.arm_end_within_turn, 0.4),
            (self.swap, 0.4),
            (self.jump, 0.4),
            (self.fill_disk, 0.6),
            (self.do_chores, 0.8),
        ]
        self.rng.choices([do for do, _ in things], [weight for _, weight in things])[0]()

    def pass_time(self, pause_us: int) -> None:
        """Do what is to be done within the pause."""
        end_us = self.clock.passed_us + pause_us
        while (next_us := self.schedule.next_us()) is not None and next_us <= end_us:
            self.be_idle_until(next_us)
            self.schedule.take()()
        self.be_idle_until(end_us)
        self.clock.go_to(end_us)
        self.high_us = max(self.high_us, self.clock.wall_us())

    def be_idle_until(self, until_us: int) -> None:
        """Do the housekeeping of seconds in which nobody calls, a second before they end, and leave the clock there."""
        if not self.node.up:
            if until_us - self.clock.passed_us > 5 * SECOND_US:
                self.start()
            return
        if until_us - self.clock.passed_us > SECOND_US:
            self.clock.go_to(until_us - SECOND_US)
            self.high_us = max(self.high_us, self.clock.wall_us())
            self.guarded(self.node.idle)
            self.look_at_safety()

    def ask(self) -> None:
        """Have one request sent, or some at once."""
        busy = SUBSCRIBERS[: self.rng.choice([1, 3, len(SUBSCRIBERS)])]
        asks = []
        for _ in range(self.rng.choice([1, 1, 1, 2, 6])):
            channel = self.rng.choice(["desk", "ussd", "sms", "sms"])
            asks.append(self.clients.ask(self.rng.choice(busy), channel, self.rng.choice([1, 2, 3])))
        if len(asks) > 1 and self.rng.random() < 0.4:
            Together(self, asks).send()
            return
        for ask in asks:
            ask.send()

    def ask_again(self) -> None:
        """Send a request once more that was sent lately."""
        if self.clients.asks:
            ask = self.rng.choice(self.clients.asks[-6:])
            self.network.send(lambda: self.arrive_ask(ask))

    def consent(self) -> None:
        """Have somebody grant or refuse something."""
        state = self.rng.choice([subscriber.CONSENT_STATE_GRANTED, subscriber.CONSENT_STATE_REFUSED])
        purpose = self.rng.choice(sorted(set(PURPOSE_OF.values())))
        self.clients.say(self.rng.choice(SUBSCRIBERS), purpose, self.rng.choice(CHANNELS), state)

    def swap(self) -> None:
        """Have another edition of the catalogue answer, with nothing else at its instant."""
        if not self.node.up or not self.plan.swaps:
            return
        self.pass_time(1_000)
        self.clock.go_to(self.clock.passed_us + 1)
        if not self.node.up:
            return
        edition = self.rng.randrange(EDITIONS)
        self.receiver.editions.append((self.clock.wall_us(), edition))
        self.note(f"edition {edition}")
        self.guarded(lambda: self.node.swap(edition))
        self.pass_time(1_000)

    def jump(self) -> None:
        """Set the wall clock of all machines, which the server sees at once; while it is behind, nothing ends."""
        if not self.node.up or not self.plan.clock_jumps:
            return
        self.clock.set_ahead(self.rng.choice([-HOUR_US, -MINUTE_US, -SECOND_US, MINUTE_US, HOUR_US]))
        self.high_us = max(self.high_us, self.clock.wall_us())
        self.note(f"the clock shows {self.clock.wall_us()}")
        self.guarded(self.node.idle)
        if self.rng.random() < 0.7:
            self.schedule.after(self.rng.choice([MINUTE_US, HOUR_US]), self.confirm_clock)

    def confirm_clock(self) -> None:
        """Have an operator confirm the clock."""
        Attempted(self, "confirm_clock", admin.ConfirmClockRequest().SerializeToString(), lambda *_: None).send()

    def fill_disk(self) -> None:
        """Leave no room on the disk for a while."""
        if self.plan.disk_fails:
            self.disk.faults.full = True
            self.schedule.after(self.rng.choice([SECOND_US, 10 * MINUTE_US]), self.empty_disk)

    def empty_disk(self) -> None:
        """Make room again."""
        self.disk.faults.full = False

    def do_chores(self) -> None:
        """Have another process make a snapshot of the journal, or do erasures on disk; it may be killed within, alone or with the machine."""
        erasing = self.rng.random() < 0.4
        try:
            done = erase(self.disk, lambda: self.rng.randbytes(16)) if erasing else self.snapshot()
        except JournalError as error:
            raise ViolationError(f"what other processes do to the journal cannot be done: {error}") from error
        except OSError:
            return
        except Crash:
            if self.node.up and self.rng.random() < 0.5:
                self.end(power=True)
            return
        self.note(f"erased {done}" if erasing else f"snapshot {done}")

    def snapshot(self) -> str:
        """Make a snapshot of the journal, and let go of what is old, unless the clock is not to be trusted."""
        trusted = not self.node.up or self.node.front.clock.trusted
        return make_snapshot(self.disk, Keep(self.keep_us, self.clock.wall_us() if trusted else 0))

    def arrive_ask(self, ask: Ask) -> None:
        """Take a request that came over the network."""
        if self.node.up:
            self.node.decide([ask.payload], [ask], self.network)
            self.turn_soon()

    def arrive_together(self, payload: bytes, ticket: Any) -> None:
        """Take requests that came in one message."""
        if self.node.up:
            self.node.decide_together(payload, ticket, self.network)
            self.turn_soon()

    def arrive_call(self, name: str, payload: bytes, ticket: Any) -> None:
        """Take a call of a rare method that came over the network."""
        if self.node.up:
            self.node.call(name, payload, ticket, self.network)
            self.turn_soon()

    def turn_soon(self) -> None:
        """Have the server serve what waits, now or a little later, so that more may come."""
        if not self.turn_waits:
            self.turn_waits = True
            self.schedule.after(self.rng.choice([0, 0, 500]), self.turn)

    def turn(self) -> None:
        """Serve what waits."""
        self.turn_waits = False
        self.high_us = max(self.high_us, self.clock.wall_us())
        if self.node.up:
            self.network.moment += 1
            self.guarded(self.node.turn)
            self.look_at_safety()

    def look_at_safety(self) -> None:
        """Note up to which turn everything is safe."""
        if self.node.up:
            self.clean_moment = self.network.moment if self.node.clean else self.clean_moment
            self.safe_moment = self.network.moment if self.node.safe else self.safe_moment

    def guarded(self, do: Callable[[], object]) -> None:
        """Do something within which the server may end."""
        try:
            do()
        except Crash:
            self.end(power=self.rng.random() < 0.5)

    def arm_end_within_turn(self) -> None:
        """Have the server end within one of the next turns: in the middle of the disk's work, or before anybody hears of it."""
        if self.clock.wall_us() < self.high_us:
            return
        if self.rng.random() < 0.7:
            self.disk.faults.steps_left = self.rng.randrange(12)
        else:
            self.network.end_before_reply = self._end_now

    def _end_now(self) -> None:
        self.network.end_before_reply = lambda: None
        raise Crash

    def end_between_turns(self) -> None:
        """Kill the server, or fail its power, or stop it, while it does nothing."""
        if not self.node.up or self.clock.wall_us() < self.high_us:
            return
        drawn = self.rng.random()
        if drawn < 0.5:
            self.kill()
            self.start()
        elif drawn < 0.6:
            self.guarded(self.stop)
        else:
            self.end(power=True)

    def kill(self) -> None:
        """Kill the server between turns, start it at the same instant, and see that it is as it was."""
        self.guarded(self.node.front.tick)
        self.guarded(self.node.front.settle)
        if not self.node.up:
            return
        before = self.node.state() if self.node.clean else None
        self.end(power=False)
        self.start()
        if self.node.up and before is not None:
            self.node.front.tick()
            after = self.node.state()
            different = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
            if different:
                raise ViolationError(f"a restart changed what is held, before and after: {different}")

    def stop(self) -> None:
        """End in order."""
        self.node.stop()
        self.note("stopped")
        whole = self.node.kept.journal.failure is None
        self.forget_after(self.network.moment if whole else self.clean_moment)

    def end(self, power: bool) -> None:
        """End the server here, or its machine."""
        self.note(f"ends, power {power}, errors {self.disk.errors}")
        self.disk.faults.steps_left = -1
        self.network.end_before_reply = lambda: None
        self.ends += 1
        if power:
            self.node.fail_power()
            self.forget_after(self.safe_moment)
        else:
            self.node.kill()
            self.forget_after(self.clean_moment)

    def forget_after(self, moment: int) -> None:
        """Expect nothing of what was done after this turn, unless durability promises it."""
        if self.plan.durability != "always":
            self.network.lost.append(range(moment + 1, self.network.moment + 1))
            self.receiver.lose(moment, urgent_kept=self.plan.durability == "everysec")
            self.clients.lose(moment)

    def start(self) -> None:
        """Start the server, again and again while the disk fails, and see that it keeps what was promised."""
        if self.node.up:
            return
        try:
            self.node.start()
        except JournalError as error:
            raise ViolationError(f"the server does not start: {error}") from error
        except (Crash, OSError):
            self.node.kill()
            return
        self.note("started")
        self.guarded(lambda: see_promises(self.node, self.clients, self.receiver))
        self.look_at_safety()
