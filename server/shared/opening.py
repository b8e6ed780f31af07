"""From settings to a ledger that replicas share: checked, connected, named; or one line that says why not."""

import secrets
from hashlib import blake2b
from typing import Final, NamedTuple

from engine.bound_rules import uncoded
from engine.catalogue.model import Catalogue
from engine.ledger.names import LedgerFullError
from engine.ledger.working import WorkingLedger
from server.clock import BACKWARD_MAX_US, Clock, steady_us, wall_us
from server.logs import log
from server.security import is_local
from server.settings import Settings, SettingsError
from server.shared.address import place_of
from server.shared.connection import UnavailableError
from server.shared.fetching import Fetching
from server.shared.library import ForeignError
from server.shared.recent import Recent
from server.shared.shared_names import CODES_AHEAD, SharedNames
from server.shared.sharing import Sharing
from server.shared.states import States
from server.shared.stock import Stock
from server.shared.topology import Topology, topology_of
from server.shared.watch import Identity, Watch
from server.shared.writing import Writing

REPLICA_BITS_AT: Final = 48
REPLICA_MAX: Final = (1 << 63 - REPLICA_BITS_AT) - 1
EPOCH_US: Final = 1_577_836_800_000_000
"""2020-01-01: decisions are numbered from then on, 131,072 a second, so that 48 bits last until 2088."""


class Shared(NamedTuple):
    """A ledger to decide over, and what is done around that."""

    working: WorkingLedger
    sharing: Sharing
    clock: "SharedClock"


class SharedClock(Clock):
    """The servers' clock, watched as the wall clock is elsewhere; not trusted either while it is apart from this host's."""

    def __init__(self, sharing: Sharing) -> None:
        super().__init__(wall=sharing.now_us)

    def now_us(self) -> int:
        """Return the instant, having compared it with this host's two clocks."""
        now_us = super().now_us()
        apart_us = now_us - wall_us()
        if abs(apart_us) > BACKWARD_MAX_US:
            self.trusted, self.jump_us = False, apart_us
        return now_us


def first_decision(replica: int, now_us: int) -> int:
    """Return the number of a replica's first decision: no other replica, and no other life of this one, comes to it."""
    return replica << REPLICA_BITS_AT | max(now_us - EPOCH_US, 1) * 131_072 // 1_000_000


def open_shared(settings: Settings, secret: bytes, catalogue: Catalogue) -> Shared:
    """Return the ledger that the settings name, with codes for all that the catalogue names; raises SettingsError."""
    if settings.replica > REPLICA_MAX:
        raise SettingsError(f"replica: expected 0 to {REPLICA_MAX}, was {settings.replica}")
    if settings.journal:
        raise SettingsError("journal: with ledger_redis the ledger is kept in Redis; leave one of the two out")
    life, working = secrets.token_bytes(8), WorkingLedger(decision_first=1, now_us=0)
    working.names.codes_ahead = CODES_AHEAD
    try:
        topology, recent = topology_of(place_of(settings)), Recent()
    except UnavailableError as error:
        raise SettingsError(f"ledger_redis: {error}") from None
    names = SharedNames(working.names, topology)
    fetching = Fetching(working, States(topology), names)
    fingerprint = blake2b(b"ledger", key=secret, digest_size=8).hexdigest()
    identity = Identity(catalogue.id, fingerprint, settings.replica, life.hex())
    watch = Watch(topology, identity, settings.ledger_redis_timeout_ms / 1_000, recent, working.names)
    stock = Stock(working, topology, life.hex())
    watch.totals = stock.asserted

    def set_clock(skew_us: int) -> None:
        fetching.offset_us = wall_us() + skew_us - steady_us()
        if abs(skew_us) > BACKWARD_MAX_US:
            log().warning(
                "the ledger's server and this host do not agree on the time; push waits until they do",
                apart_ms=skew_us // 1_000,
            )

    watch.on_skew = set_clock
    wanted: dict[str, list[str]] = {}
    for kind, name in uncoded(catalogue, working.names):
        wanted.setdefault(kind, []).append(name)
    try:
        watch.open(wanted)
    except (UnavailableError, ForeignError, LedgerFullError) as error:
        watch.stop()
        said = str(error)
        raise SettingsError(said if said.startswith(("ledger", "replica")) else f"ledger_redis: {said}") from None
    _warn_of_open_ways(topology)
    watch.start()
    working.number_from(first_decision(settings.replica, steady_us() + fetching.offset_us))
    sharing = Sharing(fetching, Writing(fetching, recent, life), stock, names, watch)
    return Shared(working, sharing, SharedClock(sharing))


def _warn_of_open_ways(topology: Topology) -> None:
    for node in topology.nodes:
        if node.address.tls is None and not is_local(
            f"[{node.address.host}]:0" if ":" in node.address.host else f"{node.address.host}:0"
        ):
            log().warning("what goes to the shared ledger is not encrypted; use rediss://", server=node.address.name)
