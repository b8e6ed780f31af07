"""Charts of figures, as PNG files in the folder `run/bench`."""

from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path("run/bench")
INK, GRID = "#1b1f24", "#d8dde3"
COLOURS: Final = ("#0b6bcb", "#d9730d", "#2e8b57", "#8b3fa8", "#6b7280", "#b3261e", "#0891b2")


def _axes(title: str, across: str, up: str) -> tuple[Any, Any]:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 5.4), dpi=130, layout="constrained")
    axes.set_title(title, loc="left", color=INK, fontsize=13, fontweight="bold")
    axes.set_xlabel(across, color=INK)
    axes.set_ylabel(up, color=INK)
    axes.grid(True, which="major", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _saved(figure: Any, name: str) -> Path:
    from matplotlib import pyplot

    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.png"
    figure.savefig(path)
    pyplot.close(figure)
    return path


def cost_chart(name: str, across: str, up: str, lines: dict[str, list[tuple[float, float]]]) -> Path:
    """Draw cost against size, both on logarithmic axes, one line for each name; return the file."""
    from matplotlib.ticker import FuncFormatter

    figure, axes = _axes(f"{name}: processor time {up.removeprefix('us ')}, by {across}", across, "us")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for colour, (label, points) in zip(COLOURS * 2, lines.items(), strict=False):
        ours = label.startswith("ours")
        style = {"linewidth": 2.4 if ours else 1.5, "linestyle": "--" if label == "ours_match_only" else "-"}
        axes.plot(*zip(*points, strict=True), marker="o", markersize=5, color=colour, label=_words(label), **style)
        for place in points if ours and "match_only" not in label else []:
            axes.annotate(_number(place[1]), place, (-4, 7), textcoords="offset points", color=colour, ha="right")
    plain = FuncFormatter(lambda value, _: f"{value:,.10g}")
    axes.xaxis.set_major_formatter(plain)
    axes.yaxis.set_major_formatter(plain)
    axes.margins(0.08)
    if len(lines) > 1:
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _saved(figure, name)


def latency_chart(name: str, across: str, lines: dict[str, list[tuple[float, float]]]) -> Path:
    """Draw latency's percentiles against offered load, the latency on a logarithmic axis; return the file."""
    from matplotlib.ticker import FuncFormatter

    figure, axes = _axes("Latency from the intended start, open loop", across, "ms")
    axes.set_yscale("log")
    for colour, (label, points) in zip(COLOURS, lines.items(), strict=False):
        axes.plot(*zip(*points, strict=True), marker="o", markersize=5, linewidth=1.8, color=colour, label=label)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}" if f"{value:e}"[0] in "25" else ""))
    axes.legend(
        [label.replace("_", ".") for label in lines], frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5)
    )
    return _saved(figure, name)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _words(label: str) -> str:
    return label.replace("_", " ")
