"""Subscribers' states in Redis, read and written many at a time: one pipeline to each server, one round trip.

A state is opaque there: contacts as they lie in memory, what is remembered of requests and outcomes by digest, and a stamp that every change replaces.
A change names the stamp that it was based on, and is not done when that is no longer there.
"""

import re
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

import hiredis

from server.shared.connection import UnavailableError
from server.shared.moved import Moved
from server.shared.node import Link, Node, live_key, subscriber_key, subscriber_of
from server.shared.topology import Topology

OTHER_EPOCH: Final = -1
_OF_A_KEY: Final = re.compile(r"WRONGTYPE |ERR user_(function|script):|ASK |TRYAGAIN ")
"""What a server says when something else lies under a key than a function expects, or when it is on its way to another server."""
_PING: Final = b"*1\r\n$4\r\nPING\r\n"
_TIME: Final = b"*1\r\n$4\r\nTIME\r\n"
_READ: Final = b"*%d\r\n$5\r\nHMGET\r\n$21\r\n%b\r\n$1\r\nv\r\n$1\r\nc\r\n$1\r\ne\r\n$1\r\nu\r\n%b"
_COMMIT: Final = b"*%d\r\n%b$1\r\n1\r\n$21\r\n%b\r\n%b$%d\r\n%b\r\n%b"


class State(NamedTuple):
    """What was read of one subscriber."""

    stamp: bytes
    """Empty when nothing is known."""
    contacts: bytes
    erased: bool
    live: bytes
    """The stamp of the last live change; empty when there was none."""
    remembered: list[bytes | None]
    """The values of the fields that were asked for."""


class Change(NamedTuple):
    """A subscriber's state to be."""

    subscriber: int
    read: bytes
    """The stamp that it was based on."""
    stamp: bytes
    before: bytes
    """The contacts that were read."""
    contacts: bytes
    """Those to be."""
    moved: Moved
    words: int
    """How many arguments `tail` is."""
    tail: bytes
    """What is to be written, as arguments of the protocol, the stamp first."""


class Contents(NamedTuple):
    """What is to be written of a subscriber."""

    ends_ms: bytes
    """When nothing of it matters any more; empty: never."""
    due_us: bytes
    """When its contacts are to be looked at for totals, as the function `commit` has it."""
    moved: Moved
    contacts: bytes
    remembered: list[bytes]
    """Field, end (8 bytes), value; and so on."""


class Written(Enum):
    """What became of a change."""

    DONE = 1
    CHANGED = 0
    """Somebody else changed the state since it was read; nothing was done."""
    REFUSED = OTHER_EPOCH
    """The server is in another epoch, or nobody may grant yet, or it gave an error; nothing was done."""
    UNKNOWN = 2
    """No answer: it may have been done, or may yet be."""


_WRITTEN: Final[dict[int, Written]] = {written.value: written for written in Written}


class Reading(NamedTuple):
    """What was read, None where a server did not answer, and the latest of the servers' clocks; 0 when none answered."""

    states: list[State | None]
    now_us: int


def argument(text: bytes) -> bytes:
    """Return one argument of a command as the protocol has it."""
    return b"$%d\r\n%b\r\n" % (len(text), text)


class States:
    """The subscribers' states, wherever they are; used within turns."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    def read(self, subscribers: list[int], fields: list[list[bytes]]) -> Reading:
        """Return the states of distinct subscribers, and of each the fields asked for."""
        states: list[State | None] = [None] * len(subscribers)
        asked = []
        for node, places in self._by_node(subscribers):
            if (link := node.link) is not None:
                commands = [_read(subscribers[place], fields[place]) for place in places]
                asked.append((node, link, places, b"".join(commands) + _TIME))
        now_us = 0
        for node, link, places, replies in self._exchanged(asked, 1):
            if replies is None or _refuses(replies):
                node.drop(link)
                continue
            seconds, micros = replies[-1]
            now_us = max(now_us, int(seconds) * 1_000_000 + int(micros))
            for place, reply in zip(places, replies, strict=False):
                if not isinstance(reply, hiredis.ReplyError):
                    states[place] = _state(reply)
        return Reading(states, now_us)

    def write(self, changes: list[Change]) -> list[Written]:
        """Write the changes, each or not, and return what became of each."""
        results = [Written.REFUSED] * len(changes)
        asked = []
        for node, places in self._by_node([change.subscriber for change in changes]):
            if (link := node.link) is not None:
                epoch = argument(node.epoch_key.encode()) + argument(link.epoch)
                commands = [_write(changes[place], link, epoch) for place in places]
                asked.append((node, link, places, b"".join(commands)))
        for node, link, places, replies in self._exchanged(asked, 0):
            if replies is None or _refuses(replies) or OTHER_EPOCH in replies:
                node.drop(link)
            for number, place in enumerate(places):
                results[place] = Written.UNKNOWN if replies is None else _result(replies[number])
        return results

    def call(self, function: str, subscriber: int, arguments: Sequence[bytes]) -> Any:
        """Have `forget` or `change` done to a subscriber, and return what it says; None when it is not done for sure.

        The arguments are those after the epoch.
        """
        keys = b"2", subscriber_key(subscriber), live_key(subscriber)
        node = self._topology.node_of(subscriber)
        if (link := node.link) is None:
            return None
        try:
            reply = link.connection.command(*link.calls.words[function], *keys, node.epoch_key, link.epoch, *arguments)
        except UnavailableError:
            node.drop(link)
            return None
        return None if reply == OTHER_EPOCH else reply

    def count_erased(self, subscriber: int, moved: bytes) -> None:
        """Have what a subscriber's erasure means for totals counted where the subscriber was."""
        node = self._topology.node_of(subscriber)
        if (link := node.link) is not None:
            try:
                link.connection.command(*link.calls.words["count_erased"], "1", node.epoch_key, moved)
            except UnavailableError:
                node.drop(link)

    def live_changes(self, subscribers: list[int]) -> list[dict[bytes, bytes] | None]:
        """Return the live changes of distinct subscribers by name; None where a server did not answer."""
        found: list[dict[bytes, bytes] | None] = [None] * len(subscribers)
        asked = []
        for node, places in self._by_node(subscribers):
            if (link := node.link) is not None:
                keys = [argument(live_key(subscribers[place])) for place in places]
                asked.append((node, link, places, b"".join(b"*2\r\n$7\r\nHGETALL\r\n" + key for key in keys)))
        for node, link, places, replies in self._exchanged(asked, 0):
            if replies is None or _refuses(replies):
                node.drop(link)
                continue
            for place, reply in zip(places, replies, strict=True):
                if not isinstance(reply, hiredis.ReplyError):
                    found[place] = dict(zip(reply[::2], reply[1::2], strict=True))
        return found

    def due(self, most: int, for_us: int) -> list[int]:
        """Return subscribers that are to be looked at by now, at most so many of each server; nobody else is told of them for so long."""
        asked = []
        for node in self._topology.nodes:
            if (link := node.link) is not None:
                words = [node.due_key.encode(), b"%d" % most, b"%d" % for_us]
                call = b"*6\r\n%b$1\r\n1\r\n%b" % (link.calls.prefix["due"], b"".join(map(argument, words)))
                asked.append((node, link, range(1), call))
        found = list[int]()
        for node, link, _, replies in self._exchanged(asked, 0):
            if replies is None or _refuses(replies):
                node.drop(link)
            elif not isinstance(replies[0], hiredis.ReplyError):
                found += [subscriber for key in replies[0] if (subscriber := subscriber_of(key)) is not None]
        return found

    def keep_alive(self) -> None:
        """See whether idle connections are still of use, before somebody waits for them."""
        asked = [(node, link, range(1), _PING) for node in self._topology.nodes if (link := node.link) is not None]
        for node, link, _, replies in self._exchanged(asked, 0):
            if replies is None or _refuses(replies):
                node.drop(link)

    def _by_node(self, subscribers: list[int]) -> list[tuple[Node, Sequence[int]]]:
        nodes = self._topology.nodes
        if len(nodes) == 1:
            return [(nodes[0], range(len(subscribers)))]
        places: dict[Node, list[int]] = {}
        for place, subscriber in enumerate(subscribers):
            places.setdefault(self._topology.node_of(subscriber), []).append(place)
        return list(places.items())

    @staticmethod
    def _exchanged(
        asked: Sequence[tuple[Node, Link, Sequence[int], bytes]], more: int
    ) -> list[tuple[Node, Link, Sequence[int], list[Any] | None]]:
        """Send every pipeline, then receive each one's replies, `more` than it has places; None where that failed."""
        sent = []
        for node, link, places, pipeline in asked:
            try:
                link.connection.send(pipeline)
                sent.append((node, link, places, True))
            except UnavailableError:
                sent.append((node, link, places, False))
        found: list[tuple[Node, Link, Sequence[int], list[Any] | None]] = []
        for node, link, places, went in sent:
            replies = None
            if went:
                try:
                    replies = link.connection.receive(len(places) + more)
                except UnavailableError:
                    replies = None
            found.append((node, link, places, replies))
        return found


def _state(reply: list[Any]) -> State:
    stamp, contacts, erased, live, *remembered = reply
    return State(stamp or b"", contacts or b"", erased is not None, live or b"", remembered)


def _refuses(replies: list[Any]) -> bool:
    """Return whether a server does not do what it is told; a key that is somebody else's is a matter of its subscriber."""
    if hiredis.ReplyError not in set(map(type, replies)):
        return False
    return any(isinstance(reply, hiredis.ReplyError) and not _OF_A_KEY.match(str(reply)) for reply in replies)


def _read(subscriber: int, fields: list[bytes]) -> bytes:
    return _READ % (6 + len(fields), subscriber_key(subscriber), b"".join(map(argument, fields)))


def change_of(subscriber: int, read: State, stamp: bytes, now_us: int, contents: Contents) -> Change:
    """Return the change of a subscriber, as it was read, to contents under another stamp."""
    ends_ms, due_us, moved, contacts, remembered = contents
    words = (stamp, b"%d" % now_us, ends_ms, due_us, moved.text, contacts, *remembered)
    packed = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub has one word
    tail = packed[packed.index(b"\n") + 1 :]  # behind how many there are
    return Change(subscriber, read.stamp, stamp, read.contacts, contacts, moved, len(words), tail)


def _write(change: Change, link: Link, epoch: bytes) -> bytes:
    key, read = subscriber_key(change.subscriber), change.read
    return _COMMIT % (7 + change.words, link.calls.prefix["commit"], key, epoch, len(read), read, change.tail)


def _result(reply: Any) -> Written:
    return _WRITTEN.get(reply, Written.REFUSED) if isinstance(reply, int) else Written.REFUSED
