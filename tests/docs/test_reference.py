"""What the code knows by name, the documents know too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dudzian_daemon.app.plugins.loader import load_plugin, make_strategy
from dudzian_daemon.cli.main import command_names
from dudzian_daemon.domain import events
from dudzian_daemon.domain.events import ControllerCycle
from dudzian_daemon.domain.market import HOUR_NS, Candle, Series
from dudzian_daemon.domain.orders import Intent, RefusalCode
from dudzian_daemon.domain.ports import MarketView, Position

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
TOPICS = sorted(value for name, value in vars(events).items() if name.isupper() and isinstance(value, str))


def table_keys(path: Path) -> set[str]:
    """First cells of the tables in a document that are one code word."""
    return set(re.findall(r"^\| `([a-z_.]+)` \|", path.read_text(), flags=re.MULTILINE))


def test_every_refusal_code_is_documented_and_no_other() -> None:
    assert table_keys(REFERENCE / "risk-codes.md") == set(RefusalCode)


def test_every_topic_is_documented_and_no_other() -> None:
    documented = {key for key in table_keys(REFERENCE / "events.md") if "." in key}
    assert documented == set(TOPICS)


def test_every_key_of_the_cycle_event_is_documented() -> None:
    text = (REFERENCE / "events.md").read_text().partition("## auto_trader.controller_cycle")[2]
    assert set(re.findall(r"`([a-z_]+)`", text)) >= set(ControllerCycle.__struct_fields__)


@pytest.mark.parametrize("document", sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")]), ids=lambda path: path.name)
def test_links_lead_to_files(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text())
    broken = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("document", sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")]), ids=lambda path: path.name)
def test_commands_named_in_documents_exist(document: Path) -> None:
    named = set(re.findall(r"`(?:\.venv/bin/)?dudzian ([a-z][a-z-]+)", document.read_text()))
    assert named <= set(command_names())


def test_the_strategy_of_the_howto_works(tmp_path: Path) -> None:
    source = re.findall(r"```python\n(.*?)```", (ROOT / "docs/howto/write-a-strategy.md").read_text(), flags=re.DOTALL)[0]
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "above_mean.py").write_text(source)
    strategy = make_strategy(load_plugin("strategies", "above_mean", [tmp_path]), {"window": 2})
    state = strategy.new_state()
    for number, close in enumerate((10.0, 11.0)):
        end = (number + 1) * HOUR_NS
        strategy.on_candle(state, Candle(end, "x:A/B", "1h", end, close, close, close, close, 1.0))
    (signal,) = strategy.decide(state, MarketView(instant=2 * HOUR_NS, candles={}, positions={"x:A/B": Position()}))
    assert (signal.intent, signal.numbers) == (Intent.ENTER, {"close": 11.0, "mean": 10.5})
    assert strategy.series(["x:A/B"], "1h")[0].series == Series("x:A/B", "1h")
