"""`run-daily-trend --adapter-factory`: a venue's market data by another plugin, checked as any, and never a way to an order."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.app.plugins.adapters import adapters_of
from dudzian_daemon.app.venues import Venues
from dudzian_daemon.config.load import load
from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.errors import PluginError
from dudzian_daemon.kernel import logs
from dudzian_daemon.testing.clock import ManualClock
from tests.integration.daemon_process import LAST_LINE, Child, dudzian
from tests.integration.live_paper import ENVIRONMENT, RUNNER, SPEED, configured, market

assert sys.platform != "win32", "signals as POSIX has them"

pytestmark = pytest.mark.integration

BINANCE = (bundled("plugins") / "exchanges" / "binance.py").read_text(encoding="utf-8")
SOURCE = """
from dudzian_daemon.api.exchange import VenueProfile

class Trader:
    async def create_order(self, symbol, side): ...
    async def candle_rows(self, symbol, granularity, since_ms, until_ms, limit): return []
    async def close(self): ...

class Mine:
    profile = VenueProfile(name="binance", hosts=(), granularities=("1d",), candles_per_call=10, weight_limit=60)
    def source(self, access): return Trader()

PLUGIN = Mine
"""


def module(folder: Path, name: str, text: str) -> dict[str, str]:
    """An importable module; the environment in which it is."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH", "")])])}


def test_a_live_session_is_fed_by_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    env = module(tmp_path / "own", "my_venue", BINANCE.replace("candles_per_call=1000", "candles_per_call=13"))
    config = configured(home)
    with market() as venue:
        program = (str(RUNNER), str(SPEED), str(venue.clock.since_ns), str(home / "addresses"))
        places = ("--config", config, "--data-dir", home / "data", "--runtime-plan-jsonl", home / "plan.jsonl")
        said = ("run-daily-trend", "-e", ENVIRONMENT, "--adapter-factory", "binance=my_venue", "--base-url", venue.exchange.url, "--no-ui")
        with Child(home, *said, *places, env=env, program=program) as child:
            child.wait_for_log('"event":"live"')
            child.send(signal.SIGINT)
            ended = child.end()
        assert (ended.code, ended.last_line) == (0, LAST_LINE), ended.err
        limits = {request.query.get("limit") for request in venue.exchange.asked("klines")}
    assert "13" in limits and "1000" not in limits
    (told,) = json.loads((home / "plan.jsonl").read_text())["environment_details"]["adapter_factories"]
    assert (told["venue"], told["spec"], told["class"], told["module"]) == (
        "binance",
        "my_venue",
        "Binance",
        str(tmp_path / "own" / "my_venue.py"),
    )


@pytest.mark.parametrize(
    ("said", "text", "line"),
    [
        ("kraken=kraken", "", "--adapter-factory: this run asks no venue 'kraken'; known: binance"),
        ("binance", "", "--adapter-factory: expected VENUE=PLUGIN or VENUE=importable.module, found 'binance'"),
        ("binance=kraken", "", "plugin exchanges/kraken: expected `profile`, a VenueProfile of the name 'binance', found "),
        ("binance=no.such", "", "--adapter-factory: 'no.such' is no exchange plugin, and as a module: "),
        ("binance=mine:factory", "", "expected the name of an importable one such as my_venues.binance, with nothing behind it"),
        ("binance=mine", "PLUGIN = 1\n", "PLUGIN: expected a class, found 1"),
        (
            "binance=mine",
            BINANCE.replace("    def source", "    async def create_order(self): ...\n\n    def source"),
            "create_order: expected market data only, found a way to an order",
        ),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(tmp_path: Path, said: str, text: str, line: str) -> None:
    env = module(tmp_path / "own", "mine", text)
    ended = dudzian(tmp_path, "run-daily-trend", "--live", "--adapter-factory", said, "--data-dir", tmp_path / "data", env=env)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1), ended
    assert line in ended.err
    assert not (tmp_path / "data").exists()


@pytest.fixture
def venues(tmp_path: Path) -> Venues:
    """Venues whose binance is a plugin that hides a way to an order in its source; made off the loop."""
    logs.logger("venues")
    folder = tmp_path / "plugins"
    module(folder / "exchanges", "trader", SOURCE)
    folders = [bundled("plugins"), folder]
    adapters = adapters_of(["binance=trader"], ["binance"], folders)
    store = ParquetCandleStore(tmp_path / "store")
    return Venues(load(None, env={}).config, ENVIRONMENT, folders, tmp_path, store, ManualClock(), adapters)


async def test_a_source_that_could_trade_is_not_opened(venues: Venues) -> None:
    with pytest.raises(PluginError, match="expected a source of market data only, found a way to an order: create_order"):
        await venues.open("binance")
