"""The kill switch by HTTP and by signal in front of a real inbox: who is let in, what is answered, what lies in the inbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from dudzian_daemon.app.process.kill_switch import REPLY_SECONDS, KillSwitch
from dudzian_daemon.config.runtime import KillSwitchToken
from dudzian_daemon.domain.errors import Retryable
from dudzian_daemon.kernel.clock import SECOND_NS
from dudzian_daemon.services.inbox import CommandFile, Inbox, Reply, expire_commands, inbox_folder
from dudzian_daemon.testing.clock import ManualClock

TOKEN = "a token of more than sixteen characters"
#: Real seconds after which a test that waits has failed.
BOUND_S = 60
HELD = {"DUDZIAN_KILL_SWITCH_TOKEN": TOKEN}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    expire_commands(tmp_path)
    return tmp_path


def waiting(folder: Path) -> list[Path]:
    return sorted(inbox_folder(folder).glob("*.json"))


@asynccontextmanager
async def served(folder: Path, clock: ManualClock, *, accepted: bool = True) -> AsyncIterator[list[CommandFile]]:
    """An inbox on the clock that answers what comes, and what came."""
    seen: list[CommandFile] = []

    async def obey(command_id: str, command: CommandFile) -> Reply:
        seen.append(command)
        return Reply(command_id, accepted=accepted, detail="said", sequence=7 if accepted else None)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Inbox(folder, obey, clock).run)
        yield seen
        tasks.cancel_scope.cancel()


async def pressed(switch: KillSwitch, clock: ManualClock) -> tuple[HTTPStatus, Mapping[str, object]]:
    """The answer, for which time goes by on the clock."""
    answers: list[tuple[HTTPStatus, Mapping[str, object]]] = []

    async def ask() -> None:
        answers.append(await switch.press(TOKEN))

    with anyio.fail_after(BOUND_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await clock.settle()
            while not answers:
                await clock.advance(0.02)
    return answers[0]


async def test_with_the_token_it_is_a_command_like_any_other_and_answered_within_a_second(folder: Path) -> None:
    """What the machine needs to write and sync is no part of that second: on this clock it takes no time."""
    clock = ManualClock()
    switch = KillSwitch(folder, clock, KillSwitchToken(), HELD)
    async with served(folder, clock) as seen:
        status, document = await pressed(switch, clock)
    assert clock.monotonic_ns() < SECOND_NS
    assert (status, document["accepted"], document["sequence"]) == (HTTPStatus.OK, True, 7)
    assert seen == [CommandFile("kill_switch", {"on": "yes", "reason": "http"})]


async def test_what_the_daemon_refuses_is_a_conflict(folder: Path) -> None:
    clock = ManualClock()
    async with served(folder, clock, accepted=False):
        status, document = await pressed(KillSwitch(folder, clock, KillSwitchToken(), HELD), clock)
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
    status, document = await pressed(KillSwitch(folder, clock, KillSwitchToken(), HELD), clock)
    assert REPLY_SECONDS * SECOND_NS <= clock.monotonic_ns() < (REPLY_SECONDS + 0.1) * SECOND_NS
    (path,) = await anyio.to_thread.run_sync(waiting, folder)
    assert (status, document["accepted"], document["id"]) == (HTTPStatus.ACCEPTED, True, path.stem)


async def test_a_signal_is_a_command_and_a_disk_that_refuses_it_is_asked_again(folder: Path) -> None:
    clock = ManualClock()
    switch = KillSwitch(folder, clock, None, {})
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
    async with served(folder, clock) as seen, anyio.create_task_group() as tasks:
        tasks.start_soon(switch.run)  # the signal is not forgotten
        await clock.advance(1)
        tasks.cancel_scope.cancel()
    assert seen == [CommandFile("kill_switch", {"on": "yes", "reason": "SIGUSR1"})]
