"""The codes of offers, campaigns, categories and channels, the same on all replicas: given within Redis, kept here in the order of their numbers."""

from collections.abc import Mapping, Sequence
from typing import Final

from engine.ledger.names import KINDS, Kind, LedgerFullError, Names
from engine.limits import CODES_MAX
from server.logs import log
from server.shared.connection import Connection, UnavailableError
from server.shared.library import Calls, ForeignError
from server.shared.topology import Topology

CODES_AHEAD: Final = 1_024
"""How many names other replicas may add before this one must reload to know what their contacts count for."""


def give_codes(
    connection: Connection, calls: Calls, names: Names, wanted: Mapping[Kind, Sequence[str]], *, learn: bool = True
) -> None:
    """Have codes given to the wanted names, and learn all that there are; raises UnavailableError, LedgerFullError, ForeignError.

    Without `learn`, for a thread that does not own the names, they are only compared.
    """
    for kind in KINDS:
        new = list(wanted.get(kind, ()))
        reply = connection.command(*calls.words["names"], "1", f"tp:{{0}}:names:{kind}", str(CODES_MAX), *new)
        if new and not reply:
            raise LedgerFullError(
                f"ledger names: expected at most {CODES_MAX} different {kind} ids over the shared ledger's life, {len(new)} more are too many; "
                "start a new ledger, or reuse ids"
            )
        try:
            found = {int(code): name.decode() for name, code in zip(reply[::2], reply[1::2], strict=True)}
        except ValueError:
            found = {}
        _compare(connection, names, kind, found)
        for code in range(names.count(kind) + 1, (len(found) if learn else 0) + 1):
            names.code(kind, found[code])


def known_names(names: Names) -> dict[Kind, list[str]]:
    """Return the names that have codes here, by kind, in the order of their codes."""
    return {kind: [names.name(kind, code) for code in range(1, names.count(kind) + 1)] for kind in KINDS}


def _compare(connection: Connection, names: Names, kind: Kind, found: dict[int, str]) -> None:
    for code in range(1, max(len(found), names.count(kind)) + 1):
        if code not in found or (code <= names.count(kind) and found[code] != names.name(kind, code)):
            raise ForeignError(
                f"ledger_redis: {connection.address.name} has another {kind} under code {code} than this server; its names were changed or lost. "
                "Restart this server"
            )


class SharedNames:
    """The working ledger's names, kept as they are everywhere; used within turns."""

    def __init__(self, names: Names, topology: Topology) -> None:
        self._names = names
        self._topology = topology

    def give(self, named: Sequence[tuple[Kind, str]] = ()) -> bool:
        """Have codes given to these, and learn all that there are; return whether that was done. Raises LedgerFullError."""
        wanted: dict[Kind, list[str]] = {}
        for kind, name in named:
            wanted.setdefault(kind, []).append(name)
        node = self._topology.names_node()
        if (link := node.link) is None:
            return False
        try:
            give_codes(link.connection, link.calls, self._names, wanted)
        except (UnavailableError, ForeignError) as error:
            node.drop(link)
            log().error("names got no codes", why=str(error))
            return False
        return True
