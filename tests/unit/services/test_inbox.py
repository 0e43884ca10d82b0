"""The inbox: files in by rename, one answer each, nothing executed that was not meant for this daemon."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import anyio
import msgspec
import pytest

from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.services.inbox import (
    LARGEST_COMMAND,
    CommandFile,
    Guard,
    HeldToken,
    Inbox,
    Proof,
    Reply,
    expire_commands,
    inbox_folder,
    read_reply,
    send,
)
from dudzian_daemon.testing.clock import ManualClock


class Served:
    """Answers every command; the one named `last` ends the service."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.ended = anyio.CancelScope()

    async def __call__(self, command_id: str, command: CommandFile) -> Reply:
        self.seen.append((command_id, command.name))
        if command.name == "last":
            self.ended.cancel()
        if command.name == "refused":
            msg = "not now"
            raise ConfigError(msg)
        return Reply(command_id, accepted=True, detail=command.name, sequence=7)


def serve(data_folder: Path, opened: Guard | None = None) -> list[tuple[str, str]]:
    """Serve what lies in the inbox up to the command `last`, which comes last by its name; the ids and names that were handled."""
    put(data_folder, "zzz", b'{"name": "last"}')
    return asyncio.run(_serve(data_folder, opened))


async def _serve(data_folder: Path, opened: Guard | None) -> list[tuple[str, str]]:
    served = Served()
    with served.ended:
        await Inbox(data_folder, served, ManualClock(), opened).run()
    return served.seen


def put(data_folder: Path, command_id: str, content: bytes) -> Path:
    path = inbox_folder(data_folder) / f"{command_id}.json"
    path.write_bytes(content)
    return path


def reply(data_folder: Path, command_id: str) -> Reply:
    found = read_reply(data_folder, command_id)
    assert found is not None
    return found


def test_each_command_is_handled_once_and_answered(tmp_path: Path) -> None:
    expire_commands(tmp_path)
    ids = [send(tmp_path, CommandFile(name, {"a": "b"})) for name in ("one", "refused")]
    assert read_reply(tmp_path, ids[0]) is None
    assert sorted(serve(tmp_path)) == sorted([(ids[0], "one"), (ids[1], "refused"), ("zzz", "last")])
    assert reply(tmp_path, ids[0]) == Reply(ids[0], accepted=True, detail="one", sequence=7)
    assert reply(tmp_path, ids[1]) == Reply(ids[1], accepted=False, detail="not now")
    assert not any((inbox_folder(tmp_path) / f"{command_id}.json").exists() for command_id in ids)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"name": 1}', b'{"name": "x", "other": 1}', b'{"name": "x", "arguments": {"n": 1}}', b" " * (LARGEST_COMMAND + 1)],
)
def test_what_is_no_command_is_refused(tmp_path: Path, content: bytes) -> None:
    expire_commands(tmp_path)
    put(tmp_path, "bad", content)
    assert [name for _, name in serve(tmp_path)] == ["last"]
    answer = reply(tmp_path, "bad")
    assert (answer.accepted, answer.detail != "") == (False, True)


def test_a_symlink_is_not_read(tmp_path: Path) -> None:
    expire_commands(tmp_path)
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text('{"name": "stop"}')
    (inbox_folder(tmp_path) / "link.json").symlink_to(elsewhere)
    assert [name for _, name in serve(tmp_path)] == ["last"]
    assert read_reply(tmp_path, "link") is None


def test_commands_of_an_earlier_run_expire(tmp_path: Path) -> None:
    expire_commands(tmp_path)
    command_id = send(tmp_path, CommandFile("stop"))
    expire_commands(tmp_path)
    answer = reply(tmp_path, command_id)
    assert (answer.accepted, answer.detail) == (False, "expired: the daemon it was meant for has ended")
    assert list(inbox_folder(tmp_path).glob("*.json")) == []


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    expire_commands(tmp_path)
    command_id = send(tmp_path, CommandFile("stop"))
    folder = inbox_folder(tmp_path)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "replies", folder / f"{command_id}.json")}
    assert list(modes.values()) == [0o700, 0o700, 0o600]
    assert msgspec.json.decode((folder / f"{command_id}.json").read_bytes()) == {"name": "stop", "arguments": {}}


# -- tokens -------------------------------------------------------------------------------------------------------------

SECRET = "correct horse battery staple"
BOTH = ("runtime.schedule.read", "runtime.schedule.write")


def guard(*tokens: HeldToken) -> Guard:
    opened = Guard([token.id for token in tokens], lambda: list(tokens))
    opened.open()
    return opened


def judged(data_folder: Path, opened: Guard, command: CommandFile, token: HeldToken | None = None) -> str | None:
    """What the guard says of a command as it lies in the inbox."""
    command_id = send(data_folder, command, token)
    path = inbox_folder(data_folder) / f"{command_id}.json"
    assert SECRET not in path.read_text()
    return opened.refusal(command_id, msgspec.json.decode(path.read_bytes(), type=CommandFile))


SUSPEND = CommandFile("suspend", {"strategy": "core"})


def test_a_daemon_without_its_token_refuses_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened = Guard(["scheduler-local"], list)
    opened.open()
    assert capsys.readouterr().err.count("scheduler_token_missing") == 1
    refusal = judged(tmp_path, opened, SUSPEND, HeldToken("scheduler-local", SECRET))
    assert refusal == ("suspend is refused: the daemon was started without its token (scheduler-local); set it and start the daemon again")
    assert judged(tmp_path, opened, CommandFile("stop")) is None


def test_where_no_token_is_configured_every_command_is_free(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened = guard()
    assert "token" not in capsys.readouterr().err
    assert judged(tmp_path, opened, SUSPEND) is None
    assert judged(tmp_path, opened, SUSPEND, HeldToken("any", SECRET)) is None


def test_with_a_token_a_write_needs_its_proof(tmp_path: Path) -> None:
    held = HeldToken("scheduler-local", SECRET, BOTH)
    opened = guard(held, HeldToken("reader", SECRET * 2, BOTH[:1]))
    assert judged(tmp_path, opened, SUSPEND, HeldToken("scheduler-local", SECRET)) is None
    refusals = {
        "absent": judged(tmp_path, opened, SUSPEND),
        "unknown": judged(tmp_path, opened, SUSPEND, HeldToken("stranger", SECRET)),
        "wrong": judged(tmp_path, opened, SUSPEND, HeldToken("scheduler-local", "another value of it")),
        "without scope": judged(tmp_path, opened, SUSPEND, HeldToken("reader", SECRET * 2)),
    }
    assert refusals == {
        "absent": "suspend needs a token with scope runtime.schedule.write, found none in the command; known here: scheduler-local, reader",
        "unknown": "suspend: token 'stranger' is not known here; known: scheduler-local, reader",
        "wrong": "suspend: the proof does not fit token 'scheduler-local': its value is not the daemon's, or the command was changed",
        "without scope": "suspend needs scope runtime.schedule.write; token 'reader' has runtime.schedule.read",
    }
    assert SECRET not in repr(held)


@pytest.mark.parametrize("name", ["stop", "kill_switch", "close_positions", "nonsense"])
def test_what_stops_is_never_guarded(tmp_path: Path, name: str) -> None:
    assert judged(tmp_path, guard(HeldToken("scheduler-local", SECRET, BOTH)), CommandFile(name)) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "resume"},
        {"arguments": {"strategy": "other"}},
        {"arguments": {"strategy": "core", "more": "x"}},
        {"proof": Proof("scheduler-local", "")},
        {"proof": Proof("scheduler-local", "ü" * 64)},
    ],
    ids=str,
)
def test_a_proof_is_good_for_one_command_only(tmp_path: Path, changed: dict[str, object]) -> None:
    held = HeldToken("scheduler-local", SECRET, BOTH)
    command_id = send(tmp_path, SUSPEND, held)
    command = msgspec.json.decode((inbox_folder(tmp_path) / f"{command_id}.json").read_bytes(), type=CommandFile)
    opened = guard(held)
    assert opened.refusal(command_id, command) is None
    assert "does not fit" in str(opened.refusal("0" * 16, command))
    assert "does not fit" in str(opened.refusal(command_id, msgspec.structs.replace(command, **changed)))


def test_tokens_that_cannot_be_used_free_nothing(tmp_path: Path) -> None:
    def locked() -> list[HeldToken]:
        msg = "the OS keychain does not answer"
        raise ConfigError(msg)

    opened = Guard(["scheduler-local"], locked)
    held = HeldToken("scheduler-local", SECRET, BOTH)
    assert "still looking" in str(judged(tmp_path, opened, SUSPEND, held))
    opened.open()
    assert judged(tmp_path, opened, SUSPEND, held) == "suspend is refused: the OS keychain does not answer"
    assert judged(tmp_path, opened, CommandFile("stop")) is None


def test_a_refused_command_is_answered_and_never_handled(tmp_path: Path) -> None:
    expire_commands(tmp_path)
    refused = send(tmp_path, SUSPEND)
    obeyed = send(tmp_path, SUSPEND, HeldToken("scheduler-local", SECRET))
    opened = Guard(["scheduler-local"], lambda: [HeldToken("scheduler-local", SECRET, BOTH)])
    assert serve(tmp_path, opened) == [(obeyed, "suspend"), ("zzz", "last")]
    assert (reply(tmp_path, refused).accepted, reply(tmp_path, obeyed).accepted) == (False, True)


def test_a_proven_command_that_comes_again_is_not_obeyed_again(tmp_path: Path) -> None:
    expire_commands(tmp_path)
    opened = Guard(["scheduler-local"], lambda: [HeldToken("scheduler-local", SECRET, BOTH)])
    command_id = send(tmp_path, SUSPEND, HeldToken("scheduler-local", SECRET))
    path = inbox_folder(tmp_path) / f"{command_id}.json"
    stolen = path.read_bytes()
    serve(tmp_path, opened)
    first = reply(tmp_path, command_id)
    path.write_bytes(stolen)
    assert [name for _, name in serve(tmp_path, opened)] == ["last"]
    assert (reply(tmp_path, command_id), path.exists()) == (first, False)
