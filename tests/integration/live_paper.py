"""A whole live paper run in a child process against the loopback exchange here, both on one clock that runs ahead."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from dudzian_daemon.adapters.tape import read_frame
from dudzian_daemon.testing.clock import AcceleratedClock
from dudzian_daemon.testing.exchange import LoopbackExchange
from tests.integration.daemon_process import Child, cycles, journal_lines, session_folder, write_config

#: Seconds of market time in one of the machine's.
SPEED = 100
RUNNER = Path(__file__).with_name("fast_daemon.py")
ENVIRONMENT = "binance_paper"


class Market:
    """The exchange with the clock it shares with the daemon, and a portal to call it by."""

    def __init__(self, portal: BlockingPortal, exchange: LoopbackExchange, clock: AcceleratedClock) -> None:
        self.portal = portal
        self.exchange = exchange
        self.clock = clock

    def until_asked(self, path: str, times: int) -> None:
        """Wait for so many requests."""
        self.portal.call(self.exchange.until_asked, path, times)

    def more(self, path: str, times: int) -> None:
        """Wait for so many further requests."""
        self.until_asked(path, len(self.exchange.asked(path)) + times)


@contextmanager
def market() -> Iterator[Market]:
    """An exchange whose clock runs ahead."""
    clock = AcceleratedClock(SPEED)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(LoopbackExchange(clock)) as exchange:
        yield Market(portal, exchange, clock)


def configured(home: Path, **changes: tuple[str, str]) -> Path:
    """The core set, with its reversion on minutes and its arbitrage quickly warm; quotes are pushed."""
    return write_config(home, **DEFAULT_CHANGES, **changes)


REVERSION = "interval: {}, cadence_seconds: {}, max_drift_seconds: 120, warmup_bars: 120"
ARBITRAGE = "cadence_seconds: 30, max_drift_seconds: {}, warmup_bars: {}"
LIMITS = "max_notional: 75000, max_open_seconds: 180{}}}"
PURPOSE = "    credential_purpose: trading\n"
DEFAULT_CHANGES: dict[str, tuple[str, str]] = {
    "reversion": (REVERSION.format("5m", 900), REVERSION.format("1m", 60)),
    "arbitrage": (ARBITRAGE.format(10, 30), ARBITRAGE.format(60, 2)),
    "spread": (LIMITS.format(""), LIMITS.format(", max_age_seconds: 60")),
    "port": ("metrics_service: {", "metrics_service: {enabled: false, "),
    "streams": (PURPOSE, PURPOSE + "    adapter_settings: {streams: true, quote_seconds: 5}\n"),
}


def start(home: Path, market: Market, config: Path, *arguments: object, env: Mapping[str, str] | None = None) -> Child:
    """`dudzian run` on the market's data."""
    program = (str(RUNNER), str(SPEED), str(market.clock.since_ns), str(home / "addresses"))
    said = ("run", "-e", ENVIRONMENT, "--config", config, "--data-dir", home / "data", "--no-ui", "--base-url", market.exchange.url)
    return Child(home, *said, *arguments, env=env, program=program)


def addresses(home: Path) -> list[str]:
    """Everything the child connected to or looked up."""
    return (home / "addresses").read_text(encoding="utf-8").splitlines()


def recorded(home: Path) -> list[dict[str, Any]]:
    """All cycles with all of their inputs: of a busy machine some have so many that they stand in a frame of the tape."""
    folder = session_folder(home / "data")
    return [each | {"inputs": _unfolded(each["inputs"], folder)} for each in cycles(journal_lines(home / "data"))]


def _unfolded(found: list[list[Any]], folder: Path) -> list[list[Any]]:
    if found and found[0][0] == "frame":
        inside: list[list[Any]] = json.loads(read_frame(folder, found[0][2]))
        return inside
    return found


def inputs(made: list[dict[str, Any]], kind: str) -> list[list[Any]]:
    """All recorded inputs of a kind."""
    return [item for cycle in made for item in cycle["inputs"] if item[0] == kind]
