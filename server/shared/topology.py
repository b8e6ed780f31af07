"""Which server has which subscribers, and where it is at present: one primary, the primary that Sentinels name, the primaries of a Cluster.

The watch asks anew whenever a server fails it; decisions only look. A server whose place changes stays the same node: what was known of its epoch tells
that the new one is another.
"""

from binascii import crc_hqx
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from server.shared.address import Address, Place
from server.shared.connection import Connection, UnavailableError
from server.shared.node import Node

SLOTS: Final = 16_384
ASK_S: Final = 0.25


class Topology(Protocol):
    """Where everything is."""

    nodes: Sequence[Node]
    moves: bool
    """Whether a server may move while it goes on answering where it was, so that it is asked for again and again."""
    tags: frozenset[str]
    """Tags that servers have, or had: under them lies what was counted. In a Cluster a server's tag changes with its slots."""
    tags_change: bool

    def refresh(self) -> None:
        """Ask where the servers are by now; raises UnavailableError."""

    def node_of(self, subscriber: int) -> Node:
        """Return the server that has the subscriber."""

    def names_node(self) -> Node:
        """Return the server that has the names."""

    def node_at(self, tag: str) -> Node:
        """Return the server where what has this tag lies by now."""


def slot_of(tag: bytes) -> int:
    """Return a hash tag's slot: CRC16, XMODEM, of its bytes (the Cluster specification of Redis)."""
    return crc_hqx(tag, 0) % SLOTS


def topology_of(place: Place) -> Topology:
    """Return the topology, asked for once; raises UnavailableError."""
    found: Topology = Sentinels(place) if place.mode == "sentinel" else One(place)
    if place.mode == "cluster":
        found = Cluster(place)
    found.refresh()
    return found


class One:
    """One primary under a name that stays."""

    moves = False
    tags_change = False

    def __init__(self, place: Place) -> None:
        self._node = Node(place.seeds[0])
        self.nodes: Sequence[Node] = [self._node]
        self.tags = frozenset([self._node.tag])

    def refresh(self) -> None:
        """Nothing: whatever stands in for it has its name."""

    def node_of(self, _subscriber: int) -> Node:
        """Return the one."""
        return self._node

    def names_node(self) -> Node:
        """Return the one."""
        return self._node

    def node_at(self, _tag: str) -> Node:
        """Return the one."""
        return self._node


class Sentinels(One):
    """The primary that Sentinels name; they are asked without a password."""

    moves = True

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._place = place

    def refresh(self) -> None:
        """Ask one Sentinel after the other, first the one that answered last."""
        trouble = ""
        for seed in list(self._place.seeds):
            try:
                found = _asked(
                    replace(seed, user="", password="", database=0),
                    "SENTINEL",
                    "get-master-addr-by-name",
                    self._place.service,
                )
            except UnavailableError as error:
                trouble = str(error)
                continue
            if found is None:
                trouble = f"{seed.name}: knows no service {self._place.service!r}"
                continue
            self._place.seeds.remove(seed)
            self._place.seeds.insert(0, seed)
            self._node.address = replace(seed, host=found[0].decode(), port=int(found[1]))
            return
        raise UnavailableError(trouble)


class Cluster:
    """The primaries of a Cluster, by slot."""

    moves = True
    tags_change = True

    def __init__(self, place: Place) -> None:
        self._seeds = place.seeds
        self.nodes: Sequence[Node] = []
        self.tags = frozenset[str]()
        self._by_slot: list[Node | None] = [None] * SLOTS
        self._lost = Node(place.seeds[0])
        """Stands in for slots that nobody has."""
        self._ranges: dict[tuple[tuple[int, int], ...], Node] = {}

    def refresh(self) -> None:
        """Ask one node after the other, those that are known by now first."""
        trouble = ""
        for seed in [*(node.address for node in self.nodes), *self._seeds]:
            try:
                self._learn(seed, _asked(seed, "CLUSTER", "SLOTS"))
            except UnavailableError as error:
                trouble = str(error)
                continue
            return
        raise UnavailableError(trouble)

    def _learn(self, seed: Address, found: list[list[Any]]) -> None:
        owned: dict[tuple[str, int], list[tuple[int, int]]] = {}
        for start, end, (host, port, *_), *_ in found:
            owned.setdefault((host.decode() or seed.host, port), []).append((start, end))
        if not owned:
            raise UnavailableError(f"{seed.name}: its Cluster has no slots yet")
        nodes, there = {}, {(node.address.host, node.address.port, node.tag): node for node in self.nodes}
        by_slot: list[Node | None] = [None] * SLOTS
        for (host, port), spans in owned.items():
            ranges = tuple(sorted(spans))
            tag = _tag(ranges)
            node = self._ranges.get(ranges) or there.get((host, port, tag)) or Node(seed, tag)
            node.address = replace(seed, host=host, port=port)
            nodes[ranges] = node
            for start, end in ranges:
                by_slot[start : end + 1] = [node] * (end + 1 - start)
        self._ranges, self._by_slot, self.nodes = nodes, by_slot, list(nodes.values())
        self.tags |= {node.tag for node in self.nodes}

    def node_of(self, subscriber: int) -> Node:
        """Return the node that has the subscriber's slot."""
        return self._by_slot[slot_of(b"%016x" % subscriber)] or self._lost

    def names_node(self) -> Node:
        """Return the node that has the slot of the names."""
        return self.node_at("0")

    def node_at(self, tag: str) -> Node:
        """Return the node that has the tag's slot."""
        return self._by_slot[slot_of(tag.encode())] or self._lost


def _tag(ranges: tuple[tuple[int, int], ...]) -> str:
    """Return the first number that is a hash tag of a slot in the ranges."""
    number = 0
    while not any(start <= slot_of(b"%d" % number) <= end for start, end in ranges):
        number += 1
    return str(number)


def _asked(address: Address, *words: str) -> Any:
    connection = Connection(address, ASK_S)
    try:
        return connection.command(*words)
    finally:
        connection.close()
