"""Ids of the catalogue and their numbers, with the nearest one named when somebody mistypes."""

import difflib
from collections.abc import Sequence

from server.failure import RefusedError, invalid


class Index:
    """The ids of one kind, numbered in the order given."""

    def __init__(self, kind: str, names: Sequence[str]) -> None:
        self.kind = kind
        self.names = tuple(names)
        self._numbers = {name: number for number, name in enumerate(self.names)}

    def number(self, name: str, path: str) -> int:
        """Return the number of `name`; raises RefusedError naming `path`."""
        found = self._numbers.get(name)
        if found is None:
            raise self.unknown(name, path)
        return found

    def unknown(self, name: str, path: str) -> RefusedError:
        """Return the error for a name that is not here."""
        if not name:
            return invalid(path, f"expected a {self.kind}, was nothing; the catalogue has {self._some()}")
        close = difflib.get_close_matches(name[:80], self.names, 1)
        hint = f"did you mean {close[0]}?" if close else f"the catalogue has {self._some()}"
        return invalid(path, f"no {self.kind} {name[:80]!r}; {hint}")

    def _some(self) -> str:
        shown = ", ".join(self.names[:8]) or "none"
        return f"{shown}, ..." if len(self.names) > 8 else shown
