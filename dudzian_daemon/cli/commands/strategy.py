"""Show, suspend and resume the strategies of a running daemon.

A suspended strategy sees every candle and decides nothing.

Where the scheduler has `rbac_tokens` (CORE_SCHEDULER_TOKEN), suspending and resuming need the same token here: in the
variable, or in the keychain entry of its name. The command file holds a proof of it, never the token.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from dudzian_daemon.cli.output import emit_json, emit_text, note
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.services.inbox import HeldToken, Reply
    from dudzian_daemon.sinks.status import Status

EXAMPLES = """Examples:

  dudzian strategy list

  dudzian strategy suspend core_mean_reversion

  dudzian strategy resume core_mean_reversion --json
"""

app = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})

_POLL_SECONDS = 0.05

DataDir = Annotated[Path | None, typer.Option(help="Data folder of the daemon.", envvar="DUDZIAN_DATA_DIR")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the answer.")]
TokenId = Annotated[str, typer.Option("--token-id", help="Name of the token, and of its keychain entry.")]
TokenEnv = Annotated[str, typer.Option("--token-env", help="Environment variable that holds it.")]


class StrategyLine(msgspec.Struct, frozen=True):
    """A strategy, what it is doing, and the instruments of its units."""

    name: str
    state: str
    detail: str
    units: tuple[str, ...]


@app.command("list")
def list_strategies(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """The strategies of the last durable snapshot with their states. Exit 0 if a daemon runs, 1 if not, 2 if none ever ran."""
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.adapters.platform import running_pid
    from dudzian_daemon.sinks.status import read_status

    folder = resolve(data_dir, os.environ)
    status = read_status(folder)
    if status is None:
        msg = f"no daemon has run on {folder} yet; start one with: dudzian run"
        raise ConfigError(msg)
    pid = running_pid(folder)
    lines = list(_strategies(status))
    if as_json:
        emit_json({"running": pid is not None, "session": status.log_id, "strategies": lines})
    else:
        if pid is None:
            note("not running; last snapshot")
        was = "was " if pid is None else ""
        emit_text("\n".join(f"{line.name:<28} {was + line.state:<16} {', '.join(line.units)} {line.detail}".rstrip() for line in lines))
    raise typer.Exit(0 if pid is not None else 1)


def _ordering(order: str) -> Callable[..., None]:
    """The command that gives this order to the daemon."""

    def command(
        name: Annotated[str, typer.Argument(metavar="ID", help="Strategy, by its name in the configuration.")],
        data_dir: DataDir = None,
        token_id: TokenId = "scheduler-local",
        token_env: TokenEnv = "CORE_SCHEDULER_TOKEN",
        timeout: Timeout = 10.0,
        as_json: AsJson = False,
    ) -> None:
        _order(order, name, data_dir, (token_id, token_env), timeout, as_json=as_json)

    return command


for _name, _does in (
    ("suspend", "Let a strategy decide nothing until it is resumed; its position stays."),
    ("resume", "Let a suspended or quarantined strategy decide again."),
):
    app.command(_name, help=f"{_does} Exit 0 done, 1 refused or no answer, 2 no daemon runs.")(_ordering(_name))


def _order(order: str, strategy: str, data_dir: Path | None, token: tuple[str, str], timeout: float, *, as_json: bool) -> None:
    import anyio

    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.adapters.platform import running_pid
    from dudzian_daemon.services.inbox import CommandFile, send

    folder = resolve(data_dir, os.environ)
    if running_pid(folder) is None:
        msg = f"no daemon runs on {folder}"
        raise ConfigError(msg)
    command_id = send(folder, CommandFile(order, {"strategy": strategy}), _token(*token))
    reply = anyio.run(_reply, folder, command_id, timeout)
    accepted = reply is not None and reply.accepted
    if as_json:
        emit_json({"command": command_id, "strategy": strategy, "accepted": accepted, "reply": reply})
    elif reply is None:
        note(f"no answer within {timeout:g} s; look at: dudzian status")
    elif reply.accepted:
        emit_text(f"{strategy}: {reply.detail}, on the record as cycle {reply.sequence}")
    else:
        note(reply.detail)
    raise typer.Exit(0 if accepted else 1)


def _token(token_id: str, token_env: str) -> HeldToken | None:
    """The token, None where there is none: then the daemon says whether it wants one."""
    from dudzian_daemon.adapters.keychain import find_token
    from dudzian_daemon.services.inbox import HeldToken

    secret = find_token(token_id, token_env, os.environ)
    return HeldToken(token_id, secret) if secret else None


async def _reply(folder: Path, command_id: str, seconds: float) -> Reply | None:
    from anyio.to_thread import run_sync

    from dudzian_daemon.kernel.clock import SystemClock
    from dudzian_daemon.services.inbox import read_reply

    clock = SystemClock()
    for _ in range(int(seconds / _POLL_SECONDS)):
        reply = await run_sync(read_reply, folder, command_id)
        if reply is not None:
            return reply
        await clock.sleep(_POLL_SECONDS)
    return await run_sync(read_reply, folder, command_id)


def _strategies(status: Status) -> Iterator[StrategyLine]:
    units: dict[str, list[tuple[str, str, str]]] = {}
    for unit in status.units:
        kind, _, name = unit.name.partition(":")
        if kind == "strategy":
            strategy, _, instruments = name.rstrip("]").partition("[")
            units.setdefault(strategy, []).append((unit.state, unit.detail, instruments))
    for strategy, found in sorted(units.items()):
        yield StrategyLine(strategy, found[0][0], found[0][1], tuple(instruments for _, _, instruments in found))
