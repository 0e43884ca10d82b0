"""Draws an equity curve with its drawdown: a PNG, or an HTML page that is whole in itself (inline SVG, no script, no network).

matplotlib is the extra `reports` and is imported where something is drawn. It knows no backtest: what to draw is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.util import find_spec
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dudzian_daemon.adapters.files import write_atomic
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Points of one curve in one window: more than the picture has columns.
MOST_POINTS: Final = 2_000

_WIDTH, _HEIGHT, _DPI = 10.0, 5.6, 120
_BLUE, _RED, _INK, _GREY, _LIGHT = "#1f5fbf", "#c8434f", "#1c2430", "#66707c", "#e6e9ed"
_STRATEGY_COLOURS: Final = ("#e08a1e", "#2a9d8f", "#8e5fc4", "#d0679d", "#6b8e23", "#8c6d46")
#: Solid until the colours are used up, then dashed, then dotted.
_LINE_STYLES: Final = ("-", "--", ":")
#: Letters that have room in one row of the legend, and those that a label's line and distance take.
_LEGEND_LETTERS, _LINE_LETTERS = 150, 9
_STYLE: Final[dict[Any, Any]] = {
    "font.size": 9.5,
    "text.color": _INK,
    "axes.labelcolor": _GREY,
    "axes.edgecolor": _LIGHT,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _LIGHT,
    "grid.linewidth": 0.8,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "svg.hashsalt": "dudzian",
}
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #1c2430; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }}
svg {{ width: 100%; height: auto; }}
h2 {{ font-size: 1.1rem; margin: 2rem 0 .5rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem .9rem .25rem 0; text-align: right; border-bottom: 1px solid #e6e9ed; white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; }}
th {{ color: #66707c; font-weight: 600; }}
</style>
</head>
<body>
{picture}
{tables}
</body>
</html>
"""

Columns = tuple[Sequence[int], Sequence[float]]


class EquityPlot(msgspec.Struct, frozen=True, kw_only=True):
    """What to draw. Curves are instants (ns) with equities; `spans` are the windows, in order, each drawn beside the one before."""

    title: str
    subtitle: str
    asset: str
    opening: float
    total: Columns
    strategies: Mapping[str, Columns]
    spans: Sequence[tuple[int, int]]


class TextTable(msgspec.Struct, frozen=True):
    """A table for people: what it and its columns are called, and its rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def require_plottable(path: Path) -> None:
    """Raise `ConfigError` unless a plot can be written to `path`: its ending, its folder, and the library."""
    if path.suffix not in (".png", ".html"):
        msg = f"--plot: expected a file that ends in .png or .html, found {path}"
        raise ConfigError(msg)
    if not path.parent.is_dir():
        msg = f"--plot: expected a folder at {path.parent}, found none; make it first"
        raise ConfigError(msg)
    if find_spec("matplotlib") is None:
        msg = '--plot needs matplotlib, which is not installed: pip install "dudzian[reports]"'
        raise ConfigError(msg)


def write_plot(path: Path, plot: EquityPlot, tables: Sequence[TextTable]) -> None:
    """Draw into `path`; the page also has the tables. Raises `ConfigError` as `require_plottable`, or what the disk says."""
    require_plottable(path)
    if path.suffix == ".png":
        write_atomic(path, _drawn(plot, "png"))
    else:
        write_atomic(path, page(plot, tables).encode())


def page(plot: EquityPlot, tables: Sequence[TextTable]) -> str:
    """The page as text."""
    svg = _drawn(plot, "svg").decode()
    picture = svg[svg.index("<svg") :]
    return _PAGE.format(title=escape(plot.title), picture=picture, tables="\n".join(map(_html_table, tables)))


def thinned(instants: Sequence[int], values: Sequence[float], most: int = MOST_POINTS) -> tuple[list[int], list[float]]:
    """At most about `most` points of a curve: of each stretch its first, lowest, highest and last, so that no extreme is lost."""
    size = max(1, -(-len(values) * 4 // most))
    if size <= 4:
        return list(instants), list(values)
    kept = [index for start in range(0, len(values), size) for index in _corners(values, start, min(start + size, len(values)))]
    return [instants[index] for index in kept], [values[index] for index in kept]


def _corners(values: Sequence[float], start: int, end: int) -> list[int]:
    within = range(start, end)
    return sorted({start, min(within, key=values.__getitem__), max(within, key=values.__getitem__), end - 1})


def _drawn(plot: EquityPlot, form: str) -> bytes:
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    file = BytesIO()
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, hspace=0.02, wspace=0.0))
        _draw(figure, plot)
        metadata = {"Software": None} if form == "png" else {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(file, format=form, dpi=_DPI, metadata=metadata)
    return file.getvalue()


def _draw(figure: Figure, plot: EquityPlot) -> None:
    lengths = [end - start for start, end in plot.spans]
    axes = figure.subplots(
        2,
        len(plot.spans),
        sharex="col",
        sharey="row",
        squeeze=False,
        gridspec_kw={"height_ratios": (3, 1), "width_ratios": [max(length, sum(lengths) // 20) for length in lengths]},
    )
    falls = _falls(plot)
    for column, span in enumerate(plot.spans):
        _draw_equity(axes[0][column], plot, span)
        _draw_drawdown(axes[1][column], _within(plot.total[0], falls, span))
        _set_dates(axes[1][column], span)
    axes[0][0].set_title(plot.subtitle, loc="left", fontsize=9.5, color=_GREY)
    place = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes[0][0].annotate(plot.title, (0.0, 1.0), (0.0, 24.0), **place, fontsize=13, fontweight="bold", annotation_clip=False)
    axes[0][0].set_ylabel(f"equity, {plot.asset}")
    axes[1][0].set_ylabel("drawdown")
    _set_numbers(axes[0][0], 1, "")
    _set_numbers(axes[1][0], 100, " %")
    if len(plot.strategies) > 1:
        _draw_legend(figure, axes[0][0])
    for row in axes:
        for each in row:
            for side in ("top", "right", "left"):
                each.spines[side].set_visible(False)


def _draw_legend(figure: Figure, axes: Axes) -> None:
    """The account first; as many in a row as have room, about as many in each."""
    handles, labels = axes.get_legend_handles_labels()
    rows = -(-sum(len(label) + _LINE_LETTERS for label in labels) // _LEGEND_LETTERS)
    figure.legend(
        [*handles[-1:], *handles[:-1]],
        [*labels[-1:], *labels[:-1]],
        loc="outside lower left",
        ncols=-(-len(labels) // rows),
        frameon=False,
        fontsize=8.5,
    )


def _draw_equity(axes: Axes, plot: EquityPlot, span: tuple[int, int]) -> None:
    instants, equity = _within(*plot.total, span)
    times = _times(instants)
    if len(plot.strategies) > 1:
        for number, (name, curve) in enumerate(plot.strategies.items()):
            days, values = _within(*curve, span)
            again, place = divmod(number, len(_STRATEGY_COLOURS))
            style = _LINE_STYLES[again % len(_LINE_STYLES)]
            axes.plot(_times(days), values, color=_STRATEGY_COLOURS[place], linestyle=style, linewidth=1.0, label=name)
    axes.axhline(plot.opening, color=_GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.plot(times, equity, color=_BLUE, linewidth=1.4, label="account", solid_joinstyle="round")
    axes.fill_between(times, equity, plot.opening, color=_BLUE, alpha=0.08, linewidth=0)
    axes.margins(x=0)


def _draw_drawdown(axes: Axes, curve: Columns) -> None:
    times = _times(curve[0])
    axes.fill_between(times, curve[1], 0.0, color=_RED, alpha=0.25, linewidth=0)
    axes.plot(times, curve[1], color=_RED, linewidth=0.9)
    axes.margins(x=0)


def _set_numbers(axes: Axes, scale: int, unit: str) -> None:
    """Write the ticks with as few decimals as tell them apart."""

    def text(value: float, _position: float) -> str:
        ticks = [tick * scale for tick in axes.yaxis.get_majorticklocs()]
        places = next((places for places in range(6) if all(math.isclose(tick, round(tick, places), abs_tol=1e-9) for tick in ticks)), 6)
        return f"{value * scale or 0.0:,.{places}f}{unit}"

    axes.yaxis.set_major_formatter(text)


def _set_dates(axes: Axes, span: tuple[int, int]) -> None:
    import matplotlib.dates

    dates: Any = matplotlib.dates  # which says nothing of its types
    locator = dates.AutoDateLocator(minticks=2, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, show_offset=False))
    start, end = _times(span)
    axes.set_xlim(start, end)
    axes.set_xlabel(f"{str(start)[:10]} to {str(end - 1)[:10]}", fontsize=8.5)


def _falls(plot: EquityPlot) -> list[float]:
    """Distance of each equity from the highest before it, as a share of that, at most 0."""
    peaks = accumulate(plot.total[1], max, initial=plot.opening)
    next(peaks)
    return [value / peak - 1.0 if peak > 0 else 0.0 for value, peak in zip(plot.total[1], peaks, strict=True)]


def _within(instants: Sequence[int], values: Sequence[float], span: tuple[int, int]) -> tuple[list[int], list[float]]:
    """The points of a curve in a window; what belongs to its very end is stamped a few ns after it."""
    start, end = span
    chosen = [(instant, value) for instant, value in zip(instants, values, strict=True) if start <= instant <= end + 1_000]
    return thinned([instant for instant, _ in chosen], [value for _, value in chosen])


def _times(instants: Sequence[int]) -> Any:
    import numpy as np

    return np.array(instants, dtype="datetime64[ns]")


def _html_table(table: TextTable) -> str:
    rows = [_html_row("th", table.columns), *(_html_row("td", row) for row in table.rows)]
    return f'<h2>{escape(table.title)}</h2>\n<div class="wide"><table>\n{"".join(rows)}</table></div>'


def _html_row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(_html_cells(tag, cells))}</tr>\n"


def _html_cells(tag: str, cells: Sequence[str]) -> Iterator[str]:
    return (f"<{tag}>{escape(cell)}</{tag}>" for cell in cells)
