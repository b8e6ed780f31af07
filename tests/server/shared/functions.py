"""The functions of server/shared/library.lua on a real server, called one by one in the words that the server uses, and what they left there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import hiredis
import numpy as np

from engine.dtypes.contact import CONTACT, COUNTS, LIVE
from engine.limits import NEVER_US
from server.shared.connection import Connection
from server.shared.library import Calls, load
from server.shared.moved import Moved
from server.shared.node import Link, Node, live_key, subscriber_key
from server.shared.recent import Kept, Recent
from server.shared.states import Change, Contents, State, Written, _write, argument, change_of
from server.shared.watch import Watched, _asserting
from server.shared.writing import Writing
from tests.server.shared.redis_servers import RedisServer, redis_server

SUBSCRIBER: Final = 0xC0FFEE
KEY: Final = subscriber_key(SUBSCRIBER)
LIVE_KEY: Final = live_key(SUBSCRIBER)
EPOCH: Final = b"1000"
NAMES_KEY: Final = "tp:{0}:names:offer"


def contact(decision: int, rank: int = 1, flags: int = LIVE | COUNTS, **events_us: int) -> bytes:
    """Return a contact as it lies in memory; events that are not given have not happened."""
    record = np.zeros((), CONTACT)
    for name in ("handed_off_us", "seen_us", "accepted_us", "refused_us", "not_now_us"):
        record[name] = events_us.get(name, NEVER_US)
    record["decision"], record["rank"], record["flags"] = decision, rank, flags
    record["granted_us"], record["expires_us"] = 10 * decision, 10 * decision + 5
    record["offer"], record["campaign"], record["category"], record["channel"] = 1, 2, 3, 4
    return record.tobytes()


def field(number: int) -> bytes:
    """Return the name of what is remembered of a request."""
    return b"r" + number.to_bytes(16, "big")


def entry(number: int, end_us: int) -> bytes:
    """Return its entry in the index."""
    return end_us.to_bytes(8, "big") + field(number)


def change_to(
    stamp: bytes, contacts: bytes, read: bytes = b"", *, now_us: int = 0, ends_ms: int = 0, **more: Any
) -> Change:
    """Return a change to these contacts; `remembered`: (number, end, value) triples; `due_us`, `moved`: as `commit` has them; `ends_ms`: 0 for never."""
    remembered: Sequence[tuple[int, int, bytes]] = more.pop("remembered", ())
    due_us, moved = more.pop("due_us", b""), more.pop("moved", b"")
    assert not more
    words = [word for number, end, value in remembered for word in (field(number), end.to_bytes(8, "big"), value)]
    contents = Contents(b"%d" % ends_ms if ends_ms else b"", due_us, Moved(text=moved), contacts, words)
    return change_of(SUBSCRIBER, State(read, b"", False, b"", []), stamp, now_us, contents)


def kept_of(change: Change) -> Kept:
    """Return what is kept of a change that was done, to assert it."""
    state, recent = State(change.read, change.before, False, b"", []), Recent()
    done = SimpleNamespace(write=lambda changes: [Written.DONE] * len(changes))
    fetching: Any = SimpleNamespace(states=done, known={change.subscriber: state})
    Writing(fetching, recent, b"").write([change])
    (kept,) = recent.all()
    return kept


class Functions:
    """A server with the functions, and the words to call them by."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.connection: Connection = server.connection()
        self.calls: Calls = load(self.connection)
        self.node = Node(self.connection.address)

    def begin(self, epoch: bytes = EPOCH, grants: bytes = EPOCH) -> None:
        """Be in an epoch, and nothing else there."""
        self.connection.command("FLUSHALL")
        self.be_in(epoch, grants)

    def be_in(self, epoch: bytes, grants: bytes) -> None:
        """Go on in another epoch, in which all may grant or not yet."""
        self.connection.command("HSET", self.node.epoch_key, "epoch", epoch, "grants", grants)

    def call(self, name: str, keys: Sequence[str | bytes], *arguments: str | bytes) -> Any:
        """Return the reply."""
        words = (*self.calls.words[name], str(len(keys)), *keys, *arguments)
        return self._reply(hiredis.pack_command(words))  # type: ignore[arg-type]  # as in Connection

    def _reply(self, command: bytes) -> Any:
        (reply,) = self.connection.exchange(command, 1)
        assert not isinstance(reply, hiredis.ReplyError), reply
        return reply

    def commit(self, change: Change, epoch: bytes = EPOCH) -> Any:
        """Commit a change."""
        where = argument(self.node.epoch_key.encode()) + argument(epoch)
        return self._reply(_write(change, Link(self.connection, self.calls, epoch), where))

    def asserted(self, change: Change, epoch: bytes = EPOCH) -> Any:
        """Assert a change that was committed before."""
        watched = Watched(self.node)
        watched.calls, watched.epoch = self.calls, epoch
        return self._reply(_asserting(watched, kept_of(change)))

    def forget(self, stamp: bytes, epoch: bytes = EPOCH) -> Any:
        """Erase the subscriber."""
        return self.call("forget", [KEY, LIVE_KEY], self.node.epoch_key, epoch, stamp)

    def change(
        self, stamp: bytes, *said: tuple[str, int, int, str], epoch: bytes = EPOCH, asserting: bool = False
    ) -> Any:
        """Note (name, kind, instant, value)s."""
        words = [str(word) for each in said for word in each]
        how = "1" if asserting else "0"
        return self.call("change", [KEY, LIVE_KEY], self.node.epoch_key, epoch, stamp, how, *words)

    def held(self, key: str | bytes = KEY) -> dict[bytes, bytes]:
        """Return a hash."""
        found = self.connection.command("HGETALL", key)
        return dict(zip(found[::2], found[1::2], strict=True))

    def due_us(self) -> int | None:
        """Return when the subscriber is to be looked at; None: never."""
        found = self.connection.command("ZSCORE", self.node.due_key, KEY)
        return None if found is None else int(found)

    def ends_ms(self, key: bytes = KEY) -> int:
        """Return when the key ends; -1: never; -2: there is none."""
        return int(self.connection.command("PEXPIRETIME", key))

    def now_us(self) -> int:
        """Return the server's clock."""
        seconds, micros = self.connection.command("TIME")
        return int(seconds) * 1_000_000 + int(micros)


@contextmanager
def functions_on(folder: Path, binary: str, *, library: bool) -> Iterator[Functions]:
    """Start a server with the functions, as a library or as scripts."""
    options = {} if library else {"rename_command": "FUNCTION NONE"}
    with redis_server(folder, binary, **options) as server:
        functions = Functions(server)
        yield functions
        functions.connection.close()
