"""The contract suite has to see what it looks for: each plugin here breaks one rule, and the finding says which and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar

import msgspec
import pytest

from dudzian_daemon.api.strategy import Candle, Ema, Intent, MarketView, RollingMean, Series, SeriesNeed, Signal
from dudzian_daemon.domain.market import HOUR_NS
from dudzian_daemon.testing.contract import Finding, check_strategy
from tests.plugins.lively import lively

SERIES = Series("binance:BTC/USDT", "1h")
CANDLES = lively(SERIES, 320)


class MeanParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mean's window in candles."""

    window: int = 10

    def __post_init__(self) -> None:
        if self.window < 2:
            msg = f"expected window >= 2, found {self.window}"
            raise ValueError(msg)


class MeanState(msgspec.Struct):
    """The mean of the closes and the latest one."""

    mean: RollingMean
    close: float = 0.0


class Honest:
    """Long above the mean, flat below."""

    Params = MeanParams
    legs = 1
    takes_quotes = False

    def __init__(self, params: MeanParams) -> None:
        self.params = params

    def series(self, instruments: Sequence[str], granularity: str) -> tuple[SeriesNeed, ...]:
        return (SeriesNeed(Series(instruments[0], granularity), self.params.window),)

    def new_state(self) -> Any:
        return MeanState(RollingMean(self.params.window))

    def on_candle(self, state: Any, candle: Candle) -> None:
        state.mean.push(candle.close)
        state.close = candle.close

    def on_gap(self, state: Any, series: Series, start: int, end: int) -> bool:
        return True

    def decide(self, state: Any, view: MarketView) -> Sequence[Signal]:
        return self.crossing(view, state.mean.value, state.close)

    def crossing(self, view: MarketView, mean: float | None, close: float) -> Sequence[Signal]:
        ((instrument, position),) = view.positions.items()
        if mean is None or (close > mean) == (position.quantity > 0):
            return ()
        intent = Intent.ENTER if close > mean else Intent.EXIT
        return (Signal(instrument=instrument, intent=intent, reason="crossed", numbers={"mean": mean}),)


def checked(plugin: Any, params: Mapping[str, object] | None = None, rows: Sequence[Candle] = CANDLES) -> dict[str, Finding]:
    return {finding.check: finding for finding in check_strategy(plugin, params, {SERIES: rows})}


def only(findings: Mapping[str, Finding], *broken: str) -> Finding:
    """The first of the named findings, which alone must speak against the plugin."""
    assert {name for name, finding in findings.items() if not finding.ok} == set(broken), findings
    return findings[broken[0]]


def test_nothing_speaks_against_an_honest_one_however_it_is_given() -> None:
    module = ModuleType("honest")
    module.PLUGIN = Honest  # type: ignore[attr-defined]  # a module gets its names when it runs
    ways = [checked(given, params) for given, params in ((module, None), (Honest, {"window": 10}), (Honest(MeanParams()), None))]
    assert all(finding.ok for finding in ways[0].values())
    assert len(ways[0]) == 8
    assert ways[0] == ways[1] == ways[2]
    assert checked(Honest(MeanParams()), {"window": 30}) == checked(Honest, {"window": 30}) != ways[0]


class Prophet(Honest):
    """Remembers candles across sessions and looks the next one up."""

    known: ClassVar[dict[int, float]] = {}

    def on_candle(self, state: Any, candle: Candle) -> None:
        super().on_candle(state, candle)
        self.known[candle.end] = candle.close

    def decide(self, state: Any, view: MarketView) -> Sequence[Signal]:
        return self.crossing(view, state.mean.value, self.known.get(view.instant + HOUR_NS, state.close))


def test_lookahead_is_named_by_its_candle() -> None:
    Prophet.known.clear()
    finding = checked(Prophet)["causal"]
    assert not finding.ok
    assert "when they are cut off" in finding.detail
    assert finding.at in [candle.end for candle in CANDLES]


class Counting(Honest):
    """Decides by a number that lives outside of its State."""

    decided = 0

    def decide(self, state: Any, view: MarketView) -> Sequence[Signal]:
        self.decided += 1
        return super().decide(state, view) if self.decided % 3 else ()


def test_memory_outside_of_the_state_is_named_by_the_candle_that_misses_it() -> None:
    finding = only({name: each for name, each in checked(Counting).items() if name != "warm_up"}, "state")
    assert finding.at is not None
    assert "written out and read back" in finding.detail


class Moody(Honest):
    """Decides otherwise every time it is made."""

    made = 0

    def __init__(self, params: MeanParams) -> None:
        super().__init__(params)
        type(self).made += 1
        self.mood = type(self).made

    def decide(self, state: Any, view: MarketView) -> Sequence[Signal]:
        return super().decide(state, view) if (view.instant // HOUR_NS + self.mood) % 2 else ()


def test_a_second_run_that_is_another_is_named_by_its_first_candle() -> None:
    finding = checked(Moody)["deterministic"]
    assert not finding.ok
    assert finding.at is not None
    assert "a second run" in finding.detail


class Hasty(Honest):
    """Declares half of what its mean needs, and takes a shorter mean for it."""

    def series(self, instruments: Sequence[str], granularity: str) -> tuple[SeriesNeed, ...]:
        return (SeriesNeed(Series(instruments[0], granularity), self.params.window // 2),)

    def decide(self, state: Any, view: MarketView) -> Sequence[Signal]:
        values = state.mean.values
        return self.crossing(view, sum(values) / len(values), state.close)


def test_a_warm_up_that_is_too_short_is_named_by_the_first_candle_that_differs() -> None:
    finding = only(checked(Hasty, {"window": 40}), "warm_up")
    assert finding.at in [candle.end for candle in CANDLES]
    assert "after exactly its warm-up" in finding.detail


class Recursive(Honest):
    """An exponential mean remembers everything, a little."""

    def new_state(self) -> Any:
        return RecursiveState(Ema(RollingMean(self.params.window)))

    def series(self, instruments: Sequence[str], granularity: str) -> tuple[SeriesNeed, ...]:
        return (SeriesNeed(Series(instruments[0], granularity), 8 * self.params.window),)


class RecursiveState(msgspec.Struct):
    """As that of `Honest`."""

    mean: Ema
    close: float = 0.0


def test_numbers_that_remember_more_than_the_warm_up_are_told_and_not_held_against_it() -> None:
    findings = checked(Recursive)
    assert all(finding.ok for finding in findings.values())
    finding = findings["warm_up"]
    assert finding.detail.startswith("the same decisions; mean differs by ")
    assert finding.at is not None


class Deaf(Honest):
    """Does not survive a gap."""

    def on_gap(self, state: Any, series: Series, start: int, end: int) -> bool:
        msg = "what gap?"
        raise RuntimeError(msg)


def test_a_gap_that_is_not_survived_tells_what_was_raised() -> None:
    assert "on_gap: RuntimeError: what gap? (line " in only(checked(Deaf), "gap").detail


class Breaking(Honest):
    """Raises at a price."""

    def on_candle(self, state: Any, candle: Candle) -> None:
        super().on_candle(state, candle)
        if candle is CANDLES[77]:
            msg = "this one"
            raise ValueError(msg)


def test_what_is_raised_is_told_with_text_line_and_candle_and_ends_the_checks() -> None:
    findings = checked(Breaking)
    assert list(findings) == ["raises_nothing"]
    finding = findings["raises_nothing"]
    assert (finding.ok, finding.at) == (False, CANDLES[77].end)
    assert "on_candle: ValueError: this one (line " in finding.detail


class Opaque(Honest):
    """Its State holds what no checkpoint can."""

    def new_state(self) -> Any:
        return OpaqueState(RollingMean(self.params.window), seen=object())


class OpaqueState(msgspec.Struct):
    """As that of `Honest`, and a thing."""

    mean: RollingMean
    seen: Any
    close: float = 0.0


def test_a_state_that_cannot_be_written_is_told() -> None:
    assert "cannot be written out and read back: TypeError" in only(checked(Opaque), "state").detail


class Silent(Honest):
    """Never says anything."""

    def decide(self, state: Any, view: MarketView) -> Sequence[Signal]:
        return ()


def test_silence_is_no_fault_and_is_said() -> None:
    findings = checked(Silent)
    assert all(finding.ok for finding in findings.values())
    assert findings["speaks"].detail.startswith("no signal on these candles")


class Greedy(Honest):
    """Trades two at a time."""

    legs = 2


class Wishful(Honest):
    """Has a default that its own type does not allow."""

    class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """The mean's window in candles."""

        window: int = "twenty"  # type: ignore[assignment]  # what a person writes who runs no type checker


class Declaring(Honest):
    """Says that it needs whatever it is told to."""

    def __init__(self, needs: Any) -> None:
        super().__init__(MeanParams())
        self.needs = needs

    def series(self, instruments: Sequence[str], granularity: str) -> Any:
        return self.needs


class Leaving(Honest):
    """Ends the process where a strategy would say nothing."""

    def decide(self, state: Any, view: MarketView) -> Sequence[Signal]:
        raise SystemExit(3)


def test_one_that_would_end_the_process_is_a_finding() -> None:
    finding = only(checked(Leaving), "raises_nothing")
    assert "decide: SystemExit: 3" in finding.detail


@pytest.mark.parametrize(
    ("plugin", "params", "rows", "check", "text"),
    [
        (ModuleType("empty"), None, CANDLES, "plugin", "PLUGIN = YourStrategy"),
        (Honest, {"window": 1}, CANDLES, "parameters", "expected window >= 2, found 1"),
        (Honest, {"windw": 5}, CANDLES, "parameters", "windw"),
        (Honest, {"window": 400}, CANDLES, "series", "expected more than 405 candles of binance:BTC/USDT 1h, found 320"),
        (Honest, None, [], "series", "expected more than 15 candles of binance:BTC/USDT 1h, found 0"),
        (Greedy, None, CANDLES, "series", "expected candles of 2 instruments, found 1"),
        (Wishful, None, CANDLES, "parameters", "Expected `int`, got `str` - at `$.window`"),
        (Declaring(()), None, CANDLES, "series", "series: expected a tuple of SeriesNeed, found ()"),
        (Declaring((SeriesNeed(SERIES, -5),)), None, CANDLES, "series", "expected a warm-up of 0 or more candles, found -5"),
        (Declaring((SeriesNeed(Series(SERIES.instrument, "7m"), 5),)), None, CANDLES, "series", "expected a granularity of 30s, "),
    ],
)
def test_what_cannot_be_tried_is_one_finding(plugin: Any, params: Any, rows: Sequence[Candle], check: str, text: str) -> None:
    findings = checked(plugin, params, rows)
    assert list(findings) == [check]
    assert not findings[check].ok
    assert text in findings[check].detail
