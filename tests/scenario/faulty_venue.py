"""A backfill through the real client from a loopback exchange that answers wrongly again and again, and what is to be true of it."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec
from anyio.from_thread import start_blocking_portal

from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.adapters.venue_budget import CEILING
from dudzian_daemon.cli.main import main
from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, Candle, Series
from dudzian_daemon.kernel.clock import SystemClock
from dudzian_daemon.testing.exchange import LoopbackExchange
from dudzian_daemon.testing.exchange_faults import Fault, FaultKind, Request
from dudzian_daemon.testing.exchange_market import MARKETS, POL, Market

ENVIRONMENT: Final = "binance_paper"
#: The end of MATIC; POL, which it became, began three days later.
RENAMED: Final = datetime(2024, 9, 10, tzinfo=UTC)
#: Requests a minute times their weight that Binance allows an address.
LIMIT: Final = 6000

WHOLE_ANSWER: Final[tuple[FaultKind, ...]] = ("status", "limit", "ban", "hang", "reset", "truncated", "html", "interval")
SINGLE_ROWS: Final[tuple[FaultKind, ...]] = ("nan", "zero", "duplicate", "contradiction", "future")
LOST_ROWS: Final[tuple[FaultKind, ...]] = ("gap", "empty")
#: Where fewer rows are asked for, the client cuts off what is one too many, and a row may be wrong without another to show it.
FEWEST: Final = 10
#: ccxt sorts rows before anybody sees them: their disorder can be told by nobody.
UNSEEN: Final[tuple[FaultKind, ...]] = ("disorder",)
#: aiohttp asks once more by itself where a connection that was kept open turns out to be lost: some of these nobody sees either.
SOME_UNSEEN: Final[tuple[FaultKind, ...]] = ("reset",)
KINDS: Final = (*WHOLE_ANSWER, *SINGLE_ROWS, *LOST_ROWS, *UNSEEN)


class Storm:
    """Draws a fault for a share of the requests for candles, every kind about as often; `retry_after_s` is what limits and bans ask for."""

    def __init__(self, seed: int, share: float, retry_after_s: int) -> None:
        self._random = Random(seed)
        self._share = share
        self._retry_after_s = retry_after_s
        self._bag: list[FaultKind] = []

    def __call__(self, path: str) -> Fault | None:
        """For `LoopbackExchange.draw`."""
        if "klines" not in path or self._random.random() >= self._share:
            return None
        if not self._bag:
            self._bag = list(KINDS)
            self._random.shuffle(self._bag)
        kind = self._bag.pop()
        if kind in (*SINGLE_ROWS, *LOST_ROWS) and _asked_for(path) < FEWEST:
            self._bag.append(kind)
            return None
        value = self._retry_after_s if kind in ("limit", "ban") else self._random.choice((500, 502, 503, 504))
        return Fault(kind, value=value)


def _asked_for(path: str) -> int:
    """How many candles a request asks for."""
    (limit,) = parse_qs(urlsplit(path).query).get("limit", ["1000"])
    return int(limit)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of the command until nothing failed, and what each request met."""

    runs: int
    requests: list[Request]
    rows: int
    wrong: list[str]
    log: list[dict[str, Any]]
    again_requests: int
    again_equal: bool

    @property
    def met(self) -> Counter[str]:
        """Faults by kind."""
        return Counter(request.fault for request in self.requests if request.fault)

    def busiest_minute(self) -> int:
        """The most weight in any 60 s."""
        return max(self._weight_within(60.0))

    def _weight_within(self, seconds: float) -> Iterator[int]:
        total = [0, *accumulate(request.weight for request in self.requests)]
        first = 0
        for last, request in enumerate(self.requests):
            while request.at_ns - self.requests[first].at_ns > seconds * 1e9:
                first += 1
            yield total[last + 1] - total[first]

    def too_early(self) -> list[Request]:
        """Requests that came before a limit or ban allowed it."""
        found, until = [], 0
        for request in self.requests:
            if request.at_ns < until:
                found.append(request)
            if request.fault in ("limit", "ban"):
                until = request.at_ns + request.retry_after_s * 1_000_000_000
        return found

    def unlogged(self) -> dict[str, tuple[int, int]]:
        """Groups of faults of which the log has fewer lines than there were faults: (faults, lines)."""
        lines, met = Counter(line["event"] for line in self.log), self.met
        told = {
            "whole answer": (sum(met[kind] for kind in WHOLE_ANSWER if kind not in SOME_UNSEEN), lines["venue_fault"]),
            "pauses": (met["limit"] + met["ban"], lines["venue_pause"]),
            "single rows": (sum(met[kind] for kind in SINGLE_ROWS), lines["rows_refused"]),
            "lost rows": (sum(met[kind] for kind in LOST_ROWS), lines["bars lack"]),
        }
        return {name: pair for name, pair in told.items() if pair[1] < pair[0]}


def markets() -> list[Market]:
    """The basket of the core set, MATIC up to its end and POL after it."""
    ended = round(RENAMED.timestamp() * 1000)
    kept = [msgspec.structs.replace(each, delisted_ms=ended) if each.base == "MATIC" else each for each in MARKETS]
    return [*kept, POL]


def filled(folder: Path, storm: Storm, *, days: int, most_runs: int = 6) -> Outcome:
    """Fetch `days` of hours of the basket until nothing is missing, then once more."""
    since_ns = SystemClock().wall_ns() // DAY_NS * DAY_NS - days * DAY_NS
    data = folder / "data"
    with exchange(storm) as venue:
        runs = 0
        while runs < most_runs:
            runs += 1
            report = backfill(data, venue.url, since_ns)
            if all(series["status"] in ("complete", "up_to_date") for series in report["series"]):
                break
        store = ParquetCandleStore(data / "var" / "data" / ENVIRONMENT)
        before, asked = digests(store.root), list(venue.requests)
        until_ns = SystemClock().wall_ns() // HOUR_NS * HOUR_NS - HOUR_NS
        rows, wrong = compared(store, venue.markets, since_ns, until_ns)
        backfill(data, venue.url, since_ns, "--date-window", f"{day(since_ns)}:{day(until_ns - DAY_NS)}")
        again = len(venue.requests) - len(asked)
        same = digests(store.root) == before
    log = [json.loads(line) for line in (data / "logs" / "backfill.log").read_text(encoding="utf-8").splitlines()]
    return Outcome(runs=runs, requests=asked, rows=rows, wrong=wrong, log=log, again_requests=again, again_equal=same)


@contextmanager
def exchange(storm: Storm) -> Iterator[LoopbackExchange]:
    """A venue in a thread of its own, whose answers go wrong."""
    venue = LoopbackExchange(SystemClock(), markets=markets())
    venue.draw = storm
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(venue):
        yield venue


def backfill(data: Path, url: str, since_ns: int, *options: str) -> dict[str, Any]:
    """The command's report."""
    span = options or ("--since", day(since_ns))
    said = io.StringIO()
    with redirect_stdout(said):
        try:
            main(["backfill", "-e", ENVIRONMENT, "--data-dir", str(data), "--base-url", url, "--granularity", "1h", "--json", *span])
        except SystemExit as end:
            assert end.code in (0, 1), end.code
    found: dict[str, Any] = json.loads(said.getvalue())
    return found


def day(instant_ns: int) -> str:
    """YYYY-MM-DD."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=instant_ns // 10**9)).strftime("%Y-%m-%d")


def digests(root: Path) -> dict[str, str]:
    """Every file of a store."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def compared(store: ParquetCandleStore, truth: list[Market], since_ns: int, until_ns: int) -> tuple[int, list[str]]:
    """Rows stored, and every difference between the store and the truth up to `until_ns`."""
    rows, wrong = 0, []
    for name in [market.base for market in MARKETS]:
        series = Series(f"binance:{name}/USDT", "1h")
        expected = [
            candle for market in truth if market.base in (name, successor(name)) for candle in candles(market, series, since_ns, until_ns)
        ]
        found = store.read(series, since_ns, 2**62)
        rows += len(found)
        found = [candle for candle in found if candle.end <= until_ns]
        if found != sorted(expected, key=lambda candle: candle.end):
            differing = {candle.end for candle in expected} ^ {candle.end for candle in found}
            wrong.append(f"{name}: {len(found)} of {len(expected)} candles, {len(differing)} missing or too many")
    return rows, wrong


def successor(name: str) -> str:
    """Under which name a market goes on."""
    return "POL" if name == "MATIC" else name


def candles(market: Market, series: Series, since_ns: int, until_ns: int) -> list[Candle]:
    """The closed candles of a market, as the store has them."""
    step_ms = series.step_ns // 1_000_000
    rows = market.candles(since_ns // 1_000_000, until_ns // 1_000_000 - step_ms, step_ms, 10**9)
    made = []
    for row in rows:
        end = (int(row[0]) + step_ms) * 1_000_000
        opened, high, low, close, volume = map(float, row[1:])
        made.append(Candle(end, series.instrument, series.granularity, end, opened, high, low, close, volume))
    return made


def ceiling() -> float:
    """The most weight a minute may see."""
    return LIMIT * CEILING
