"""Who may call: bearer tokens kept as hashes, what each may do, and where the server may listen without them.

The tokens file is TOML, a table for each token; only its SHA-256 is kept:

    [[tokens]]
    name = "crm-desk"          # the principal in the decision log
    sha256 = "<64 hexadecimal digits>"
    scopes = ["decide"]        # decide (decisions and outcomes), subscriber, admin
"""

import hmac
import ipaddress
import secrets
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from server.settings import Settings, SettingsError

Scope = Literal["decide", "subscriber", "admin"]
SCOPE_OF_SERVICE: Final[dict[str, Scope]] = {
    "touchpoint.v1.DecisionService": "decide",
    "touchpoint.v1.OutcomeService": "decide",
    "touchpoint.v1.SubscriberService": "subscriber",
    "touchpoint.v1.AdminService": "admin",
}
PORT_MAX: Final = 65_535
ALL_SCOPES: Final[tuple[Scope, ...]] = ("decide", "subscriber", "admin")


class Principal(msgspec.Struct, frozen=True):
    """Who calls, and what they may do."""

    name: str
    scopes: tuple[Scope, ...]


LOCAL: Final = Principal("local", ALL_SCOPES)
"""Without tokens, whoever calls over loopback or a Unix socket."""
ANYONE: Final = Principal("anyone", ("decide", "subscriber"))
"""Without tokens, whoever calls from elsewhere."""


class _Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    scopes: tuple[Scope, ...]


class _TokensFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tokens: Annotated[tuple[_Token, ...], msgspec.Meta(min_length=1, max_length=1_000)]


class Tokens:
    """The tokens that are accepted."""

    def __init__(self, entries: tuple[_Token, ...]) -> None:
        self._entries = tuple((bytes.fromhex(entry.sha256), Principal(entry.name, entry.scopes)) for entry in entries)

    @property
    def digests(self) -> list[bytes]:
        """The SHA-256 of every token."""
        return [digest for digest, _ in self._entries]

    @classmethod
    def read(cls, path: Path) -> "Tokens":
        """Return the tokens of a file; raises SettingsError naming it."""
        try:
            if path.stat().st_mode & 0o022:
                raise SettingsError(f"{path}: others can write this file of tokens; chmod go-w it")
            return cls(msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _TokensFile).tokens)
        except OSError as error:
            raise SettingsError(f"{path}: the file of tokens cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
            raise SettingsError(f"{path}: expected [[tokens]] tables of name, sha256, scopes: {error}") from None

    def principal(self, authorization: str) -> Principal | None:
        """Return who shows this `authorization` metadata ("Bearer <token>"), None for nobody; its time does not depend on which token."""
        kind, _, token = authorization.partition(" ")
        shown = sha256(token.strip().encode()).digest()
        found = None
        for digest, principal in self._entries:
            if hmac.compare_digest(digest, shown):
                found = principal
        return found if kind.lower() == "bearer" else None


def new_token() -> tuple[str, str]:
    """Return a new random token, and its SHA-256 for the tokens file."""
    token = secrets.token_urlsafe(32)
    return token, sha256(token.encode()).hexdigest()


def is_local(address: str) -> bool:
    """Tell whether host:port (or unix:<path>, or a gRPC peer such as ipv4:127.0.0.1:5) is loopback or a Unix socket."""
    if address.startswith("unix:"):
        return True
    text = address.removeprefix("ipv4:").removeprefix("ipv6:").replace("%5B", "[").replace("%5D", "]")
    host = text.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def check_address(name: str, address: str) -> None:
    """Raise SettingsError when `address` is no host:port; a port beyond 65,535 would be taken modulo 65,536."""
    _, colon, port = address.rpartition(":")
    if not (colon and port.isdecimal() and port.isascii() and int(port[:9]) <= PORT_MAX):
        raise SettingsError(f"{name}: expected host:port with a port from 0 to {PORT_MAX}, was {address!r}")


def check_exposure(settings: Settings) -> None:
    """Raise SettingsError when an address is none, the server would listen beyond loopback unprotected, or TLS is half set."""
    if not settings.listen.startswith("unix:"):
        check_address("listen", settings.listen)
    if settings.management_listen and not settings.management_listen.startswith("unix:"):
        check_address("management_listen", settings.management_listen)
    if bool(settings.tls_certificate_file) != bool(settings.tls_key_file):
        raise SettingsError("tls_certificate_file and tls_key_file: expected both or neither")
    if settings.tls_client_ca_file and not settings.tls_certificate_file:
        raise SettingsError("tls_client_ca_file: needs tls_certificate_file and tls_key_file as well")
    protected = settings.tls_certificate_file or settings.tokens_file or settings.insecure
    if not is_local(settings.listen) and not protected:
        raise SettingsError(
            f"listen: {settings.listen} is not loopback: set tls_certificate_file and tls_key_file, or tokens_file; "
            "or say insecure if whoever can reach it may read and change everything"
        )
