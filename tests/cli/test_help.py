"""Every help has examples, completion works in each shell, and `python -m dudzian_daemon` is the same program."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module  # noqa: TID251 looks at every command, as cli/main.py does
from pathlib import Path

import pytest

from dudzian_daemon.cli.main import COMMANDS_PACKAGE, command_names, main


def words() -> list[tuple[str, ...]]:
    """Every command, and every command of a group."""
    found: list[tuple[str, ...]] = []
    for name in command_names():
        module = import_module(f"{COMMANDS_PACKAGE}.{name.replace('-', '_')}")
        found.append((name,))
        if hasattr(module, "app"):
            found += [(name, str(each.name or each.callback.__name__).replace("_", "-")) for each in module.app.registered_commands]
    return found


@pytest.mark.parametrize("command", words(), ids=" ".join)
def test_every_help_has_examples_of_its_command(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert not ended.value.code
    text = capsys.readouterr().out
    assert "Examples:" in text
    assert f"dudzian {command[0]}" in text.partition("Examples:")[2]


@pytest.mark.parametrize("command", words(), ids=" ".join)
def test_every_name_is_whole_in_a_terminal_of_80_columns(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    text = capsys.readouterr().out
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_longest_names_are_all_in_the_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["run-daily-trend", "--help"])
    words_shown = set(capsys.readouterr().out.split())
    names = ["--paper-smoke-auto-publish-required", "--paper-precheck-fail-on-warnings", "--paper-smoke-summary-json", "--headless-storage"]
    assert words_shown.issuperset(names)


def run(*program: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    done = subprocess.run(program, capture_output=True, text=True, env={**os.environ, **(env or {})}, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_is_there_for_each_shell(shell: str) -> None:
    code, script = run(sys.executable, "-m", "dudzian_daemon", env={"_DUDZIAN_COMPLETE": f"source_{shell}"})
    assert (code, "_DUDZIAN_COMPLETE" in script, "dudzian" in script) == (0, True, True)


def test_commands_and_options_complete() -> None:
    program = (sys.executable, "-m", "dudzian_daemon")
    complete = {"_DUDZIAN_COMPLETE": "complete_bash", "COMP_CWORD": "1", "COMP_WORDS": "dudzian run-d"}
    assert run(*program, env=complete) == (0, "run-daily-trend\n")
    code, found = run(*program, env=complete | {"COMP_CWORD": "2", "COMP_WORDS": "dudzian run-daily-trend --print-"})
    assert (code, found.split()) == (0, ["--print-runtime-modules", "--print-risk-profiles", "--print-runtime-plan"])


def test_the_module_is_the_program() -> None:
    program = Path(sys.executable).with_name("dudzian")
    if not program.exists():
        pytest.skip("the console script is not beside this interpreter")
    for arguments in (["--version"], ["--help"], ["run-daily-trend", "--help"], ["nonsense"]):
        assert run(str(program), *arguments) == run(sys.executable, "-m", "dudzian_daemon", *arguments)
