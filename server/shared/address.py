"""Where the shared ledger is: `ledger_redis`, a URL without a password, which is in a file of its own.

    redis://host:port/database              one primary, and whatever stands in for it under that name
    redis-sentinel://host:port,.../service  the primary that Sentinels name
    redis-cluster://host:port,...           a Cluster, by any of its nodes

rediss://, rediss-sentinel:// and rediss-cluster:// are the same over TLS.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args
from urllib.parse import unquote, urlsplit

from server.settings import Settings, SettingsError

PORT: Final = 6379
SENTINEL_PORT: Final = 26379
Mode = Literal["one", "sentinel", "cluster"]
_EXAMPLE: Final = (
    "expected such as redis://10.0.0.7:6379, rediss://user@ledger.example:6380/2, redis-sentinel://10.0.0.7:26379,10.0.0.8:26379/main "
    "or redis-cluster://10.0.0.7:6379,10.0.0.8:6379"
)


@dataclass(frozen=True, slots=True)
class Address:
    """One server of the ledger, and how to be let in."""

    host: str
    port: int
    user: str = ""
    password: str = ""
    database: int = 0
    tls: ssl.SSLContext | None = None

    @property
    def name(self) -> str:
        """Return host and port: what may be logged."""
        return f"{self.host}:{self.port}"


class Place(NamedTuple):
    """Where the ledger's servers are found."""

    mode: Mode
    seeds: list[Address]
    """The server, or Sentinels, or some nodes of a Cluster."""
    service: str
    """What Sentinels call the primary."""


def place_of(settings: Settings) -> Place:
    """Return what the settings say; raises SettingsError."""
    wrong = SettingsError(f"ledger_redis: {_EXAMPLE}; was {settings.ledger_redis!r}")
    try:
        parts = urlsplit(settings.ledger_redis)
    except ValueError:
        raise wrong from None
    secure, _, kind = parts.scheme.removeprefix("redis").partition("-")
    mode = kind or "one"
    user, at, hosts = parts.netloc.rpartition("@")
    if at and ":" in user:
        raise SettingsError(
            "ledger_redis: holds a password; put it into a file and name that in ledger_redis_password_file"
        )
    names = [name for name in parts.path.split("/") if name]
    if not parts.scheme.startswith("redis") or secure not in ("", "s") or mode not in get_args(Mode):
        raise wrong
    service = names.pop(0) if mode == "sentinel" and names else ""
    database = names.pop(0) if names and mode != "cluster" else "0"
    pairs = [_pair(host, SENTINEL_PORT if mode == "sentinel" else PORT) for host in hosts.split(",")]
    several = len(pairs) > 1 and mode == "one"
    if names or parts.query or parts.fragment or None in pairs or several or not database.isdecimal():
        raise wrong
    if (mode == "sentinel") != bool(service):
        raise wrong
    seeds = [
        Address(
            *pair,
            user=unquote(user),
            password=_password(settings.ledger_redis_password_file),
            database=int(database),
            tls=_tls(settings.ledger_redis_ca_file) if secure else None,
        )
        for pair in pairs
        if pair is not None
    ]
    return Place(mode, seeds, service)  # type: ignore[arg-type]  # checked above


def _pair(text: str, port: int) -> tuple[str, int] | None:
    """Return host and port of `host`, `host:port` or `[v6]:port`; None when it is none."""
    try:
        parts = urlsplit(f"//{text}")
        return (parts.hostname, parts.port or port) if parts.hostname else None
    except ValueError:
        return None


def _password(path: str) -> str:
    if not path:
        return ""
    try:
        password = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"ledger_redis_password_file: {path} cannot be read: {error}") from None
    if not password:
        raise SettingsError(f"ledger_redis_password_file: {path} is empty; write the password into it")
    return password


def _tls(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"ledger_redis_ca_file: {ca_file} cannot be used: {error}") from None
