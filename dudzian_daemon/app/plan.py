"""What a run would be, without starting it: environment, sources, schedules, data, where it writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from dudzian_daemon.adapters.derived_venue import candles_of
from dudzian_daemon.app.preparation import Prepared, RunOptions, prepare
from dudzian_daemon.app.process.tokens import outlook
from dudzian_daemon.app.replay_windows import replay_windows, require_sound, silent_schedules
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.kernel.clock import iso_utc
from dudzian_daemon.trading.spec import SessionSpec
from dudzian_daemon.trading.step import Core


class PlannedWindow(msgspec.Struct, frozen=True):
    """A window of candles; instants as UTC text."""

    start: str
    end: str
    series: tuple[str, ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Schema `dudzian.run_plan/1`. `token` says what was found of the scheduler's tokens; empty where it has none."""

    schema: str = "dudzian.run_plan/1"
    environment: str
    mode: str
    execution: str
    config: tuple[str, ...]
    data_folder: str
    speed: str
    opening_balance: str
    opening_source: str
    account: dict[str, str]
    schedules: dict[str, dict[str, str]]
    plugins: dict[str, str]
    windows: tuple[PlannedWindow, ...]
    without_candles: tuple[str, ...]
    venues: tuple[str, ...]
    token: str


def plan(options: RunOptions, env: Mapping[str, str]) -> Plan:
    """Prepare as a run would, and tell. Raises what the run would raise; writes nothing."""
    return plan_of(prepare(options, env), env)


def plan_of(prepared: Prepared, env: Mapping[str, str]) -> Plan:
    """What a prepared run would be. Blocks on the store; raises what the run would raise, and writes nothing."""
    with exact_money():
        core = Core(prepared.spec)
    store = candles_of(prepared.chosen, prepared.data_folder)
    windows = [] if prepared.live else replay_windows(prepared.config, prepared.environment, core, store)
    require_sound(windows, store)
    return Plan(
        environment=prepared.environment,
        mode=prepared.chosen.mode,
        execution=type(core.execution).__name__,
        config=tuple(f"{file.path} sha256 {file.sha256}" for file in prepared.loaded.files),
        data_folder=str(prepared.data_folder),
        speed="max" if prepared.speed is None else f"{prepared.speed:g}",
        opening_balance=f"{prepared.spec.opening_balance} {prepared.spec.valuation_asset}",
        opening_source=prepared.spec.opening_source,
        account=_account(prepared.spec),
        schedules={
            schedule.name: {
                "strategy": schedule.strategy,
                "profile": schedule.profile,
                "granularity": schedule.granularity,
                "instruments": ", ".join(schedule.instruments),
                "allocation": str(schedule.allocation),
            }
            for schedule in prepared.spec.schedules
        },
        plugins={name: f"{source.path} sha256 {source.digest}" for name, source in sorted(prepared.plugins.items())},
        windows=tuple(
            PlannedWindow(
                iso_utc(window.start)[:16],
                iso_utc(window.end)[:16],
                tuple(f"{s.instrument} {s.granularity}" for s in sorted(window.series)),
            )
            for window in windows
        ),
        without_candles=() if prepared.live else tuple(silent_schedules(prepared.chosen, core, windows, store)),
        venues=_venues(prepared, core) if prepared.live else (),
        token=outlook(prepared.config.scheduler(prepared.chosen.scheduler).rbac_tokens, env),
    )


def _venues(prepared: Prepared, core: Core) -> tuple[str, ...]:
    from dudzian_daemon.app.live import venue_plan  # only now: clients of venues are a tenth of a second and 10 MB

    return venue_plan(prepared, core)


def _account(spec: SessionSpec) -> dict[str, str]:
    """The rest of the account: further assets and what converts them, leverage, the share an entry takes."""
    others = [f"{amount} {asset}" for asset, amount in sorted(spec.other_balances.items())]
    conversions = [f"{asset} by {key}" for asset, key in sorted(spec.conversions.items())]
    return {
        "valuation_asset": spec.valuation_asset,
        "other_balances": ", ".join(others) or "none",
        "conversions": ", ".join(conversions) or "none",
        "leverage": str(spec.leverage),
        "shorts": "allowed" if spec.allow_short else "refused",
    }


def plan_lines(answer: Plan) -> Iterator[str]:
    """The plan for people."""
    yield f"environment   {answer.environment} ({answer.mode}), execution {answer.execution}, speed {answer.speed}"
    yield f"balance       {answer.opening_balance} (from {answer.opening_source})"
    yield "account       " + ", ".join(f"{key} {value}" for key, value in answer.account.items())
    yield f"data folder   {answer.data_folder}"
    for line in answer.config:
        yield f"config        {line}"
    for name, schedule in answer.schedules.items():
        yield f"schedule      {name}: " + ", ".join(f"{key} {value}" for key, value in schedule.items())
    for name, source in answer.plugins.items():
        yield f"plugin        {name}: {source}"
    for window in answer.windows:
        yield f"window        {window.start} to {window.end}: {', '.join(window.series)}"
    for venue in answer.venues:
        yield f"venue         {venue}"
    for name in answer.without_candles:
        yield f"no candles    {name} will not decide: the store lacks a series it takes"
    if answer.token:
        yield f"token         {answer.token}"
