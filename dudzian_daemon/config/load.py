"""Loads the configuration: files, variables and flags into one `CoreConfig`, every value with its source, all errors at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.config.canonical import plainly_spelled
from dudzian_daemon.config.check import ConfigErrors, check
from dudzian_daemon.config.files import ConfigFile, Reader
from dudzian_daemon.config.overlay import overlay_flags, overlay_variables
from dudzian_daemon.config.places import find_config
from dudzian_daemon.config.provenance import Document, Problem, Source, key_text, leaves
from dudzian_daemon.config.references import expand
from dudzian_daemon.config.schema import CoreConfig

#: Values that name a file to read: relative ones are taken from the configuration's folder. Output paths stay as they are.
INPUT_PATHS: Final = (
    "risk.decision_log.signing_key_path",
    "risk.decision_log.head_signing_key_path",
    *(f"runtime.metrics_service.tls.{name}" for name in ("certificate", "key", "client_ca")),
)


class LoadedConfig(msgspec.Struct, frozen=True, dict=True):
    """A valid configuration, the files it was read from (the main one first), and what should be looked at."""

    config: CoreConfig
    files: tuple[ConfigFile, ...]
    warnings: tuple[Problem, ...]
    document: Document

    @cached_property
    def sources(self) -> Mapping[str, Source]:
        """Origin of every value, by its dotted path (`runtime.metrics_service.port`)."""
        return {key_text(path): self.document.source(path) for path, _ in leaves(self.config)}

    @property
    def path(self) -> Path:
        """The main file."""
        return Path(self.files[0].path)


def load(path: Path | None = None, *, env: Mapping[str, str], cli: Mapping[str, Any] | None = None) -> LoadedConfig:
    """Read and check the configuration; precedence is `cli` (dotted path to value or `Flag`) > `env` (DUDZIAN__A__B) > file > default.

    Without `path`, see `places.find_config`. Raises `ConfigErrors` with every problem found.
    """
    main = find_config(path, env)
    reader = Reader()
    document = reader.read_all(main)
    if reader.broken:
        raise ConfigErrors(_in_reading_order(reader.problems, reader.names))
    problems = reader.problems + overlay_variables(document, env) + overlay_flags(document, cli or {})
    _settle_input_paths(document, main.absolute().parent)
    checked = check(document)
    if checked.config is None or problems:
        raise ConfigErrors(_in_reading_order(_with_first_of_each_key(problems, checked.problems), reader.names))
    config = plainly_spelled(checked.config)  # the digits of a limit are on record too: 0.10 here would be 0.1 there
    return LoadedConfig(config, tuple(reader.files), checked.warnings, document)


def _settle_input_paths(document: Document, folder: Path) -> None:
    """Make input paths absolute: a file's from its folder, a variable's or flag's from the working folder."""
    for pattern in INPUT_PATHS:
        for place in expand(document, pattern):
            written, source = document.at(place), document.source(place)
            if isinstance(written, str) and written and "\0" not in written:
                base = folder if source.kind == "file" else Path.cwd()
                document.at(place[:-1])[place[-1]] = str(base / _expanded(written))
                document.values[place] = msgspec.structs.replace(source, written=written)


def _expanded(written: str) -> Path:
    try:
        return Path(written).expanduser()
    except RuntimeError:  # ~name of nobody: whoever opens the file says that it is not there
        return Path(written)


def _with_first_of_each_key(scanned: list[Problem], checked: Iterable[Problem]) -> list[Problem]:
    """What the scan found, and of every other key what was found first: a secret under an unknown key is told as a secret."""
    problems = list(scanned)
    told = {(problem.file, problem.key) for problem in problems}
    for problem in checked:
        if (problem.file, problem.key) not in told:
            told.add((problem.file, problem.key))
            problems.append(problem)
    return problems


def _in_reading_order(problems: list[Problem], files: list[str]) -> tuple[Problem, ...]:
    ranks = {name: rank for rank, name in enumerate(files)}
    return tuple(sorted(problems, key=lambda item: (ranks.get(item.file, len(ranks)), item.file, item.line, item.column)))
