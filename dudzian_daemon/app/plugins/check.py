"""What is known of plugins without running them, and the strategy contract tried on the shipped candles."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.candle_store import ParquetCandleStore, sample_root
from dudzian_daemon.adapters.derived_venue import BasisModel, DerivedVenueStore
from dudzian_daemon.app.plugins.loader import PluginSource, load_plugin, make_strategy
from dudzian_daemon.app.plugins.places import KINDS, Place, name_problem, namesake_problem, places, refuse_open_doors
from dudzian_daemon.domain.errors import PluginError
from dudzian_daemon.domain.market import DAY_NS, Candle, Series
from dudzian_daemon.domain.ports import Strategy
from dudzian_daemon.testing.contract import Finding, check_strategy
from dudzian_daemon.trading.strategy_declarations import declared_problem

#: Candles that are played, or so many warm-ups if that is more.
CANDLES: Final = 1_000
WARM_UPS: Final = 8
#: 2024-01-01, where the shipped candles of most instruments begin; the sample ends half a year later.
START_NS: Final = 1_704_067_200_000_000_000
END_NS: Final = START_NS + 182 * DAY_NS
#: What a unit of several legs trades: each coin at two venues, the second one derived from the first.
COINS: Final = ("ETH", "SOL", "XRP", "LTC", "MATIC")
MIRROR: Final = "binance_mirror"
BASIS: Final = BasisModel("binance", 0.004, 8, 20240108)


class Listed(msgspec.Struct, frozen=True):
    """A plugin as it lies there; it was not run. `problem` is empty if nothing speaks against loading it."""

    kind: str
    name: str
    origin: str
    path: str
    problem: str


class Report(msgspec.Struct, frozen=True):
    """What was found out about one plugin; a strategy was made with `parameters`."""

    kind: str
    name: str
    path: str
    sha256: str
    parameters: Mapping[str, Any]
    ok: bool
    findings: tuple[Finding, ...]


def listing(folders: Sequence[Path]) -> list[Listed]:
    """Every plugin of every kind. Raises `PluginError` for an entry point that leads nowhere."""
    found = [place for kind in KINDS for place in places(kind, folders)]
    namesakes: dict[tuple[str, str], list[Place]] = {}
    for place in found:
        namesakes.setdefault((place.kind, place.name), []).append(place)
    return [
        Listed(place.kind, place.name, place.origin, str(place.path), _problem(place, namesakes[(place.kind, place.name)]))
        for place in found
    ]


def checked(kind: str, name: str, folders: Sequence[Path], parameters: Sequence[Mapping[str, Any]] = ({},)) -> list[Report]:
    """Load the plugin; a strategy is tried once with each of `parameters`. Raises `PluginError` if there is none of the name."""
    try:
        source = load_plugin(kind, name, folders)
    except PluginError as error:
        where = [str(place.path) for place in places(kind, folders) if place.name == name]
        if not where:
            raise
        return [Report(kind, name, where[0], "", {}, ok=False, findings=(Finding("loads", ok=False, detail=str(error)),))]
    if kind != "strategies":
        return [_report(source, {}, [Finding("loads", ok=True, detail="has what its kind must have")])]
    return [_report(source, wanted, _tried(source, wanted)) for wanted in parameters]


def _report(source: PluginSource, parameters: Mapping[str, Any], findings: Sequence[Finding]) -> Report:
    ok = all(finding.ok for finding in findings)
    return Report(source.kind, source.name, str(source.path), source.digest, parameters, ok, tuple(findings))


def _problem(place: Place, namesakes: Sequence[Place]) -> str:
    if problem := name_problem(place.name):
        return problem
    if len(namesakes) > 1:
        return namesake_problem(namesakes)
    try:
        refuse_open_doors(place)
        tree = ast.parse(place.path.read_bytes(), str(place.path))
    except PluginError as error:
        return str(error)
    except SyntaxError as error:
        return f"{place.path}:{error.lineno or 1}: {error.msg}"
    except (OSError, ValueError) as error:
        return f"{place.path}: {error}"
    names = {name.id for node in ast.walk(tree) if isinstance(node, ast.Assign) for name in node.targets if isinstance(name, ast.Name)}
    return "" if "PLUGIN" in names else f"{place.path}: no `PLUGIN = <its class>`"


# -- the sample --------------------------------------------------------------------------------------------------------


def _tried(source: PluginSource, parameters: Mapping[str, Any]) -> list[Finding]:
    loads = Finding("loads", ok=True, detail="has what a strategy must have")
    try:
        strategy = make_strategy(source, parameters)
    except PluginError as error:
        return [loads, Finding("parameters", ok=False, detail=str(error))]
    refused = loads
    for granularity in ("1h", "1d"):  # a strategy for one of the two says so by refusing the other
        try:
            candles = sample_for(strategy, granularity)
        except PluginError as error:
            refused = Finding("series", ok=False, detail=str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - fence "plugin call": what a strategy declares is its own code
            refused = Finding("series", ok=False, detail=f"{type(error).__name__}: {' '.join(str(error).split())}")
        else:
            return [loads, *check_strategy(source.plugin, parameters, candles)]
    return [loads, refused]


def sample_for(strategy: Strategy, granularity: str) -> dict[Series, Sequence[Candle]]:
    """Shipped candles of every series that one unit takes, those it trades first; some may be empty.

    Raises `PluginError` for what is no declaration, and whatever the strategy raises when it is asked.
    """
    coins = COINS[: strategy.legs] if strategy.legs == 1 else COINS
    venues = ("binance",) if strategy.legs == 1 else ("binance", MIRROR)
    traded = [f"{venue}:{coin}/USDT" for coin in coins for venue in venues][: strategy.legs]
    needs = strategy.series(traded, granularity)
    if problem := declared_problem(needs, strategy.new_state()):
        raise PluginError(problem)
    wanted = dict.fromkeys([*(Series(instrument, granularity) for instrument in traded), *(need.series for need in needs)])
    longest = max((need.warm_up * need.series.step_ns for need in needs), default=0)
    end = min(END_NS, START_NS + max(CANDLES * Series("", granularity).step_ns, WARM_UPS * longest))
    store = DerivedVenueStore(ParquetCandleStore(sample_root(), read_only=True), {MIRROR: BASIS})
    return {series: store.read(series, START_NS, end) for series in wanted}
