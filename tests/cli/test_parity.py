"""`dudzian parity`: its verdict as exit code, text and JSON, on a session that the daemon itself has recorded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dudzian_daemon.cli.main import main
from tests.integration.daemon_process import SHORT_WINDOWS, cycles, daemon, journal_file, journal_lines, session_folder, short_config

WINDOW = "        - {start: 2024-02-10, end: 2024-02-12, instruments: [ETH_USDT]}"


def parity(*arguments: object) -> int:
    try:
        main(["parity", *map(str, arguments)])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


class Played:
    """A home in which one session was played."""

    def __init__(self, home: Path) -> None:
        self.config = short_config(home, window=(SHORT_WINDOWS, WINDOW))
        self.data = home / "data"
        with daemon(home, "--config", self.config, "--speed", "max", "--no-ui") as child:
            assert child.end().code == 0
        self.log_id = session_folder(self.data).name


@pytest.fixture(scope="module")
def homes() -> list[Played]:
    """Filled by the first test that needs it: one session is enough for all."""
    return []


@pytest.fixture
def played(homes: list[Played], tmp_path_factory: pytest.TempPathFactory) -> Played:
    if not homes:
        homes.append(Played(tmp_path_factory.mktemp("parity")))
    return homes[0]


def test_equal_is_0(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    assert parity("--data-dir", played.data, "--config", played.config) == 0
    head, compared, verdict = capsys.readouterr().out.splitlines()[:3]
    assert head == f"session      {played.log_id} (closed), environment demo"
    count = int(compared.split()[1])
    assert compared == f"compared     {count} of {count} cycles are equal"
    assert verdict.startswith("verdict      equal, content chain ")


# -- seals -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_key(played: Played, monkeypatch: pytest.MonkeyPatch) -> Played:
    """The daemon's key is on this machine."""
    monkeypatch.setenv("DUDZIAN_KEY_FILE", str(next(played.data.parent.rglob("*.key"))))
    return played


def tampered(data: Path, copy: Path) -> tuple[Path, int, str]:
    """A copy of the data folder in which one digit of the price of a fill is another; which line that is and the price's path."""
    path = journal_file(shutil.copytree(data, copy))
    lines = path.read_bytes().splitlines(keepends=True)
    number, line = next((number, line) for number, line in enumerate(lines) if b'"fills":[{' in line)
    begin = line.index(b'"price":"', line.index(b'"fills":[{')) + len(b'"price":"')
    digit = b"%d" % ((int(line[begin : begin + 1]) + 1) % 10)
    path.write_bytes(b"".join([*lines[:number], line[:begin] + digit + line[begin + 1 :], *lines[number + 1 :]]))
    return path, number + 1, "fills[0].price"


def test_intact_seals_are_said(with_key: Played, capsys: pytest.CaptureFixture[str]) -> None:
    assert parity("--data-dir", with_key.data, "--config", with_key.config) == 0
    answer = capsys.readouterr()
    assert ("seals        intact\n" in answer.out, answer.err) == (True, "")


def test_a_tampered_session_is_not_compared(with_key: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, line, _ = tampered(with_key.data, tmp_path / "data")
    for arguments in ((), ("--json",)):
        assert parity("--data-dir", tmp_path / "data", "--config", with_key.config, *arguments) == 2
        answer = capsys.readouterr()
        assert (answer.out, answer.err.count("\n")) == ("", 1)
        assert answer.err.startswith(f"dudzian: TAMPERED at {path} line {line} (sequence ")


def test_without_the_key_it_is_compared_and_that_is_said(played: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parity("--data-dir", played.data, "--config", played.config) == 0
    assert capsys.readouterr().err.startswith("dudzian: seals not checked: key missing; ")
    *_, price = tampered(played.data, tmp_path / "data")
    assert parity("--data-dir", tmp_path / "data", "--config", played.config) == 1
    text = capsys.readouterr().out
    (cause,) = (line for line in text.splitlines() if line.startswith("cause "))
    assert cause.startswith(f"cause        code: {price}: ")
    assert cause.endswith("is not deterministic, unless the record was changed: no seal proves it")
    (differing,) = (line for line in text.splitlines() if line.startswith("differing "))
    one, other = differing.removeprefix(f"differing    {price}: ").removesuffix(" in the backtest").split(" recorded, ")
    assert (len(one), one == other, one[2:]) == (len(other), False, other[2:])
    assert text.endswith("seals        not checked: key missing\n")
    assert parity("--data-dir", tmp_path / "data", "--config", played.config, "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["seals"], document["difference"]["paths"]) == (
        "not checked: key missing",
        [{"path": price, "recorded": one, "backtest": other}],
    )


# -- differences -------------------------------------------------------------------------------------------------------


def test_a_difference_is_1_and_named(played: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shutil.copytree(played.config.parent, tmp_path / "config")
    edited = folder / "core.yaml"
    edited.write_text(edited.read_text().replace("position_size: 0.1\n", "position_size: 0.2\n"))
    where = ("--data-dir", played.data, "--config", edited)
    assert parity(*where, "--session", played.log_id[:6]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("verdict      differs from cycle ")
    assert "cause        config: changed since: paper_trading.position_size: 0.1 -> 0.2" in lines
    assert parity(*where, "--json") == 1
    document = json.loads(capsys.readouterr().out)
    difference = document["difference"]
    assert (document["schema"], document["equal"], document["log_id"]) == ("dudzian.parity/1", False, played.log_id)
    assert (difference["cause"], difference["sequence"]) == ("config", document["compared"] + 1)
    assert difference["recorded"]["sequence"] == difference["sequence"] == difference["backtest"]["sequence"]
    assert document["config_changes"] == ["paper_trading.position_size: 0.1 -> 0.2"]


def test_a_session_that_is_stopped_by_its_operator_is_compared_with_the_stop_in_it(tmp_path: Path) -> None:
    config = short_config(tmp_path, window=(SHORT_WINDOWS, WINDOW))
    with daemon(tmp_path, "--config", config, "--speed", 20_000) as child:
        child.wait_for_line("fill ")
        assert main_code("stop", "--data-dir", tmp_path / "data") == 0
        assert child.end().code == 0
    commands = [item for cycle in cycles(journal_lines(tmp_path / "data")) for item in cycle["inputs"] if item[0] == "command"]
    assert [command[3] for command in commands] == ["stop"]
    assert parity("--data-dir", tmp_path / "data", "--config", config) == 0


def test_a_session_that_ended_in_the_middle_is_compared_as_far_as_it_goes(
    played: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(played.data, tmp_path / "data")
    path = journal_file(data)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:8]) + lines[8][:50])
    assert parity("--data-dir", data, "--config", played.config) == 0
    assert f"session      {played.log_id} (torn)" in capsys.readouterr().out


def main_code(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    return int(ended.value.code or 0)


def test_no_such_session_is_2(played: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parity("--data-dir", played.data, "--config", played.config, "--session", "zz") == 2
    assert f"found no session for 'zz'; known: {played.log_id}" in capsys.readouterr().err
    assert parity("--data-dir", tmp_path) == 2
    expected = f"--session: expected one session of demo below {tmp_path}, found no session for 'newest'; known: none"
    assert capsys.readouterr().err == f"dudzian: {expected}\n"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: lines[:1], "expected a `run` entry and cycles, found no `run` entry"),
        (lambda lines: lines[:2], "expected a `run` entry and cycles, found no cycles"),
        (lambda lines: [*lines[:3], "{}"], "line 4: expected an entry"),
    ],
)
def test_what_cannot_be_compared_is_2_in_one_line(
    played: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage, message: str
) -> None:
    data = shutil.copytree(played.data, tmp_path / "data")
    path = journal_file(data)
    path.write_text("".join(f"{line}\n" for line in damage(path.read_text().splitlines())))
    assert parity("--data-dir", data, "--config", played.config) == 2
    answer = capsys.readouterr()
    assert answer.out == ""
    assert message in answer.err
    assert answer.err.count("\n") == 1
