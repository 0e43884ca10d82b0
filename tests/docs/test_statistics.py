"""Every figure of a backtest and every member of its document is defined in the reference, and no other is."""

from __future__ import annotations

import re
from pathlib import Path

from dudzian_daemon.app.backtest.result import BacktestResult
from dudzian_daemon.domain.statistics import Statistics

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reference" / "statistics.md").read_text(encoding="utf-8")


def keys(section: str) -> set[str]:
    return set(re.findall(r"^\| `([a-z_]+)` \|", section, flags=re.MULTILINE))


def test_every_figure_is_defined() -> None:
    curve, _, rest = TEXT.partition("## Beside quantstats")
    assert keys(curve) == set(Statistics.__struct_fields__)
    assert keys(rest.partition("## The document")[0]) < set(Statistics.__struct_fields__)


def test_every_member_of_the_document_is_listed() -> None:
    assert keys(TEXT.partition("## The document")[2]) == set(BacktestResult.__struct_fields__)


def test_every_option_is_in_the_howto() -> None:
    source = (ROOT / "dudzian_daemon" / "cli" / "commands" / "backtest.py").read_text(encoding="utf-8")
    signature = source.partition("def command(")[2].partition(") -> None:")[0]
    options = set(re.findall(r'"(--[a-z-]+)"', signature)) | {"--data-dir", "--config"}
    howto = (ROOT / "docs" / "howto" / "backtest.md").read_text(encoding="utf-8")
    assert {option for option in options if f"`{option}" not in howto and f"**`{option}" not in howto} == set()
