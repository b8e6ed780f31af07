"""Which server of gRPC serves: the native one where it may, and why it was chosen."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Final, Literal, NamedTuple

from server.security import is_local
from server.settings import Settings, SettingsError

PACKAGE: Final = "pygrpc-native"
TESTED_VERSIONS: Final = ("0.5.0",)
"""The versions of the native front that the suite in tests/server/fronts ran with; auto takes no other."""


class Choice(NamedTuple):
    """The front that serves, and the reason for people."""

    front: Literal["grpcio", "native"]
    reason: str


def choose_front(settings: Settings) -> Choice:
    """Return the front that the settings ask for; raises SettingsError when they ask for a native front that cannot be had or is unsafe."""
    if settings.front == "grpcio":
        return Choice("grpcio", "front is grpcio")
    found = native_version()
    obstacle = _obstacle(settings, found)
    if settings.front == "native":
        if obstacle:
            raise SettingsError(f"front: native cannot serve here: {obstacle}; or set front to auto or grpcio")
        untested = "" if found in TESTED_VERSIONS else f", which is not among those tested, {_tested()}"
        return Choice("native", f"front is native; {PACKAGE} {found}{untested}")
    if obstacle:
        return Choice("grpcio", obstacle)
    if found not in TESTED_VERSIONS:
        return Choice(
            "grpcio", f"{PACKAGE} {found} is not among the tested versions, {_tested()}; set front to native to use it"
        )
    return Choice("native", f"{PACKAGE} {found}; {_safe_because(settings)}")


def native_version() -> str | None:
    """Return the installed version of the native front's package; None without it."""
    try:
        return version(PACKAGE) if find_spec("pygrpc_native") else None
    except (ModuleNotFoundError, PackageNotFoundError):
        return None


def _obstacle(settings: Settings, found: str | None) -> str:
    """Return why the native front must not serve; empty when it may. Its memory is unbounded before a message is decompressed."""
    if settings.tls_certificate_file:
        return "TLS is set, and the native front has none: put Envoy before it, see server/README.md"
    if found is None:
        return f"{PACKAGE} is not installed: pip install 'touchpoint[fast]'"
    if not _safe_because(settings):
        return f"listen: {settings.listen} is beyond loopback: set tokens_file, or network_trusted if nobody there would abuse it"
    return ""


def _safe_because(settings: Settings) -> str:
    if is_local(settings.listen):
        return f"{settings.listen} is loopback or a Unix socket"
    if settings.tokens_file:
        return "tokens are checked before a message is read"
    return "the network is declared trusted" if settings.network_trusted else ""


def _tested() -> str:
    return ", ".join(TESTED_VERSIONS)
