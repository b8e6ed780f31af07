"""One server that holds some of the ledger's subscribers: the link that decisions go by, when there is one."""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from server.shared.address import Address
from server.shared.connection import Connection, UnavailableError
from server.shared.library import Calls

_SUBSCRIBER_KEY: Final = re.compile(rb"tp:\{([0-9a-f]{16})\}")


class Link(NamedTuple):
    """A connection that decisions may use, and the epoch that they grant in."""

    connection: Connection
    calls: Calls
    epoch: bytes


class Node:
    """Where a server is, and its keys. `link` is set by the watch, and taken back by whoever finds that it no longer serves."""

    def __init__(self, address: Address, tag: str = "0") -> None:
        """`tag`: a hash tag whose slot the server has."""
        self.address = address
        self.tag = tag
        self.link: Link | None = None
        self.on_drop: Callable[[], None] = lambda: None
        """Called when there is no link any more."""
        self.epoch_key = f"tp:{{{tag}}}:epoch"
        self.due_key = due_key(tag)
        self.replicas_key = f"tp:{{{tag}}}:replicas"
        self.about_key = f"tp:{{{tag}}}:about"

    def drop(self, link: Link) -> None:
        """Close a link that failed; what was sent by it may yet be done."""
        link.connection.close()
        if self.link is link:
            self.link = None
            self.on_drop()


def link_of(node: Node) -> Link:
    """Return the node's link; raises UnavailableError when there is none."""
    if (link := node.link) is None:
        raise UnavailableError(f"{node.address.name}: is not in use")
    return link


def due_key(tag: str) -> str:
    """Return the key of the schedule of subscribers at a server with this tag."""
    return f"tp:{{{tag}}}:due"


def given_key(tag: str, life: str) -> str:
    """Return the key of what a replica's changes at a server with this tag meant for totals."""
    return f"tp:{{{tag}}}:given:{life}"


def over_key(tag: str) -> str:
    """Return the key of the replicas that are over."""
    return f"tp:{{{tag}}}:over"


def subscriber_key(subscriber: int) -> bytes:
    """Return the key of a subscriber's hash; its hash tag is the subscriber's keyed hash."""
    return b"tp:{%016x}" % subscriber


def subscriber_of(key: bytes) -> int | None:
    """Return whose hash this key's is; None when it is nobody's."""
    found = _SUBSCRIBER_KEY.fullmatch(key)
    return None if found is None else int(found[1], 16)


def live_key(subscriber: int) -> bytes:
    """Return the key of a subscriber's live changes, in the same slot."""
    return subscriber_key(subscriber) + b":live"
