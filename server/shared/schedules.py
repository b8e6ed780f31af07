"""Schedules that lie under a tag that is no server's any more, since a Cluster's slots moved: what they say is put where it is looked at."""

import time
from typing import Final

from server.shared.complaints import Complaints
from server.shared.connection import UnavailableError
from server.shared.node import due_key, link_of, subscriber_of
from server.shared.topology import Topology

EVERY_S: Final = 1.0
AT_ONCE: Final = 128


class Schedules:
    """Moves them, some at a time; used within turns."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._next_s = 0.0
        self._complaints = Complaints()

    def keep_up(self) -> None:
        """Move some, unless it was done a moment ago."""
        topology = self._topology
        if not topology.tags_change or (now_s := time.monotonic()) < self._next_s:
            return
        self._next_s = now_s + EVERY_S
        for tag in sorted(topology.tags - {node.tag for node in topology.nodes}):
            try:
                self._move(tag)
            except UnavailableError as error:
                self._complaints.say("what is to be looked at is not where it should be yet", why=str(error))

    def _move(self, tag: str) -> None:
        old, key = link_of(self._topology.node_at(tag)).connection, due_key(tag)
        found = old.command("ZRANGE", key, "0", str(AT_ONCE - 1), "WITHSCORES")
        for member, at_us in zip(found[::2], found[1::2], strict=True):
            if (subscriber := subscriber_of(member)) is not None:
                node = self._topology.node_of(subscriber)
                link_of(node).connection.command("ZADD", node.due_key, "LT", at_us, member)
            old.command("ZREM", key, member)
