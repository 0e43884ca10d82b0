"""The inbox: files in by rename, one answer each, nothing executed that was not meant for this daemon."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import anyio
import msgspec
import pytest

from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.services.inbox import LARGEST_COMMAND, CommandFile, Inbox, Reply, expire_commands, inbox_folder, read_reply, send
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


def serve(data_folder: Path) -> list[tuple[str, str]]:
    """Serve what lies in the inbox up to the command `last`, which comes last by its name; the ids and names that were handled."""
    put(data_folder, "zzz", b'{"name": "last"}')
    return asyncio.run(_serve(data_folder))


async def _serve(data_folder: Path) -> list[tuple[str, str]]:
    served = Served()
    with served.ended:
        await Inbox(data_folder, served, ManualClock()).run()
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
