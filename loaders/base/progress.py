"""How a build shows that it moves: a bar on a terminal, else a line every few seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from loaders.base.build import Progress as BuildProgress

LINE_EVERY_S: Final = 5.0


@contextmanager
def shown_progress(stream: TextIO = sys.stderr) -> Iterator[Callable[[BuildProgress], None]]:
    """Give what `build_base` takes as `progress`; it writes to `stream`, nothing but row counts."""
    if not stream.isatty():
        yield _lines(stream)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as bar:
        task = bar.add_task("", total=1.0, rows="")
        yield lambda now: bar.update(task, description=now.stage, completed=now.done, rows=_rows(now))


def _lines(stream: TextIO) -> Callable[[BuildProgress], None]:
    last = time.monotonic()

    def show(now: BuildProgress) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY_S:
            last = time.monotonic()
            stream.write(f"{now.stage}: {now.done:.0%}, {_rows(now)}\n")
            stream.flush()

    return show


def _rows(now: BuildProgress) -> str:
    return f"{now.rows_read:,} rows, {now.rows_rejected:,} rejected"
