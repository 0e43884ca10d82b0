"""The kill switch by HTTP and by signal in front of a real inbox: who is let in, what is answered, what lies in the inbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from dudzian_daemon.app.process.kill_switch import REPLY_SECONDS, KillSwitch
from dudzian_daemon.config.runtime import KillSwitchToken
from dudzian_daemon.domain.errors import Retryable
from dudzian_daemon.kernel.clock import SystemClock
from dudzian_daemon.services.inbox import CommandFile, Inbox, Reply, expire_commands, inbox_folder
from dudzian_daemon.testing.clock import ManualClock

TOKEN = "a token of more than sixteen characters"
HELD = {"DUDZIAN_KILL_SWITCH_TOKEN": TOKEN}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    expire_commands(tmp_path)
    return tmp_path


def waiting(folder: Path) -> list[Path]:
    return sorted(inbox_folder(folder).glob("*.json"))


@asynccontextmanager
async def served(folder: Path, *, accepted: bool = True) -> AsyncIterator[list[CommandFile]]:
    """An inbox that answers what comes, and what came."""
    seen: list[CommandFile] = []

    async def obey(command_id: str, command: CommandFile) -> Reply:
        seen.append(command)
        return Reply(command_id, accepted=accepted, detail="said", sequence=7 if accepted else None)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Inbox(folder, obey, SystemClock()).run)
        yield seen
        tasks.cancel_scope.cancel()


async def test_with_the_token_it_is_a_command_like_any_other(folder: Path) -> None:
    switch = KillSwitch(folder, SystemClock(), KillSwitchToken(), HELD)
    with anyio.fail_after(10):
        async with served(folder) as seen:
            status, document = await switch.press(TOKEN)
    assert (status, document["accepted"], document["sequence"]) == (HTTPStatus.OK, True, 7)
    assert seen == [CommandFile("kill_switch", {"on": "yes", "reason": "http"})]


async def test_what_the_daemon_refuses_is_a_conflict(folder: Path) -> None:
    switch = KillSwitch(folder, SystemClock(), KillSwitchToken(), HELD)
    with anyio.fail_after(10):
        async with served(folder, accepted=False):
            status, document = await switch.press(TOKEN)
    assert (status, document["accepted"], document["detail"]) == (HTTPStatus.CONFLICT, False, "said")


@pytest.mark.parametrize("sent", ["", " ", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\udcfc" * 16])
async def test_without_the_token_nothing_lies_in_the_inbox(folder: Path, sent: str) -> None:
    status, document = await KillSwitch(folder, ManualClock(), KillSwitchToken(), HELD).press(sent)
    assert (status, document["accepted"]) == (HTTPStatus.UNAUTHORIZED, False)
    assert TOKEN not in str(document)
    assert await anyio.to_thread.run_sync(waiting, folder) == []


@pytest.mark.parametrize(
    ("token", "env", "said"),
    [
        (KillSwitchToken(), {}, "without its token 'kill-switch'; set DUDZIAN_KILL_SWITCH_TOKEN"),
        (KillSwitchToken(), {"DUDZIAN_KILL_SWITCH_TOKEN": ""}, "without its token"),
        (KillSwitchToken(token_env="OTHER"), {"OTHER": "short"}, "expected at least 16 characters, found 5"),
        (None, HELD, "no token is configured"),
    ],
)
async def test_a_daemon_without_a_usable_token_lets_nobody_in(
    folder: Path, token: KillSwitchToken | None, env: dict[str, str], said: str
) -> None:
    switch = KillSwitch(folder, ManualClock(), token, env)
    for sent in ("", "short", TOKEN):
        status, document = await switch.press(sent)
        assert status is HTTPStatus.SERVICE_UNAVAILABLE
        assert said in str(document["detail"])
    assert switch.by_http is (token is not None)
    assert await anyio.to_thread.run_sync(waiting, folder) == []


async def test_an_inbox_that_does_not_answer_keeps_the_command(folder: Path) -> None:
    clock = ManualClock()
    switch = KillSwitch(folder, clock, KillSwitchToken(), HELD)
    answers = []

    async def ask() -> None:
        answers.append(await switch.press(TOKEN))

    with anyio.fail_after(REPLY_SECONDS + 10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            while not answers:
                await clock.advance(REPLY_SECONDS)
    ((status, document),) = answers
    (path,) = await anyio.to_thread.run_sync(waiting, folder)
    assert (status, document["accepted"], document["id"]) == (HTTPStatus.ACCEPTED, True, path.stem)


async def test_a_signal_is_a_command_and_a_disk_that_refuses_it_is_asked_again(folder: Path) -> None:
    switch = KillSwitch(folder, ManualClock(), None, {})
    inbox = inbox_folder(folder)

    def block() -> None:
        inbox.joinpath("replies").rmdir()
        inbox.rmdir()
        inbox.touch()

    await anyio.to_thread.run_sync(block)
    switch.on_signal()
    with pytest.raises(Retryable):
        await switch.run()
    await anyio.to_thread.run_sync(inbox.unlink)
    await anyio.to_thread.run_sync(expire_commands, folder)
    with anyio.fail_after(10):
        async with served(folder) as seen, anyio.create_task_group() as tasks:
            tasks.start_soon(switch.run)  # the signal is not forgotten
            while not seen:
                await anyio.to_thread.run_sync(waiting, folder)
            tasks.cancel_scope.cancel()
    assert seen == [CommandFile("kill_switch", {"on": "yes", "reason": "SIGUSR1"})]
