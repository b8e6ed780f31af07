"""The functions that the ledger runs within Redis: loaded as a library, or as scripts where libraries are not to be had.

The library's name ends in the version of what it does to what it stores. A library of this name that is not this one is somebody else's, and is left.
"""

import re
from hashlib import sha1
from importlib.resources import files
from typing import Final

from server.shared.connection import Connection, ReplyError

NAME: Final = "touchpoint2"
FUNCTIONS: Final = (
    "commit", "forget", "change", "assert_contacts", "due", "stock", "give_up_stock", "count_erased",
    "bury", "epoch", "beat", "dismiss", "leave", "names",
)  # fmt: skip
_BODY: Final = files("server.shared").joinpath("library.lua").read_text(encoding="utf-8")
_FLAGS: Final = "allow-cross-slot-keys"
"""The epoch's key is in a slot of its own, of the same server."""
_UNKNOWN: Final = re.compile(r"unknown command|unknown subcommand|NOPERM", re.IGNORECASE)


class ForeignError(Exception):
    """The Redis holds what is not this installation's; nothing was changed. One line says what, and what to do."""


def library() -> str:
    """Return the library's source."""
    registered = "".join(
        f"redis.register_function{{function_name='{NAME}_{name}', callback={name}, flags={{'{_FLAGS}'}}}}\n"
        for name in FUNCTIONS
    )
    return f"#!lua name={NAME}\n{_BODY}\n{registered}"


def script(name: str) -> str:
    """Return the source of one function as a script."""
    return f"#!lua flags={_FLAGS}\n{_BODY}\nreturn {name}(KEYS, ARGV)\n"


class Calls:
    """How each function is called: the words before its number of keys."""

    def __init__(self, words: dict[str, tuple[str, str]]) -> None:
        self.words = words
        self.prefix = {
            name: b"".join(b"$%d\r\n%b\r\n" % (len(word), word.encode()) for word in words[name]) for name in words
        }
        """The same as bytes of the protocol."""


_LIBRARY: Final = Calls({name: ("FCALL", f"{NAME}_{name}") for name in FUNCTIONS})
_SCRIPTS: Final = Calls(
    {name: ("EVALSHA", sha1(script(name).encode(), usedforsecurity=False).hexdigest()) for name in FUNCTIONS}
)


def load(connection: Connection) -> Calls:
    """See to it that the functions are there, and return how to call them; raises ForeignError, UnavailableError."""
    try:
        found = connection.command("FUNCTION", "LIST", "LIBRARYNAME", NAME, "WITHCODE")
    except ReplyError as error:
        if not _UNKNOWN.search(str(error)):
            raise
        return _load_scripts(connection)
    if not found:
        try:
            connection.command("FUNCTION", "LOAD", library())
        except ReplyError as error:
            if _UNKNOWN.search(str(error)):
                return _load_scripts(connection)
            if "already exists" not in str(error):
                raise
        found = connection.command("FUNCTION", "LIST", "LIBRARYNAME", NAME, "WITHCODE")  # another may have been faster
    _check(connection, found)
    return _LIBRARY


def _check(connection: Connection, found: list[list[bytes | list[bytes]]]) -> None:
    if not found:
        raise ForeignError(
            f"ledger_redis: {connection.address.name} has functions named {NAME}_... in somebody else's library; nothing was changed. "
            "Give the ledger a Redis of its own"
        )
    listed = dict(zip(found[0][::2], found[0][1::2], strict=True))
    if listed.get(b"library_code") != library().encode():
        raise ForeignError(
            f"ledger_redis: {connection.address.name} has a function library {NAME} that is not this server's; nothing was changed. Give the ledger "
            f"a Redis of its own, or run FUNCTION DELETE {NAME} there when no server uses it"
        )


def _load_scripts(connection: Connection) -> Calls:
    for name in FUNCTIONS:
        connection.command("SCRIPT", "LOAD", script(name))
    return _SCRIPTS
