"""Entry point: maps the first word to `commands/<name>.py`, imports only that file, turns faults into one line and an exit code.

A command file has `command` (a function) or `app` (a typer group), a module docstring that is its help and begins with the one
sentence of the overview, perhaps `EXAMPLES`, and imports nothing heavy outside its functions.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.resources import files
from typing import Any, Final

import typer

from dudzian_daemon import __version__
from dudzian_daemon.cli.help_layout import WholeNames
from dudzian_daemon.cli.output import note, open_missing_streams, whole_output
from dudzian_daemon.domain.errors import ConfigError, DudzianError
from dudzian_daemon.kernel.redaction import register_environment

COMMANDS_PACKAGE = "dudzian_daemon.cli.commands"
#: rich alone would leave bold and dim where colours are not wanted; the first is for the help, the second for its other output.
_NO_ESCAPES: Final = {"_TYPER_FORCE_DISABLE_TERMINAL": "1", "TTY_COMPATIBLE": "0"}
#: What typer raises for a wrong command line; its versions export the class under no common name.
_USAGE_ERROR: Final[type[Exception]] = typer.BadParameter.__mro__[1]


def main(argv: list[str] | None = None) -> None:
    """Run one command and exit with its code (docs/reference/exit-codes.md)."""
    arguments = (sys.argv[1:] if argv is None else argv) or ["--help"]
    open_missing_streams()
    register_environment(os.environ)
    if os.environ.get("NO_COLOR"):
        os.environ |= _NO_ESCAPES
    with whole_output():
        raise SystemExit(_code_of(arguments))


def _code_of(arguments: list[str]) -> int:
    """Run the command; its faults are told in one line."""
    try:
        code: int | None = _application(arguments)(args=arguments, prog_name="dudzian", standalone_mode=False)
    except DudzianError as error:
        note(str(error))
        return error.exit_code
    except _USAGE_ERROR as error:
        from dudzian_daemon.cli.usage import usage_line

        note(usage_line(error, arguments))
        return ConfigError.exit_code
    return code or 0


def command_names() -> list[str]:
    """All commands by name, one per file."""
    stems = (entry.name.removesuffix(".py") for entry in files(COMMANDS_PACKAGE).iterdir() if entry.name.endswith(".py"))
    return sorted(stem.replace("_", "-") for stem in stems if not stem.startswith("_"))


def _application(arguments: list[str]) -> typer.Typer:
    application = typer.Typer(pretty_exceptions_enable=False, add_completion=True, context_settings={"help_option_names": ["-h", "--help"]})
    application.callback(help="Paper trading whose every session can be run again from its signed log.")(_root)
    names = command_names()
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    for name in [wanted] if wanted in names else names:
        _add(application, str(name))
    return application


def _add(application: typer.Typer, name: str) -> None:
    module: Any = import_module(f"{COMMANDS_PACKAGE}.{name.replace('-', '_')}")
    text = (module.__doc__ or "").strip()
    first = text.partition("\n\n")[0]
    epilog = getattr(module, "EXAMPLES", None)
    if hasattr(module, "app"):
        for each in module.app.registered_commands:
            each.epilog = each.epilog or epilog
            each.cls = WholeNames
        application.add_typer(module.app, name=name, help=text, short_help=first, epilog=epilog)
    else:
        application.command(name, cls=WholeNames, help=text, short_help=first, epilog=epilog)(module.command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dudzian {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
) -> None:
    """Options before the command."""
