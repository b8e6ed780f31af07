"""Of a replica that was killed, what it gave stays counted and what it had leased beyond that goes back, once another one has its number.

Each server counted with the changes themselves what they meant for totals, by the replica that made them. A replica that is over can do no more of them,
so these sums are final: they take the place of the part that it told last.
"""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Final

from server.logs import log
from server.shared.accounts import Account, Part, total_key
from server.shared.complaints import Complaints
from server.shared.connection import ReplyError, UnavailableError
from server.shared.moved import parts_of
from server.shared.node import given_key, link_of, over_key
from server.shared.topology import Topology

EVERY_S: Final = 1.0


class Burial:
    """Looks after what replicas left that are over; used within turns."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._next_s = 0.0
        self._complaints = Complaints()

    def keep_up(self, accounts: Iterable[Account], first_day: int) -> None:
        """Look for such replicas, unless it was done a moment ago. `accounts`: of totals that they may have leased; those that they gave are found."""
        if (now_s := time.monotonic()) < self._next_s:
            return
        self._next_s = now_s + EVERY_S
        linked = [(node, link) for node in self._topology.nodes if (link := node.link) is not None]
        names = self._topology.names_node()
        if len(linked) < len(self._topology.nodes) or (link := names.link) is None:
            return
        try:
            for life in link.connection.command("SMEMBERS", over_key(names.tag)):
                totals = [account.name for account in accounts]
                self._bury(life.decode(), totals, first_day)
        except (ReplyError, ValueError) as error:  # what lies there is somebody else's
            self._complain(error)
        except UnavailableError as error:
            self._complain(error)
            for node, each in linked:
                node.drop(each)

    def _complain(self, error: Exception) -> None:
        self._complaints.say("what a replica leased that is over is not given back yet", why=str(error))

    def _bury(self, life: str, totals: Iterable[str], first_day: int) -> None:
        sums, tags = Counter[str](), sorted(self._topology.tags)
        for tag in tags:
            found = self._over(tag, life, "0")
            sums.update({field.decode(): int(n) for field, n in zip(found[::2], found[1::2], strict=True)})
        del sums["over"]
        parts, names = parts_of(sums), self._topology.names_node()
        link = link_of(names)
        for name in {*totals, *parts}:
            told = parts.get(name, Part()).text(0), str(first_day), "1"
            where = names.epoch_key, link.epoch, life
            try:
                link.connection.command(*link.calls.words["give_up_stock"], "1", total_key(name), *where, *told)
            except ReplyError as error:  # a key that is somebody else's; the others are seen to
                log().error("a total is not what it should be", total=name, why=str(error))
        for tag in tags:
            self._over(tag, life, "1")
        log().info("what a replica had leased that is over was given back", totals=len(parts))

    def _over(self, tag: str, life: str, done: str) -> list[bytes]:
        link, keys = link_of(self._topology.node_at(tag)), (given_key(tag, life), over_key(tag))
        found: list[bytes] = link.connection.command(*link.calls.words["bury"], "2", *keys, life, done)
        return found
