"""What a started server serves, and where."""

from typing import NamedTuple


class Serving(NamedTuple):
    """What a started server serves, and where."""

    port: int
    """0 on a Unix socket."""
    management_port: int
    """0 when there is none."""
    catalogue: str
    generation: int
    base_version: str
    subscribers: int
    candidates: int
