"""What a bench says for people: which of its figures count, what each means, and what is aimed at."""

from typing import Any, NamedTuple


class Grid(NamedTuple):
    """A table of its own: a title, headings, and rows of texts and numbers."""

    title: str
    headings: list[str]
    rows: list[list[Any]]


class Figure(NamedTuple):
    """One figure of a bench, found in what its `run` returns."""

    path: str
    """Keys with dots between: `calls_per_s.touchpoint`."""
    means: str
    least: float | None = None
    """The target, when it is a least value."""
    most: float | None = None
    """The target, when it is a most value."""
    unit: str = ""

    def value(self, found: dict[str, Any]) -> Any:
        """Return the figure; None when it was not measured."""
        value: Any = found
        for key in self.path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value

    @property
    def target(self) -> str:
        """Return the target as text, empty when there is none."""
        if self.least is not None:
            return f"at least {self.least:,g}"
        return f"at most {self.most:,g}" if self.most is not None else ""

    def met(self, found: dict[str, Any]) -> bool | None:
        """Return whether the target is met; None when there is no target or no value."""
        value = self.value(found)
        if value is None or (self.least is None and self.most is None):
            return None
        return bool(value >= self.least) if self.least is not None else bool(value <= self.most)
