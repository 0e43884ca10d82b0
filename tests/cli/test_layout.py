"""Tables and lines in a terminal: nothing is lost, nothing is wider than the terminal if it can be helped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.cli.layout import table_lines, wrapped

COLUMNS = ("amounts", "account", "core_daily_trend", "demo_mean_reversion")
ROWS = [("profit", "+1.00", "+2.00", "-1.00"), ("drawdown length", "> 214 days", "3 days", "-")]


def test_where_there_is_room_heads_stay_whole() -> None:
    assert table_lines(COLUMNS, ROWS, None) == [
        "amounts             account  core_daily_trend  demo_mean_reversion",
        "profit                +1.00             +2.00                -1.00",
        "drawdown length  > 214 days            3 days                    -",
    ]
    assert table_lines(COLUMNS, ROWS, 66) == table_lines(COLUMNS, ROWS, None)


def test_heads_are_folded_before_the_table_is_parted() -> None:
    assert table_lines(COLUMNS, ROWS, 50) == [
        "                              core_      demo_",
        "                             daily_      mean_",
        "amounts             account   trend  reversion",
        "profit                +1.00   +2.00      -1.00",
        "drawdown length  > 214 days  3 days          -",
    ]


def test_a_table_that_is_still_too_wide_is_parted_and_each_part_has_the_labels() -> None:
    assert table_lines(COLUMNS, ROWS, 40) == [
        "                              core_",
        "                             daily_",
        "amounts             account   trend",
        "profit                +1.00   +2.00",
        "drawdown length  > 214 days  3 days",
        "",
        "                     demo_",
        "                     mean_",
        "amounts          reversion",
        "profit               -1.00",
        "drawdown length          -",
    ]


def test_a_table_without_rows_is_its_heads() -> None:
    assert table_lines(("one", "two"), [], None) == ["one  two"]


cells = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="_"), min_size=1, max_size=9)


@given(
    st.integers(2, 6).flatmap(lambda size: st.lists(st.lists(cells, min_size=size, max_size=size), min_size=1, max_size=5)),
    st.integers(20, 80),
)
def test_every_cell_is_somewhere_and_lines_fit(table: list[list[str]], width: int) -> None:
    lines = table_lines(table[0], table[1:], width)
    words = [word for line in lines for word in line.split()]
    assert all(cell in words for row in table for cell in row)
    assert max(map(len, lines)) <= width


def test_lines_hang_below_their_text_and_words_stay_whole() -> None:
    line = "window        2024-01-08 to 2024-06-30: binance 1h ETH/USDT LTC/USDT"
    assert wrapped(line, 14, None) == [line]
    assert wrapped(line, 14, 45) == ["window        2024-01-08 to 2024-06-30:", "              binance 1h ETH/USDT LTC/USDT"]
    assert wrapped("a " + "x" * 60, 14, 20) == ["a", " " * 14 + "x" * 60]
