"""AutoTrader, the public face of a running session: history of cycles and risk evaluations, summaries, exports, confirmation.

It listens to what is durable and writes nothing. The bus calls it on the loop; everything public may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, tzinfo
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, Unpack

import msgspec
from msgspec import UNSET, UnsetType

from dudzian_daemon.adapters.frames import cycle_frame, evaluation_frame
from dudzian_daemon.domain import evaluations, history
from dudzian_daemon.domain.errors import ConfigError, LiveBlocked
from dudzian_daemon.domain.events import CONTROLLER_CYCLE, CYCLE_DURABLE, ControllerCycle, CycleDurable
from dudzian_daemon.domain.summary import summarize_cycles, summarize_evaluations
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import SECOND_NS, Clock, SystemClock
from dudzian_daemon.kernel.recent import Recent
from dudzian_daemon.trading.null_execution import NullExecutionService
from dudzian_daemon.trading.paper_execution import PaperTradingExecutionService
from dudzian_daemon.trading.risk_engine import ThresholdRiskEngine

if TYPE_CHECKING:
    from pandas import DataFrame  # type: ignore[import-untyped]  # pandas ships no types of its own

DEFAULT_CYCLES: Final = 32
DEFAULT_EVALUATIONS: Final = 256

T = TypeVar("T", bound=history.Stamped)


class Confirmation(msgspec.Struct, frozen=True):
    """Whether a person lets an embedded session drive itself: `enabled` is the switch, `confirmed_at` wall time in ns, or None."""

    enabled: bool = True
    confirmed_at: int | None = None


class AutoTrader:
    """Keeps the newest durable cycles and risk evaluations; `by` is the time line of filters that name none."""

    #: No configuration changes it: this package has no road to an exchange.
    live_allowed: Final = False

    def __init__(
        self,
        bus: Bus,
        execution: PaperTradingExecutionService | None = None,
        *,
        clock: Clock | None = None,
        by: history.By = "wall",
        keep_cycles: int | None = DEFAULT_CYCLES,
        keep_evaluations: int | None = DEFAULT_EVALUATIONS,
    ) -> None:
        self.execution = NullExecutionService() if execution is None else execution
        self._clock = clock or SystemClock()
        self._by = history.window(by=by).by
        self._cycles: Recent[ControllerCycle] = Recent(keep_cycles)
        self._evaluations: Recent[evaluations.Evaluation] = Recent(keep_evaluations)
        self._confirming = Lock()
        self._confirmation = Confirmation()
        bus.subscribe(CONTROLLER_CYCLE, self._on_cycle, name="auto_trader")
        bus.subscribe(CYCLE_DURABLE, self._on_durable, name="auto_trader.evaluations")
        if self.paper_only:
            logs.logger("AutoTrader").warning(
                "paper-only mode", action="block_live", reason="no execution service is configured", orders="skipped", live_allowed=False
            )

    # -- cycles ----------------------------------------------------------------------------------------------------

    def get_last_controller_cycle(self) -> dict[str, Any] | None:
        """The latest durable cycle, None before the first; neither age nor clearing the history takes it away."""
        last = self._cycles.newest
        return None if last is None else history.plain(last)

    def get_controller_cycle_history(self, limit: int | None = None, reverse: bool = False) -> list[dict[str, Any]]:
        """The newest `limit` cycles (None: all that are kept), oldest first, or newest first with `reverse`."""
        return [history.plain(cycle) for cycle in self._picked_cycles(reverse, limit=limit)]

    def get_controller_cycle_history_limit(self) -> int:
        """How many cycles are kept, -1 for no end."""
        return self._cycles.limit

    def set_controller_cycle_history_limit(self, limit: int | None) -> int:
        """Keep the newest `limit` cycles, at once; None or <= 0 is no end. Returns the limit, -1 for no end."""
        return self._cycles.set_limit(limit)

    def get_controller_cycle_history_ttl(self) -> float | None:
        """Seconds after which a cycle is dropped, None for never."""
        return self._cycles.ttl

    def set_controller_cycle_history_ttl(self, ttl: float | None, *, by: history.By | None = None) -> float | None:
        """Drop cycles older than `ttl` seconds, now and from now on; None or <= 0 turns it off. Returns the TTL or None."""
        return self._expire(self._cycles, ttl, by)

    def clear_controller_cycle_history(self) -> None:
        """Forget the kept cycles; the numbering goes on."""
        self._cycles.clear()

    def summarize_controller_cycle_history(self, **span: Unpack[history.Span]) -> dict[str, Any]:
        """Counts, sides, statuses and durations of the kept cycles (docs/reference/auto-trader.md)."""
        window, kept = self._window(**span), self._cycles.kept()
        return summarize_cycles(kept.entries, window, limit=kept.limit, ttl=kept.ttl)

    def controller_cycle_history_to_records(
        self,
        *,
        reverse: bool = False,
        include_sequences: bool = True,
        include_counts: bool = True,
        include_instant: bool = False,
        coerce_timestamps: bool = False,
        tz: tzinfo | None = UTC,
        **span: Unpack[history.Span],
    ) -> list[dict[str, Any]]:
        """Kept cycles as dicts. Times are epoch seconds, or with `coerce_timestamps` datetimes in `tz` (None: UTC and naive)."""
        columns = history.cycle_columns(counts=include_counts, sequences=include_sequences, instant=include_instant)
        rows = [history.cycle_row(cycle, columns) for cycle in self._picked_cycles(reverse, **span)]
        return [history.with_times(row, lambda moment: history.as_datetime(moment, tz)) for row in rows] if coerce_timestamps else rows

    def controller_cycle_history_to_dataframe(
        self,
        *,
        reverse: bool = False,
        include_sequences: bool = True,
        include_counts: bool = True,
        include_instant: bool = False,
        coerce_timestamps: bool = True,
        **span: Unpack[history.Span],
    ) -> DataFrame:
        """Kept cycles as a pandas DataFrame, times as UTC Timestamps. Raises `ConfigError` when pandas is not installed."""
        columns = history.cycle_columns(counts=include_counts, sequences=include_sequences, instant=include_instant)
        rows = [history.cycle_row(cycle, columns) for cycle in self._picked_cycles(reverse, **span)]
        return cycle_frame(rows, columns, coerce_timestamps=coerce_timestamps)

    # -- risk evaluations ------------------------------------------------------------------------------------------

    def get_risk_evaluations(self, *, reverse: bool = False, **wanted: Unpack[evaluations.EvaluationFilter]) -> list[dict[str, Any]]:
        """Answers of the risk gate, oldest first: timestamp, approved, normalized, decision, service, and response or error."""
        asked, window = self._asked(**wanted)
        picked = list(window.pick(asked.of(self._evaluations.kept().entries)))
        return [evaluation.entry() for evaluation in (picked[::-1] if reverse else picked)]

    def get_risk_evaluations_limit(self) -> int:
        """How many risk evaluations are kept, -1 for no end."""
        return self._evaluations.limit

    def set_risk_evaluations_limit(self, limit: int | None) -> int:
        """Keep the newest `limit` risk evaluations, at once; None or <= 0 is no end. Returns the limit, -1 for no end."""
        return self._evaluations.set_limit(limit)

    def get_risk_evaluations_ttl(self) -> float | None:
        """Seconds after which a risk evaluation is dropped, None for never."""
        return self._evaluations.ttl

    def set_risk_evaluations_ttl(self, ttl: float | None, *, by: history.By | None = None) -> float | None:
        """Drop risk evaluations older than `ttl` seconds, now and from now on; None or <= 0 turns it off. Returns the TTL or None."""
        return self._expire(self._evaluations, ttl, by)

    def clear_risk_evaluations(self) -> None:
        """Forget the kept risk evaluations."""
        self._evaluations.clear()

    def summarize_risk_evaluations(self, **wanted: Unpack[evaluations.EvaluationFilter]) -> dict[str, Any]:
        """Counts and rates of the kept risk evaluations (docs/reference/auto-trader.md)."""
        (asked, window), kept = self._asked(**wanted), self._evaluations.kept()
        return summarize_evaluations(asked.of(kept.entries), window, limit=kept.limit, ttl=kept.ttl)

    def risk_evaluations_to_dataframe(
        self,
        *,
        flatten_decision: bool = False,
        decision_prefix: str = "decision_",
        decision_fields: Iterable[str] | None = None,
        **wanted: Unpack[evaluations.EvaluationFilter],
    ) -> DataFrame:
        """Kept risk evaluations as a pandas DataFrame; `flatten_decision` adds a column per field of the decision, or of those named.

        Raises `ConfigError` when pandas is not installed.
        """
        fields = evaluations.DECISION_KEYS if decision_fields is None else tuple(decision_fields)
        flattened = {f"{decision_prefix}{field}": field for field in fields} if flatten_decision else {}
        return evaluation_frame(self.get_risk_evaluations(**wanted), flattened)

    # -- confirmation, and what stays forbidden --------------------------------------------------------------------

    @property
    def is_auto_trade_confirmed(self) -> bool:
        """True while auto mode is enabled and confirmed: only then may an embedded session drive itself."""
        state = self._confirmation
        return state.enabled and state.confirmed_at is not None

    @property
    def confirmation(self) -> Confirmation:
        """The switch and the confirmation as they are now."""
        return self._confirmation

    def set_enable_auto_trade(self, flag: bool) -> None:
        """Switch auto mode on or off; off withdraws the confirmation."""
        with self._confirming:
            self._confirmation = msgspec.structs.replace(self._confirmation, enabled=True) if flag else Confirmation(enabled=False)

    def confirm_auto_trade(self, confirmed: bool = True) -> None:
        """Confirm auto mode for a person, or withdraw that. Raises `ConfigError` when auto mode is switched off."""
        with self._confirming:
            if confirmed and not self._confirmation.enabled:
                msg = "auto mode is switched off: call set_enable_auto_trade(True) before confirm_auto_trade()"
                raise ConfigError(msg)
            confirmed_at = self._clock.wall_ns() if confirmed else None
            self._confirmation = msgspec.structs.replace(self._confirmation, confirmed_at=confirmed_at)

    def require_confirmed(self) -> None:
        """Pass only if auto mode is confirmed. Raises `ConfigError` that says what to call."""
        if not self.is_auto_trade_confirmed:
            missing = "confirm_auto_trade()" if self._confirmation.enabled else "set_enable_auto_trade(True) and confirm_auto_trade()"
            msg = f"auto mode is not confirmed, so no cycle is driven: call {missing} first"
            raise ConfigError(msg)

    @property
    def paper_only(self) -> bool:
        """True if no execution service was configured: orders are skipped."""
        return isinstance(self.execution, NullExecutionService)

    def activate_live(self) -> NoReturn:
        """Always refused. Raises `LiveBlocked` saying why."""
        if self.paper_only:
            msg = "live trading refused, paper-only mode: no execution service is configured; complete the configuration and start again"
            raise LiveBlocked(msg)
        msg = "live trading refused: this package trades on paper only, it has no road to an exchange"
        raise LiveBlocked(msg)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _on_cycle(self, _topic: str, cycle: ControllerCycle) -> None:
        self._cycles.add(cycle)

    def _on_durable(self, _topic: str, durable: CycleDurable) -> None:
        record, last = durable.record, self._cycles.newest
        finished = last.finished_at if last is not None and last.sequence == record.sequence else self._clock.wall_ns() / SECOND_NS
        self._evaluations.add(*evaluations.of_record(record, finished_at=finished, service=ThresholdRiskEngine.__name__))

    def _picked_cycles(self, reverse: bool, **span: Unpack[history.Span]) -> list[ControllerCycle]:
        picked = list(self._window(**span).pick(self._cycles.kept().entries))
        return picked[::-1] if reverse else picked

    def _asked(
        self,
        *,
        approved: evaluations.Answers | UnsetType = UNSET,
        normalized: evaluations.Answers | UnsetType = UNSET,
        service: evaluations.Services | UnsetType = UNSET,
        include_errors: bool = True,
        **span: Unpack[history.Span],
    ) -> tuple[evaluations.Choice, history.Window]:
        asked = evaluations.choice(approved=approved, normalized=normalized, service=service, errors=include_errors)
        return asked, self._window(**span)

    def _window(
        self,
        *,
        since: history.Moment | None = None,
        until: history.Moment | None = None,
        limit: int | None = None,
        by: history.By | None = None,
    ) -> history.Window:
        return history.window(since, until, limit, by or self._by)

    def _expire(self, kept: Recent[T], ttl: float | None, by: history.By | None) -> float | None:
        """Let `kept` drop what is older than `ttl` seconds: by `wall` now is the clock's, by `instant` that of the newest cycle."""
        line, longest = self._window(by=by).by, history.longest_age(ttl)
        if longest is None:
            return kept.set_ttl(None, lambda _: False)
        return kept.set_ttl(longest / history.SECOND_US, lambda entry: self._now(line) - history.stamp(entry, line) > longest)

    def _now(self, line: history.By) -> int:
        if line == "wall":
            return self._clock.wall_ns() // 1000
        newest = self._cycles.newest
        return 0 if newest is None else history.stamp(newest, line)
