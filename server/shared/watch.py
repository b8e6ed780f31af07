"""The watch over the ledger's servers: a thread that connects, says that this replica is there, finds out about failovers, and gives decisions their link.

A link is given when the server is a primary of this ledger, answers in time, and everybody may grant in its epoch. A server whose life is not the one for which
its epoch was raised may have lost writes: whoever finds that raises the epoch, and nobody grants in it before each replica that was there has
asserted what it wrote in the last minute, or a lease has run out. Who finds no epoch at all does not know who was there, and who slept not who came meanwhile:
then all have time to show themselves.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

import hiredis

from engine.ledger.names import Names
from server.logs import frames, log
from server.shared.connection import Connection, UnavailableError
from server.shared.introduction import LEASE_US, NUMBER_KEPT_US, Introduction, Others
from server.shared.library import Calls, ForeignError, load
from server.shared.node import Link, Node, live_key, subscriber_key
from server.shared.recent import Kept, Recent
from server.shared.shared_names import give_codes, known_names
from server.shared.silence import Silence
from server.shared.states import argument
from server.shared.topology import Topology

BEAT_S: Final = 0.5
RETRY_S: Final = 0.1
WATCH_TIMEOUT_S: Final = 0.5
SETTLING_US: Final = 700_000
"""In which each replica has had its turn to beat, whatever it does between two beats."""
assert SETTLING_US > 1.25e6 * BEAT_S
ASSERTED_AT_ONCE: Final = 256
FORMAT: Final = "1"
TAGS_KEY: Final = "tp:{0}:tags"
VERSION_MIN: Final = 7


class Identity(NamedTuple):
    """Whose ledger it is, and who this replica is."""

    catalogue: str
    secret: str
    """A digest of the installation's secret: keys and digests of another one would mean others."""
    replica: int
    life: str
    """Of this process, and no other."""


class Beat(NamedTuple):
    """What a server says to a beat: its epoch, and that in which all may grant."""

    epoch: bytes
    grants: bytes
    introduced: bool
    """Whether all who were there know of this replica."""


class Watched:
    """What the watch knows of one server."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.connection: Connection | None = None
        self.calls: Calls
        self.epoch = b""
        self.asserted = b""
        self.run = ""
        """The life of the server that the connection leads to: a link must lead to the same."""
        self.grants = False
        """Whether all may grant in the epoch, and know of this replica."""
        self.introduction = Introduction()
        self.others = Others()
        self.trouble = ""


class Watch:
    """Watches all servers of the ledger from one thread."""

    def __init__(self, topology: Topology, identity: Identity, timeout_s: float, recent: Recent, names: Names) -> None:
        self._topology = topology
        self._due = threading.Event()
        self._watched: dict[Node, Watched] = {}
        self._meet()
        self._identity = identity
        self._timeout_s = timeout_s
        self._recent = recent
        self._names = names
        self._silence = Silence()
        self._tags = frozenset[str]()
        """Those that all replicas know of, or can."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="ledger watch", daemon=True)
        self.on_skew: Callable[[int], None] = lambda _: None
        """Called with how far a server's clock is from this host's, microseconds, at each connection."""
        self.totals: Callable[[Node, bytes, Calls], list[bytes]] = lambda *_: []
        """Returns the calls that say again in an epoch what was told of totals."""

    def open(self, wanted: dict[Any, list[str]]) -> None:
        """Connect to all servers, and have codes given to the wanted names; raises UnavailableError, ForeignError, LedgerFullError."""
        end_s = time.monotonic() + 1.5 * NUMBER_KEPT_US / 1e6
        for watched in list(self._watched.values()):
            while not self._look(watched, wanted):
                if time.monotonic() > end_s:
                    raise ForeignError(
                        f"replica: {self._identity.replica} is the number of another server that shares this ledger; give each its own with --replica"
                    )
                time.sleep(BEAT_S)
        end_s = time.monotonic() + max(SETTLING_US, NUMBER_KEPT_US) / 1e6 + 2 * RETRY_S
        for watched in list(self._watched.values()):
            while not watched.grants and time.monotonic() < end_s:
                time.sleep(RETRY_S)
                self._look(watched, wanted)
            self._give_link(watched)  # a server that is too slow may become faster

    def links(self) -> int:
        """Return how many servers decisions may use."""
        return sum(watched.node.link is not None for watched in list(self._watched.values()))

    def start(self) -> None:
        """Go on from now on."""
        self._thread.start()

    def stop(self, *, leave: bool = True) -> None:
        """End, free the replica's number, close every connection; without `leave` as if it were killed, so that its successor looks after what it left."""
        self._stopping = True
        self._due.set()
        if self._thread.is_alive():
            self._thread.join()
        for watched in list(self._watched.values()):
            if watched.connection is not None:
                if leave:
                    self._leave(watched, watched.connection)
                self._lose(watched)
            if link := watched.node.link:
                watched.node.drop(link)

    def _run(self) -> None:
        wait_s = BEAT_S
        while not self._stopping:
            self._due.wait(wait_s)
            self._due.clear()
            self._find_servers()
            self._look_again()
            wait_s = BEAT_S if all(watched.node.link for watched in list(self._watched.values())) else RETRY_S

    def _find_servers(self) -> None:
        """Ask where the servers are; while nobody knows, they are looked for where they were."""
        if self._topology.moves or not all(watched.node.link for watched in self._watched.values()):
            with suppress(UnavailableError):
                self._topology.refresh()
        self._meet()

    def _meet(self) -> None:
        """Watch the servers that there are, where they are."""
        for node in self._topology.nodes:
            if node not in self._watched:
                node.on_drop = self._due.set
                self._watched[node] = Watched(node)
        for node, watched in list(self._watched.items()):
            gone = node not in self._topology.nodes
            if gone or (watched.connection is not None and watched.connection.address != node.address):
                self._lose(watched)
                if node.link is not None:
                    node.drop(node.link)
            if gone:
                del self._watched[node]

    def _look_again(self) -> None:
        """Look at all servers, then give links: who is over at one is over at all."""
        taken = f"another server has replica number {self._identity.replica}, or this one was silent for so long that it is over; restart it then"
        all_watched = list(self._watched.values())
        troubles = [
            self._trouble(watched, lambda each: "" if self._look(each, {}) else taken) for watched in all_watched
        ]
        if taken in troubles:
            troubles = [taken] * len(troubles)
        for watched, trouble in zip(all_watched, troubles, strict=True):
            self._take_down(watched, trouble or self._trouble(watched, self._give_link))

    def _trouble(self, watched: Watched, look: Callable[[Watched], str]) -> str:
        """Return what is in the way, by what `look` returns or raises."""
        try:
            return look(watched)
        except (UnavailableError, ForeignError) as error:
            self._lose(watched)
            return str(error)
        except Exception as error:  # the watch goes on, whatever a server answers
            log().error("the watch over the shared ledger failed", error=type(error).__name__, where=frames(error))
            self._lose(watched)
            return f"{watched.node.address.name}: {type(error).__name__}"

    @staticmethod
    def _take_down(watched: Watched, trouble: str) -> None:
        if trouble and (link := watched.node.link):
            watched.node.drop(link)
        if trouble != watched.trouble:
            watched.trouble = trouble
            if trouble:
                log().error("the shared ledger cannot be used; nothing is offered meanwhile", why=trouble)

    def _look(self, watched: Watched, wanted: dict[Any, list[str]]) -> bool:
        """Connect if need be, say that this replica is there, assert if need be; return False when another has its number."""
        watched.others.asks(time.monotonic())
        connection = watched.connection or self._connect(watched, wanted)
        beat = self._beat(watched, connection)
        if beat is not None and beat.epoch != watched.epoch:  # somebody raised it, or it was lost with everything else
            self._lose(watched)
            connection = self._connect(watched, wanted)
            beat = self._beat(watched, connection)
        if beat is None:
            return False
        if watched.asserted != watched.epoch:
            self._assert(watched, connection)
            watched.asserted = watched.epoch
            beat = self._beat(watched, connection) or beat
        if self._topology.tags_change and watched.node is self._topology.names_node():
            self._learn_tags(connection)
        watched.grants = beat.grants == watched.epoch and beat.introduced
        return True

    def _learn_tags(self, connection: Connection) -> None:
        """Have all know of the servers' tags before anything lies under them, and learn of those that servers had before."""
        connection.command("SADD", TAGS_KEY, *self._topology.tags)
        self._topology.tags |= {tag.decode() for tag in connection.command("SMEMBERS", TAGS_KEY)}
        self._tags = self._topology.tags

    def _give_link(self, watched: Watched) -> str:
        """Give decisions a connection, if they may grant; return why not, when the server is not as fast as they want it."""
        node = watched.node
        if node.link is not None and node.link.epoch != watched.epoch:
            node.drop(node.link)
        if watched.grants and node.link is None and (node.tag in self._tags or not self._topology.tags_change):
            try:
                connection = Connection(node.address, self._timeout_s)
                same = _info(connection, "server").get("run_id") == watched.run
            except UnavailableError as error:
                return str(error)
            if not same:  # one stands in for it, while the watch's connection still leads to the old one
                connection.close()
                self._lose(watched)
                return f"{node.address.name}: another server answers there by now"
            node.link = Link(connection, watched.calls, watched.epoch)
            log().info("the shared ledger is in use", server=node.address.name, epoch=watched.epoch.decode())
        return ""

    def _connect(self, watched: Watched, wanted: dict[Any, list[str]]) -> Connection:
        connection = Connection(watched.node.address, max(self._timeout_s, WATCH_TIMEOUT_S))
        try:
            watched.run = _checked_life(connection)
            self._claim(watched.node, connection, write=False)
            watched.calls = load(connection)
            self._claim(watched.node, connection, write=True)
            self._give_codes(watched, connection, wanted)
            self._find_epoch(watched, connection)
        except BaseException:
            connection.close()
            raise
        watched.connection = connection
        return connection

    def _give_codes(self, watched: Watched, connection: Connection, wanted: dict[Any, list[str]]) -> None:
        if watched.node is self._topology.names_node():
            known = known_names(self._names)
            named = {kind: [*known[kind], *wanted.get(kind, ())] for kind in known}
            give_codes(connection, watched.calls, self._names, named, learn=not self._thread.is_alive())

    def _claim(self, node: Node, connection: Connection, *, write: bool) -> None:
        """See to it that the server is of this ledger and no other's, or without `write`, that it is of no other's; raises ForeignError."""
        mine = {"format": FORMAT, "catalogue": self._identity.catalogue, "secret": self._identity.secret}
        for name, value in mine.items():
            if write:
                connection.command("HSETNX", node.about_key, name, value)
            reply = connection.command("HGET", node.about_key, name)
            found = value if reply is None else reply.decode(errors="replace")
            if found != value:
                raise ForeignError(
                    f"ledger_redis: {node.address.name} holds the ledger of another installation: its {name} is {found!r}, this server's is {value!r}; "
                    "nothing was changed. Give this one a Redis or a database of its own"
                )

    def _find_epoch(self, watched: Watched, connection: Connection) -> None:
        node, known, others, now_s = watched.node, watched.epoch or b"0", watched.others, time.monotonic()
        others.asks(now_s)
        told = [watched.run, known, str(SETTLING_US), "1" if others.missed else "0", *others.lately(now_s)]
        reply = connection.command(*watched.calls.words["epoch"], "2", node.epoch_key, node.replicas_key, *told)
        if not reply:
            raise UnavailableError(
                f"{node.address.name}: is a primary of an earlier epoch than {known.decode()}; it must become a replica of the present one"
            )
        epoch, _, _, now = reply
        if not watched.epoch:
            watched.asserted = epoch  # a replica that has just come has nothing to assert
        watched.epoch = epoch
        self.on_skew(int(now) - time.time_ns() // 1_000)

    def _beat(self, watched: Watched, connection: Connection) -> Beat | None:
        """Say that this replica is there; None when another one has its number."""
        node, who = watched.node, self._identity
        told = str(who.replica), who.life, str(NUMBER_KEPT_US), str(LEASE_US), watched.asserted or b"0"
        reply = connection.command(*watched.calls.words["beat"], "2", node.epoch_key, node.replicas_key, *told)
        if not reply:
            return None
        epoch, grants, server_us, replicas = reply
        now_s = time.monotonic()
        if epoch == watched.epoch:  # else others may be missing, and whoever raises the epoch says who was there
            watched.others.heard(replicas, int(server_us), now_s)
        if node is self._topology.names_node():
            self._dismiss(watched, connection, self._silence.heard(replicas, now_s))
        number = str(who.replica).encode()
        return Beat(epoch, grants, watched.introduction.is_over(number, replicas, int(server_us), now_s))

    @staticmethod
    def _dismiss(watched: Watched, connection: Connection, silent: list[tuple[bytes, bytes]]) -> None:
        """Say of replicas that were silent for too long that they are over, so that what they had leased goes back."""
        for number, words in silent:
            if connection.command(*watched.calls.words["dismiss"], "1", watched.node.replicas_key, number, words):
                log().warning("a replica that was silent for an hour is over", replica=number.decode(errors="replace"))

    def _assert(self, watched: Watched, connection: Connection) -> None:
        """Write again what this replica wrote in the last minute, as far as it is not there."""
        changes = [kept for kept in self._recent.all() if self._topology.node_of(kept.subscriber) is watched.node]
        calls = [_asserting(watched, kept) for kept in changes]
        if watched.node is self._topology.names_node():
            calls += self.totals(watched.node, watched.epoch, watched.calls)
        for start in range(0, len(calls), ASSERTED_AT_ONCE):
            part = calls[start : start + ASSERTED_AT_ONCE]
            replies = connection.exchange(b"".join(part), len(part))
            if wrong := [reply for reply in replies if isinstance(reply, hiredis.ReplyError) or reply == -1]:
                raise UnavailableError(f"{watched.node.address.name}: did not take what was written before: {wrong[0]}")
        log().info("asserted what was written in the last minute", changes=len(changes), epoch=watched.epoch.decode())

    def _leave(self, watched: Watched, connection: Connection) -> None:
        try:
            connection.command(
                *watched.calls.words["leave"],
                "1",
                watched.node.replicas_key,
                str(self._identity.replica),
                self._identity.life,
            )
        except UnavailableError as error:
            log().info("the replica's number was not freed", why=str(error))

    @staticmethod
    def _lose(watched: Watched) -> None:
        if watched.connection is not None:
            watched.connection.close()
            watched.connection = None


def _checked_life(connection: Connection) -> str:
    """Return the run id of the server; raises UnavailableError for a replica, ForeignError for a server that forgets."""
    info: dict[str, str] = {}
    for section in ("server", "replication", "memory"):
        info |= _info(connection, section)
    name = connection.address.name
    if not {"redis_version", "run_id", "role"} <= info.keys():
        raise UnavailableError(f"{name}: says too little of itself for a Redis")
    major = info["redis_version"].partition(".")[0]
    if not major.isdecimal() or int(major) < VERSION_MIN:
        raise ForeignError(
            f"ledger_redis: {name} is Redis {info['redis_version']}; expected {VERSION_MIN} or later, or Valkey"
        )
    if info["role"] != "master":
        raise UnavailableError(
            f"{name}: is a replica, of {info.get('master_host')}:{info.get('master_port')}; the primary is needed"
        )
    if int(info.get("maxmemory", "0")) and info.get("maxmemory_policy") != "noeviction":
        raise ForeignError(
            f"ledger_redis: {name} forgets keys when its memory is full (maxmemory-policy {info['maxmemory_policy']}), so caps would not hold; set noeviction"
        )
    return info["run_id"]


def _info(connection: Connection, section: str) -> dict[str, str]:
    """Return what a server says of itself."""
    reply = connection.command("INFO", section)
    lines = reply.decode(errors="replace").splitlines() if isinstance(reply, bytes) else []
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _asserting(watched: Watched, kept: Kept) -> bytes:
    keys = argument(subscriber_key(kept.subscriber)) + argument(live_key(kept.subscriber))
    epoch = argument(watched.node.epoch_key.encode()) + argument(watched.epoch)
    prefix = watched.calls.prefix[kept.function]
    return b"*%d\r\n%b$1\r\n2\r\n%b%b%b" % (7 + kept.words, prefix, keys, epoch, kept.tail)
