"""What typer refuses, as one line of ours: where, what was expected, what was found, what to do. Loaded only when something is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from dudzian_daemon.config.lookup import suggestion

_FOUND: Final = re.compile(r"(?P<found>.+?) is not (?:a valid|in the range|one of)\b", re.DOTALL)
_COMMAND: Final = re.compile(r"No such command '(?P<name>.*?)'\.", re.DOTALL)
_EXTRA: Final = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((?P<words>.*)\)", re.DOTALL)
_VALUE: Final = re.compile(r"Option '(?P<option>[^']+)' (?P<fault>requires|does not take)\b")
#: Scripts of the earlier code base that have no command yet: a near name would send the operator astray.
_NOT_BUILT: Final = frozenset(
    {
        "audit-security-baseline",
        "notify-paper-smoke-summary",
        "publish-paper-smoke-artifacts",
        "run-metrics-service",
        "run-paper-smoke-ci",
        "run-trading-stub-server",
        "sync-paper-smoke-json",
        "validate-paper-smoke-summary",
    }
)
_KINDS: Final = {
    "int": "a whole number",
    "integer": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "boolean": "true or false",
}


def usage_line(error: Any, arguments: Sequence[str]) -> str:
    """The line for a usage error of typer, in whatever words its version says it; ends with the help that tells more."""
    context = error.ctx
    command = str(context.command_path).partition(" ")[2] if context is not None else _first_word(arguments)
    said = next((line for line in _known(error, context) if line), _flat(error.format_message())).rstrip(".")
    return ": ".join(filter(None, (command, said))) + f"; see: {' '.join(filter(None, ('dudzian', command)))} --help"


def _known(error: Any, context: Any) -> Iterator[str]:
    """What is told in our own words, most particular first."""
    message = str(error.message)
    if hasattr(error, "possibilities"):  # of options, and nothing else has them
        options = (name for parameter in context.command.params for name in parameter.opts if name.startswith("--"))
        yield f"unknown option {_flat(error.option_name)}{_close(error.option_name, [*options, '--help'])}"
    if match := _COMMAND.search(message):
        not_built = match["name"].replace("_", "-") in _NOT_BUILT
        hint = "; it is not built yet (docs/runbook.md, Old names)" if not_built else ""
        yield f"unknown command {match['name']!r}{hint or suggestion(match['name'], sorted(context.command.commands))}"
    if message.startswith("Missing command"):
        yield f"expected a command, found none; known: {', '.join(sorted(context.command.commands))}"
    if match := _EXTRA.search(message):
        yield f"expected nothing more, found {match['words']!r}"
    if match := _VALUE.search(message):
        wanted = "a value, found none" if match["fault"] == "requires" else "no value, found one"
        yield f"{match['option']}: expected {wanted}"
    if hasattr(error, "param_type"):  # of what is missing
        yield f"expected {_name(error.param)}, found nothing"
    if getattr(error, "param", None) is not None:
        match = _FOUND.match(message)
        yield f"{_name(error.param)}: " + (f"expected {_expected(error.param)}, found {match['found']}" if match else _flat(message))


def _expected(parameter: Any) -> str:
    kind = parameter.type
    least, most = getattr(kind, "min", None), getattr(kind, "max", None)
    number = _KINDS.get(str(kind.name).removesuffix(" range"), str(kind.name))
    if choices := getattr(kind, "choices", ()):
        return f"one of {', '.join(map(str, choices))}"
    if least is not None and most is not None:
        return f"{number} from {least} to {most}"
    if least is not None or most is not None:
        return f"{number} of at {f'least {least}' if most is None else f'most {most}'}"
    return number


def _name(parameter: Any) -> str:
    """`--limit` for an option, its placeholder for an argument."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    return next((name for name in parameter.opts if name.startswith("--")), str(parameter.opts[0]))


def _first_word(arguments: Sequence[str]) -> str:
    return next((word for word in arguments if not word.startswith("-")), "")


def _close(word: str, known: Iterable[str]) -> str:
    """A near option, one that begins so before all; the whole list would be too long for a line."""
    names = list(known)
    begins_so = next((name for name in names if name.startswith(word)), None)
    found = suggestion(begins_so or word, names)
    return found if "did you mean" in found else ""


def _flat(text: str) -> str:
    return " ".join(text.split())
