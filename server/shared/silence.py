"""For how long other replicas were silent, as this one heard it: by its own clock, and only while it listened.

The instants that replicas leave in Redis say who was there lately. They do not say who is gone for good: a clock there that jumps would have all be gone.
"""

from typing import Final

LISTENED_S_MAX: Final = 5.0
"""What one beat can say of the time since the one before: whoever slept between them does not know what was said."""
SILENT_S: Final = 3_600.0
"""A replica that said nothing for so long is over."""


class Silence:
    """Listens to the beats' replies."""

    def __init__(self) -> None:
        self._silent: dict[bytes, tuple[bytes, float]] = {}
        """By number: what was said last, and for how long nothing else."""
        self._heard_s = 0.0

    def heard(self, replicas: list[bytes], now_s: float) -> list[tuple[bytes, bytes]]:
        """Take down what all replicas said last, number and words by turns; return number and words of those that are silent for too long."""
        listened_s, self._heard_s = min(now_s - self._heard_s, LISTENED_S_MAX), now_s
        silent = {}
        for number, words in zip(replicas[::2], replicas[1::2], strict=True):
            before, for_s = self._silent.get(number, (b"", 0.0))
            silent[number] = words, for_s + listened_s if words == before else 0.0
        self._silent = silent
        return [(number, words) for number, (words, for_s) in silent.items() if for_s > SILENT_S]
