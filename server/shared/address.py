"""Where the shared ledger is: `ledger_redis`, a URL without a password, which is in a file of its own."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from server.settings import Settings, SettingsError

PORT: Final = 6379
SCHEMES: Final = ("redis", "rediss")
_EXAMPLE: Final = "expected such as redis://10.0.0.7:6379 or, over TLS, rediss://user@ledger.example:6380/2"


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


def address_of(settings: Settings) -> Address:
    """Return what the settings say; raises SettingsError."""
    parts = urlsplit(settings.ledger_redis)
    if parts.password is not None:
        raise SettingsError(
            "ledger_redis: holds a password; put it into a file and name that in ledger_redis_password_file"
        )
    try:
        port = parts.port or PORT
        database = int(parts.path.strip("/") or "0")
    except ValueError:
        port = database = -1
    if parts.scheme not in SCHEMES or not parts.hostname or port < 1 or database < 0 or parts.query or parts.fragment:
        raise SettingsError(f"ledger_redis: {_EXAMPLE}; was {settings.ledger_redis!r}")
    return Address(
        host=parts.hostname,
        port=port,
        user=unquote(parts.username or ""),
        password=_password(settings.ledger_redis_password_file),
        database=database,
        tls=_tls(settings.ledger_redis_ca_file) if parts.scheme == "rediss" else None,
    )


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
