"""The pictures of the daily report as SVG: equity, drawdown and exposure up to the reported day, which is marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dudzian_daemon.adapters.plots import thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _BLUE, _RED, _GREEN, _GREY, _LIGHT, _DAY = "#1c2430", "#1f5fbf", "#c8434f", "#2a8f7d", "#66707c", "#e6e9ed", "#f3c969"
_STYLE: Final[dict[Any, Any]] = {
    "font.size": 8.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "dudzian",
    "text.color": _INK,
    "axes.labelcolor": _GREY,
    "axes.edgecolor": _LIGHT,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _LIGHT,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
_WIDTH: Final = 7.2


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """A curve of (instant in ns, value); `day` is the stretch to mark, `highest` the highest value before the first point."""

    points: Sequence[tuple[int, float]]
    day: tuple[int, int]
    asset: str
    highest: float = 0.0


def equity_chart(curve: Curve) -> bytes:
    """Equity above, its fall from the highest so far below."""

    def draw(rows: Sequence[Axes]) -> None:
        instants, values = _split(curve)
        peaks = list(accumulate(values, max, initial=curve.highest))[1:]
        rows[0].axhline(values[0], color=_GREY, linewidth=0.8, linestyle=(0, (4, 3)))
        rows[0].plot(_times(instants), values, color=_BLUE, linewidth=1.2)
        rows[0].set_ylabel(f"equity, {curve.asset}")
        falls = [100 * (value / peak - 1) if peak > 0 else 0.0 for value, peak in zip(values, peaks, strict=True)]
        rows[1].fill_between(_times(instants), falls, 0, color=_RED, alpha=0.25, linewidth=0)
        rows[1].plot(_times(instants), falls, color=_RED, linewidth=0.9)
        rows[1].set_ylabel("drawdown, %")

    return _drawn(curve, draw, heights=(2.2, 1.0), height=2.9)


def exposure_chart(curve: Curve) -> bytes:
    """The value of all positions."""

    def draw(rows: Sequence[Axes]) -> None:
        instants, values = _split(curve)
        rows[0].fill_between(_times(instants), values, 0, color=_GREEN, alpha=0.2, linewidth=0, step="post")
        rows[0].step(_times(instants), values, color=_GREEN, linewidth=1.0, where="post")
        rows[0].set_ylabel(f"exposure, {curve.asset}")
        rows[0].set_ylim(bottom=0)

    return _drawn(curve, draw, heights=(1.0,), height=1.5)


def _drawn(curve: Curve, draw: Callable[[Sequence[Axes]], None], *, heights: tuple[float, ...], height: float) -> bytes:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    file = BytesIO()
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        axes = list(figure.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0])
        draw(axes)
        _dates(axes, curve)
        for each in axes:
            each.margins(x=0.01)
            each.axvspan(*_times(curve.day), color=_DAY, alpha=0.45, linewidth=0)
            for side in ("top", "right", "left"):
                each.spines[side].set_visible(False)
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return file.getvalue()


def _dates(axes: Sequence[Axes], curve: Curve) -> None:
    import matplotlib.dates

    dates: Any = matplotlib.dates  # which says nothing of its types
    locator = dates.AutoDateLocator(minticks=3, maxticks=8)
    axes[-1].xaxis.set_major_locator(locator)
    axes[-1].xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, show_offset=False))
    begin = min([curve.day[0], *(instant for instant, _ in curve.points[:1])])
    axes[-1].set_xlim(*_times((begin, curve.day[1])))


def _split(curve: Curve) -> tuple[list[int], list[float]]:
    return thinned([instant for instant, _ in curve.points], [value for _, value in curve.points])


def _times(instants: Sequence[int]) -> Any:
    import numpy as np

    return np.array(instants, dtype="datetime64[ns]")
