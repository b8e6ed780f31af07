"""`touchpoint bench`: measures this machine, ours beside the rivals'."""

import importlib
import json
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

if TYPE_CHECKING:
    from bench.sizes import Sizes

NAMES: Final = {
    "match": "bench.match",
    "engine": "bench.engine_alone",
    "rpc": "bench.rpc",
    "batch": "bench.batch",
    "columns": "bench.columns",
    "load": "bench.load",
    "ledger": "bench.ledger",
    "restart": "bench.restart",
    "reload": "bench.reload",
    "scale": "bench.scale",
    "memory": "bench.memory",
    "start": "bench.start",
    "steady": "bench.steady",
}
"""Each bench's module: `run(sizes)` returns its figures, FIGURES says which of them count."""


@click.command(
    epilog="""Examples:

    touchpoint bench rpc

    touchpoint bench rpc --json --seconds 5 --repeats 9

    touchpoint bench rpc --smallest
    """
)
@click.argument("name", metavar="BENCH", type=click.Choice([*NAMES, "all"]))
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON with every run.")
@click.option(
    "--world",
    type=click.Choice(["tiny", "city", "country"]),
    default=None,
    show_default="the bench's own",
    help="Ten thousand, a million, a hundred million subscribers.",
)
@click.option(
    "--rows", type=click.IntRange(1, 100_000_000), default=None, show_default="as the world has", help="Subscribers."
)
@click.option(
    "--seed",
    type=click.IntRange(0, 65_535),
    default=1,
    show_default=True,
    help="Draws worlds, rules, requests and arrivals.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 1_000),
    default=None,
    show_default="5",
    help="Interleaved runs of each subject; the median counts.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.05, 3_600),
    default=None,
    show_default="the bench's own",
    help="Length of one run.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that drive the load; one drives a hundred thousand calls a second.",
)
@click.option("--smallest", is_flag=True, help="As small as it gets: shows that it works, measures nothing.")
def bench(name: str, as_json: bool, **sizes: Any) -> None:
    """Measure, ours beside the rivals' that are installed, and say what each figure means.

    BENCH is match, engine, rpc, batch, columns, load, ledger, restart, reload, scale, memory, start, steady or all.

    The server has one core, the load the others. A run whose answers are not what was asked for fails; of all, the others go on.
    """
    try:
        from bench.sizes import Sizes

        found, failed = _found(list(NAMES) if name == "all" else [name], Sizes(**sizes), as_json)
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error}; benches need more than serving does: pip install .[bench,build,fast]"
        ) from None
    if found and not as_json:
        _print(found, Sizes(**sizes))
    if failed:
        raise click.ClickException("; ".join(failed))


def _found(names: list[str], sizes: "Sizes", as_json: bool) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the figures of each bench that did not fail, and why the others did; with `as_json`, print each as soon as it is there."""
    found, failed = {}, []
    for number, name in enumerate(names, 1):
        if len(names) > 1:
            click.echo(f"{name} ({number} of {len(names)})", err=True)
        try:
            found[name] = _measured(name, sizes)
        except click.ClickException as error:
            failed.append(error.message)
            continue
        if as_json:
            click.echo(json.dumps(found[name]))
    return found, failed


def _measured(name: str, sizes: "Sizes") -> dict[str, Any]:
    from bench.connection import LoadError
    from bench.machine import machine
    from bench.measured import RunError
    from bench.subjects import StartError

    begun = machine()
    try:
        figures = importlib.import_module(NAMES[name]).run(sizes)
    except (RunError, LoadError, StartError) as error:
        raise click.ClickException(f"{name}: {error}") from None
    return {"bench": name, "seed": sizes.seed, "machine": begun, **figures}


def _print(found: dict[str, dict[str, Any]], sizes: "Sizes") -> None:
    from bench.report import console, figures_table, grid_table, machine_lines, percentiles_table

    out = console()
    first = next(iter(found.values()))
    out.print(machine_lines(first["machine"], sizes.seed), highlight=False)
    out.print(
        figures_table(
            [(name, figures, importlib.import_module(NAMES[name]).FIGURES) for name, figures in found.items()],
            judged=not sizes.smallest,
        )
    )
    for bench_name, figures in found.items():
        for grid in getattr(importlib.import_module(NAMES[bench_name]), "tables", _no_tables)(figures):
            out.print(grid_table(grid))
        if "percentiles" in figures:
            out.print(percentiles_table(figures["percentiles"]))
        for name, why in figures.get("missing", {}).items():
            out.print(f"{name} was not measured: {why}", highlight=False)
        for path in figures.get("charts", []):
            out.print(f"chart: {path}", highlight=False)


def _no_tables(_figures: dict[str, Any]) -> list[Any]:
    return []
