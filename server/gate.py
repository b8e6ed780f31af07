"""Who may call which service, judged from a call's metadata and peer."""

from collections.abc import Iterable
from typing import Final

from server.failure import Code, Failure
from server.security import ANYONE, LOCAL, SCOPE_OF_SERVICE, Principal, Tokens, is_local

_NO_TOKEN: Final = Failure(
    Code.UNAUTHENTICATED, "expected metadata `authorization: Bearer <token>` with a token of this server"
)


class Gate:
    """Admits calls: by token when there are tokens, else everybody, but to AdminService only over loopback."""

    def __init__(self, tokens: Tokens | None) -> None:
        self.tokens = tokens

    def admit(self, service: str, metadata: Iterable[tuple[str, str | bytes]], peer: str) -> Principal | Failure:
        """Return who calls `service`, or why they may not."""
        scope = SCOPE_OF_SERVICE[service]
        found = self._known(metadata) if self.tokens else (LOCAL if is_local(peer) else ANYONE)
        if found is None:
            return _NO_TOKEN
        if scope not in found.scopes:
            hint = (
                f"give the token of {found.name} that scope" if self.tokens else "call over loopback, or with a token"
            )
            return Failure(Code.PERMISSION_DENIED, f"{service} needs the scope {scope}: {hint}")
        return found

    def _known(self, metadata: Iterable[tuple[str, str | bytes]]) -> Principal | None:
        assert self.tokens is not None
        for key, value in metadata:
            if key == "authorization" and isinstance(value, str):
                return self.tokens.principal(value)
        return None
