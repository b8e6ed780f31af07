"""The error of a condition that is wrong, or outside the subset that can be lowered."""


class CelError(ValueError):
    """A mistake at `line` and `column` (both from 1) of `source`; `message` says what was found and what to do."""

    def __init__(self, message: str, line: int, column: int, source: str) -> None:
        super().__init__(f"{line}:{column}: {message}")
        self.message = message
        self.line = line
        self.column = column
        self.source = source

    def caret(self) -> str:
        """Return the source line and, below it, a caret at the column."""
        lines = self.source.split("\n")
        text = lines[self.line - 1] if self.line <= len(lines) else ""
        lead = "".join("\t" if character == "\t" else " " for character in text[: self.column - 1])
        return f"{text}\n{lead.ljust(self.column - 1)}^"


def error_at(message: str, offset: int, source: str) -> CelError:
    """Return a CelError at `offset`, in code points from the start of `source`."""
    before = source[: max(offset, 0)]
    return CelError(message, before.count("\n") + 1, len(before) - before.rfind("\n"), source)
