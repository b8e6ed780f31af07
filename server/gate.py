"""Who may call which service, judged from a call's metadata and peer."""

from collections.abc import Iterable
from typing import Final

from server.failure import Code, Failure
from server.security import ANYONE, LOCAL, SCOPE_OF_SERVICE, Principal, Tokens, is_local

NO_TOKEN: Final = Failure(
    Code.UNAUTHENTICATED, "expected metadata `authorization: Bearer <token>` with a token of this server"
)


_REMEMBERED_MAX: Final = 4_096


class Gate:
    """Admits calls: by token when there are tokens, else everybody, but to AdminService only over loopback.

    With `behind`, the peer is another front of ours, which says nothing of where a call is from: then nobody counts as local.
    """

    def __init__(self, tokens: Tokens | None, behind: bool = False) -> None:
        self.tokens = tokens
        self._behind = behind
        self._remembered: dict[tuple[str, str], Principal] = {}

    def admit_quickly(
        self, service: str, metadata: Iterable[tuple[str, str | bytes]], peer: str
    ) -> Principal | Failure:
        """Do as `admit` does, remembering whom it admitted; for many calls over few connections."""
        shown = _authorization(metadata) or "" if self.tokens else peer
        if found := self._remembered.get((service, shown)):
            return found
        admitted = self.admit(service, metadata, peer)
        if isinstance(admitted, Principal):
            if len(self._remembered) >= _REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[service, shown] = admitted
        return admitted

    def admit(self, service: str, metadata: Iterable[tuple[str, str | bytes]], peer: str) -> Principal | Failure:
        """Return who calls `service`, or why they may not."""
        scope = SCOPE_OF_SERVICE[service]
        found = self._known(metadata) if self.tokens else (LOCAL if is_local(peer) and not self._behind else ANYONE)
        if found is None:
            return NO_TOKEN
        if scope not in found.scopes:
            hint = (
                f"give the token of {found.name} that scope" if self.tokens else "call over loopback, or with a token"
            )
            return Failure(Code.PERMISSION_DENIED, f"{service} needs the scope {scope}: {hint}")
        return found

    def _known(self, metadata: Iterable[tuple[str, str | bytes]]) -> Principal | None:
        assert self.tokens is not None
        shown = _authorization(metadata)
        return None if shown is None else self.tokens.principal(shown)


def _authorization(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    for key, value in metadata:
        if key == "authorization" and isinstance(value, str):
            return value
    return None
