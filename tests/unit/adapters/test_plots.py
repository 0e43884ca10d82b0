"""The drawing: no extreme is lost, the page is whole in itself, the same input gives the same bytes, and what is missing is said."""

from __future__ import annotations

import importlib.util
import math
import re
import struct
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.adapters.plots import MOST_POINTS, EquityPlot, TextTable, page, require_plottable, thinned, write_plot
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import DAY_NS, HOUR_NS
from dudzian_daemon.testing.market import START_NS

HOURS = range(START_NS, START_NS + 20 * DAY_NS, HOUR_NS)
CURVE = [10_000.0 + 300.0 * math.sin(number / 20.0) for number in range(len(HOURS))]
TABLE = TextTable("Figures", ("", "account"), [("profit", "-1.00 <b>")])
PLOT = EquityPlot(
    title="Backtest of a & b",
    subtitle="return +1 %",
    asset="USDT",
    opening=10_000.0,
    total=(HOURS, CURVE),
    strategies={"first": (HOURS, CURVE), "second": (HOURS, [10_000.0] * len(HOURS))},
    spans=[(START_NS, START_NS + 8 * DAY_NS), (START_NS + 12 * DAY_NS, START_NS + 20 * DAY_NS)],
)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(8, 60))
def test_thinning_keeps_order_ends_and_extremes(values: list[float], most: int) -> None:
    instants, kept = thinned(range(len(values)), values, most)
    assert instants == sorted(set(instants))
    assert kept == [values[instant] for instant in instants]
    assert (kept[0], kept[-1], min(kept), max(kept)) == (values[0], values[-1], min(values), max(values))
    assert len(kept) <= max(most, 4) + 4


def test_a_short_curve_is_not_thinned() -> None:
    values = [float(number % 7) for number in range(MOST_POINTS)]
    assert thinned(range(MOST_POINTS), values) == (list(range(MOST_POINTS)), values)


def test_a_png_has_its_size_and_is_the_same_every_time(tmp_path: Path) -> None:
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    for path in (first, second):
        write_plot(path, PLOT, [])
    data = first.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (1200, 672)
    assert data == second.read_bytes()


def test_a_page_is_whole_in_itself_and_the_same_every_time() -> None:
    text = page(PLOT, [TABLE])
    assert text == page(PLOT, [TABLE])
    assert "<script" not in text
    assert "<img" not in text
    references = re.findall(r"""(?:href|src)="([^"]*)"|url\(([^)]*)\)""", text)
    assert all((either or other).startswith("#") for either, other in references)


def test_a_page_has_its_texts_escaped() -> None:
    text = page(PLOT, [TABLE])
    assert "<title>Backtest of a &amp; b</title>" in text
    assert "<h2>Figures</h2>" in text
    assert "<td>-1.00 &lt;b&gt;</td>" in text


@pytest.mark.parametrize(
    "changes",
    [
        {"strategies": {}, "spans": PLOT.spans[:1]},
        {"total": ([], []), "strategies": {}},
        {"total": (HOURS, [0.0] * len(HOURS)), "opening": 0.0},
        {"total": (HOURS, [10_000.0] * len(HOURS))},
        {"strategies": {f"a_strategy_with_a_long_name_{number}": (HOURS, CURVE) for number in range(9)}},
    ],
    ids=["one strategy", "no cycle", "nothing", "flat", "nine strategies"],
)
def test_what_is_unusual_is_drawn_too(changes: dict[str, object]) -> None:
    assert "</svg>" in page(msgspec.structs.replace(PLOT, **changes), [])


def test_a_curve_that_moves_by_cents_has_ticks_that_differ() -> None:
    cents = msgspec.structs.replace(PLOT, total=(HOURS, [10_000.0 - number / 1e4 for number in range(len(HOURS))]), strategies={})
    text = page(cents, [])
    labels = re.findall(r"<!-- (9,999\.\d+|10,000\.\d+) -->", text)
    assert len(labels) == len(set(labels)) > 2


@pytest.mark.parametrize("name", ["equity.pdf", "equity", "equity.PNG", ".png"])
def test_other_endings_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--plot: expected a file that ends in \.png or \.html"):
        require_plottable(tmp_path / name)


def test_a_missing_library_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dudzian_daemon.adapters.plots.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'needs matplotlib, which is not installed: pip install "dudzian\[reports\]"'):
        write_plot(tmp_path / "equity.png", PLOT, [])
    assert importlib.util.find_spec("matplotlib") is not None
    assert list(tmp_path.iterdir()) == []
