"""A wrong command line: one line that says where, what was expected, what was found, and which help tells more; exit 2."""

from __future__ import annotations

import ast
from importlib.resources import files

import pytest

from dudzian_daemon.cli.main import COMMANDS_PACKAGE, command_names, main

WAYS = ("see: dudzian run --help", "see: dudzian --help")


def dudzian(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("run --metrics-port abc", "run: --metrics-port: expected a whole number from 0 to 65535, found 'abc'; see: dudzian run --help"),
        ("run --metrics-port 70000", "run: --metrics-port: expected a whole number from 0 to 65535, found 70000; see: dudzian run --help"),
        ("run --metrics-port", "run: --metrics-port: expected a value, found none; see: dudzian run --help"),
        ("run --no-ui=3", "run: --no-ui: expected no value, found one; see: dudzian run --help"),
        ("run --conf x", "run: unknown option --conf; did you mean '--config'?; see: dudzian run --help"),
        ("run --me 3", "run: unknown option --me; did you mean '--metrics-port'?; see: dudzian run --help"),
        ("run -q", "run: unknown option -q; see: dudzian run --help"),
        ("run now please", "run: expected nothing more, found 'now please'; see: dudzian run --help"),
        (
            "seed-paper-cache --days 0",
            "seed-paper-cache: --days: expected a whole number from 1 to 36500, found 0; see: dudzian seed-paper-cache --help",
        ),
        ("cycles --limit -3", "cycles: --limit: expected a whole number of at least 0, found -3; see: dudzian cycles --help"),
        ("stop --timeout soon", "stop: --timeout: expected a number of at least 0.1, found 'soon'; see: dudzian stop --help"),
        ("runn", "unknown command 'runn'; did you mean 'run'?; see: dudzian --help"),
        ("--foo", "unknown option --foo; see: dudzian --help"),
        ("strategy lst", "strategy: unknown command 'lst'; did you mean 'list'?; see: dudzian strategy --help"),
        ("strategy", "strategy: expected a command, found none; known: list, resume, suspend; see: dudzian strategy --help"),
        ("strategy suspend", "strategy suspend: expected ID, found nothing; see: dudzian strategy suspend --help"),
        ("plugins new strategy", "plugins new: expected NAME, found nothing; see: dudzian plugins new --help"),
    ],
)
def test_it_is_one_line(capsys: pytest.CaptureFixture[str], arguments: str, line: str) -> None:
    assert dudzian(*arguments.split()) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"dudzian: {line}\n")


@pytest.mark.parametrize("arguments", [("run", "--metrics-port", "a\nb"), ("a\nb",), ("run", "a\nb"), ("run", "--a\nb")])
def test_what_was_typed_breaks_no_line(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    assert dudzian(*arguments) == 2
    error = capsys.readouterr().err
    assert (error.count("\n"), any(way in error for way in WAYS)) == (1, True)


def test_the_name_of_a_plugin_breaks_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert dudzian("plugins", "check", "a\nb\x1b[31m") == 2
    error = capsys.readouterr().err
    assert error.startswith("dudzian: plugins check: expected a name in lower_snake_case")
    assert error.endswith(r"found 'a\nb\x1b[31m'; rename the file to a_b_31m.py" + "\n")


def test_without_a_word_it_is_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert dudzian() == 0
    text = capsys.readouterr().out
    assert all(name in text for name in command_names())


@pytest.mark.parametrize("name", command_names())
def test_a_command_is_one_sentence_in_the_overview(name: str) -> None:
    source = files(COMMANDS_PACKAGE).joinpath(f"{name.replace('-', '_')}.py").read_text(encoding="utf-8")
    sentence = " ".join(str(ast.get_docstring(ast.parse(source))).partition("\n\n")[0].split())
    assert sentence.endswith(".") and ". " not in sentence and len(sentence) <= 140, sentence
