"""Show what the risk gate sees, or saw last: limits, losses, exposure, margin, and whether it only reduces."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dudzian_daemon.cli.watching import EVERY, Interval, Seen, Watch, show
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.sinks.risk_state import RiskState
    from dudzian_daemon.trading.risk_view import AccountView, RiskView

EXAMPLES = """Examples:

  dudzian show-risk-state

  dudzian show-risk-state --environment paper_binance --profile balanced --json

  dudzian show-risk-state --watch                 again whenever it changes
"""


def command(
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Environment the daemon must run.")] = None,
    profile: Annotated[str | None, typer.Option(help="Only this risk profile.")] = None,
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder of the daemon.", envvar="DUDZIAN_DATA_DIR")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the answer.")] = 10.0,
    watch: Watch = False,
    interval: Interval = EVERY,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; with --watch one a line.")] = False,
) -> None:
    """Shows what is durable. Exit 0; 1 if none runs there and the last known state is shown; 2 if there is none, or a name is unknown."""
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.config.load import load

    folder = resolve(data_dir, os.environ)
    name = None if environment is None else load(config, env=os.environ).config.environment_id(environment)
    show(lambda: _seen(folder, name, profile, timeout), watch=watch, interval=interval, as_json=as_json)


def _seen(folder: Path, environment: str | None, profile: str | None, timeout: float) -> Seen:
    """What the daemon answers, or what was last known where none runs, or the one that ran has just ended."""
    from dudzian_daemon.adapters.platform import running_pid

    if running_pid(folder) is not None:
        try:
            return _asked(folder, environment, profile, timeout)
        except ConfigError:
            if running_pid(folder) is not None:
                raise
    import msgspec

    last = _last_known(folder, environment)
    view = _only(profile, last.account)
    profiles = [each for each in last.profiles if profile in (None, each.profile)]
    at = {"environment": last.environment, "log_id": last.log_id, "instant": last.instant, "written_at": last.written_at}
    document = {**msgspec.structs.asdict(view), "last_known": at | {"profiles": profiles}}
    return Seen(False, [document], "\n".join([*_when(last), *_lines(view)]))


def _asked(folder: Path, environment: str | None, profile: str | None, timeout: float) -> Seen:
    import msgspec

    from dudzian_daemon.cli.asking import ask
    from dudzian_daemon.trading.risk_view import AccountView

    _require_environment(environment, folder)
    view = _only(profile, msgspec.json.decode(ask("risk_state", {}, folder, timeout).detail, type=AccountView))
    return Seen(True, [view], "\n".join(_lines(view)))


def _last_known(folder: Path, environment: str | None) -> RiskState:
    from dudzian_daemon.sinks.risk_state import read_risk_state
    from dudzian_daemon.sinks.status import read_status

    if environment is None:
        status = read_status(folder)
        environment = None if status is None else status.environment
    last = None if environment is None else read_risk_state(folder, environment)
    if last is None:
        of = "" if environment is None else f" of environment {environment!r}"
        which = "" if environment is None else f" --environment {environment}"
        msg = f"no daemon runs on {folder}, and no session{of} has left a risk state there; start one with: dudzian run{which}"
        raise ConfigError(msg)
    return last


def _only(profile: str | None, view: AccountView) -> AccountView:
    import msgspec

    known = [each.profile for each in view.profiles]
    if profile is not None and profile not in known:
        msg = f"unknown risk profile {profile!r}; this session has {', '.join(known)}"
        raise ConfigError(msg)
    return msgspec.structs.replace(view, profiles=[each for each in view.profiles if profile in (None, each.profile)])


def _require_environment(wanted: str | None, folder: Path) -> None:
    from dudzian_daemon.sinks.status import read_status

    status = None if wanted is None else read_status(folder)
    if status is not None and status.environment != wanted:
        msg = f"the daemon there runs environment {status.environment!r}, not {wanted!r}"
        raise ConfigError(msg)


def _when(last: RiskState) -> Iterator[str]:
    from dudzian_daemon.kernel.clock import iso_utc

    yield f"daemon       not running; last known at {_second(iso_utc(last.written_at))} UTC"
    yield f"session      {last.environment} {last.log_id}, event time {_second(iso_utc(last.instant))} UTC"


def _second(instant: str) -> str:
    return instant[:19].replace("T", " ")


def _lines(view: AccountView) -> Iterator[str]:
    halted = "kill switch on" if view.kill_switch else f"state unknown: {view.state_unknown}" if view.state_unknown else "open"
    yield f"account      {halted}, cycle {view.sequence}, equity {view.equity:.2f}, {view.active_positions} instrument(s) held"
    sides = f"long {view.long_notional:.2f}, short {view.short_notional:.2f}, open orders {view.reserved:.2f}"
    yield f"exposure     gross {view.gross_notional:.2f}: {sides}"
    for asset, available in view.available.items():
        margin = f"blocked {view.blocked[asset]:.2f}, maintenance {view.maintenance[asset]:.2f}"
        yield f"margin       {asset}: available {available:.2f}, {margin}"
    for market in view.closed_markets:
        yield f"closed       {market}"
    for profile in view.profiles:
        yield from _profile_lines(profile)


def _profile_lines(profile: RiskView) -> Iterator[str]:
    limits = profile.limits
    forced = ", force_liquidation" if profile.force_liquidation else ""
    yield f"profile      {profile.profile}: {profile.state}{forced}"
    yield f"  daily loss {profile.daily_loss:.2f} of {profile.daily_loss_allowed:.2f} ({profile.daily_loss_pct:.2%})"
    yield f"  drawdown   {profile.drawdown:.2f} of {profile.drawdown_allowed:.2f} ({profile.drawdown_pct:.2%})"
    yield (
        f"  limits     position {limits.max_position_pct:.2%}, leverage {limits.max_leverage}, net {limits.max_net_exposure}, "
        f"{limits.max_open_positions} positions, stop {limits.stop_loss_atr_multiple} ATR, target volatility {limits.target_volatility}"
    )
