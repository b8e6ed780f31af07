"""Figures as tables for people: machine, what was measured, what it means, what was aimed at; percentiles of every subject."""

from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.figure import Figure, Grid
from bench.measured import PERCENTILES

MEASURED_IN: Final = 160
"""Columns of a table when the output is no terminal."""


def console() -> Console:
    """Return where tables go."""
    found = Console()
    return found if found.is_terminal else Console(width=MEASURED_IN)


def figures_table(parts: Sequence[tuple[str, dict[str, Any], Sequence[Figure]]], judged: bool = True) -> Table:
    """Return one table of some benches' figures: (name, what `run` returned, its figures); unless `judged`, targets are shown and not compared."""
    table = Table(title="Figures", title_justify="left")
    for heading, justify in (
        ("bench", "left"),
        ("figure", "left"),
        ("measured", "right"),
        ("target", "right"),
        ("", "left"),
        ("means", "left"),
    ):
        table.add_column(heading, justify=justify, no_wrap=heading in ("bench", "measured"))  # type: ignore[arg-type]  # a literal
    for name, found, figures in parts:
        for place, figure in enumerate(figures):
            met = figure.met(found) if judged else None
            verdict = "" if met is None else "met" if met else "[bold]missed[/bold]"
            shown = (
                name if place == 0 else "",
                figure.path,
                _shown(figure.value(found), figure.unit),
                figure.target,
                verdict,
            )
            table.add_row(*shown, figure.means)
        table.add_section()
    return table


def percentiles_table(runs: dict[str, list[dict[str, Any]]]) -> Table:
    """Return the percentiles of latency of some subjects' runs, the median over the runs."""
    table = Table(title="Latency in ms, median over the runs", title_justify="left")
    table.add_column("subject")
    for heading in ("runs", "calls/s", *PERCENTILES, "server us/call", "server busy", "load busy", "limited by"):
        table.add_column(heading, justify="right")
    for name, taken in runs.items():
        middle = {key: median(run["latency_ms"][key] for run in taken) for key in PERCENTILES}
        others = [
            median(run[key] for run in taken)
            for key in ("server_us_per_call", "server_utilisation", "generator_utilisation")
        ]
        costs = (
            f"{others[0]:,.1f}",
            f"{others[1]:.0%}",
            f"{others[2]:.0%}",
            ", ".join(sorted({r["limited_by"] for r in taken})),
        )
        rate = f"{median(run['calls_per_s'] for run in taken):,.0f}"
        table.add_row(name, str(len(taken)), rate, *(f"{middle[key]:,.3f}" for key in PERCENTILES), *costs)
    return table


def grid_table(grid: Grid) -> Table:
    """Return a bench's own table."""
    table = Table(title=grid.title, title_justify="left")
    for place, heading in enumerate(grid.headings):
        table.add_column(heading, justify="right" if place else "left")
    for row in grid.rows:
        table.add_row(*(_shown(value, "") for value in row))
    return table


def machine_lines(machine: dict[str, Any], seed: int) -> str:
    """Return what the figures were measured on."""
    versions = ", ".join(f"{name} {said}" for name, said in machine["versions"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, load {machine['load_1min']}, {machine['date']}\n"
        f"{versions}\nseed {seed}"
    )


def _shown(value: Any, unit: str) -> str:
    if value is None:
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,.3f}".rstrip("0").rstrip(".") + (f" {unit}" if unit else "")
    return str(value)
