"""From the merged tree to a `CoreConfig`, or to everything that is wrong with it, each with file, line and a suggestion."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from dudzian_daemon.config.fields import LIVE_REFUSED
from dudzian_daemon.config.provenance import Document, Problem
from dudzian_daemon.config.references import dangling_names, default_environment, settle_pairs
from dudzian_daemon.config.rules import RULES, warnings
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.config.secrets import secret_problems
from dudzian_daemon.domain.errors import ConfigError

LIVE_BLOCKED_EXIT: Final = 7


class ConfigErrors(ConfigError):
    """Everything that is wrong with a configuration, one line each; exit code 7 when the only fault is a wish to trade live."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(problem.text for problem in problems))
        self.problems = problems
        if all(problem.message == LIVE_REFUSED for problem in problems):
            self.exit_code = LIVE_BLOCKED_EXIT


class Checked(msgspec.Struct, frozen=True):
    """The outcome of a check: a configuration exactly when there are no problems."""

    config: CoreConfig | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def check(document: Document) -> Checked:
    """Check the tree and convert it; pairs in the tree are replaced by their keys in `instruments`. A key may have several problems."""
    problems = list(secret_problems(document))
    pairs = list(settle_pairs(document))
    config: CoreConfig | None = None
    try:
        config = msgspec.convert(document.tree, CoreConfig)
    except msgspec.ValidationError as error:
        problems += _structural(document, str(error))
    problems += [*pairs, *dangling_names(document), *default_environment(document)]
    for rule in RULES:
        problems += rule(document)
    return Checked(None if problems else config, tuple(problems), tuple(warnings(document)))


def _structural(document: Document, error: str) -> list[Problem]:
    from dudzian_daemon.config.structure import structural_problems

    found = list(structural_problems(document))
    return found or [document.problem(_place(error), error.partition(" - at")[0])]


def _place(error: str) -> tuple[str | int, ...]:
    """The path in a message such as ``... - at `$.a.b[0]` ``; the root if it cannot be told."""
    parts = re.findall(r"\.([A-Za-z0-9_]+)|\[([0-9]+)\]", error.rpartition(" - at `$")[2])
    return tuple(int(index) if index else name for name, index in parts)
