"""Checklists of the operator: each item is looked at by the command an operator would type, or is a question that only a person can answer.

An answer is recorded in the audit log with operator and time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import typer

from dudzian_daemon.cli.main import command_names
from dudzian_daemon.cli.operator import Operator, operator_name
from dudzian_daemon.cli.option_groups import Options
from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.cli.own_commands import Done, run_own
from dudzian_daemon.domain.errors import ConfigError

Status = Literal["ok", "warning", "failed", "question", "answered", "skipped"]

_NO: Final = "no"


class ChecklistOptions(Options, frozen=True):
    """What every checklist is told."""

    environment: Annotated[str, typer.Option("--environment", "-e", help="Environment, by name or alias.")] = "binance_paper"
    answer: Annotated[
        list[str] | None,
        typer.Option("--answer", metavar="ITEM=TEXT", help="Answer a question; repeat. TEXT that begins with `no` says that it is not so."),
    ] = None
    operator: Operator = None
    data_dir: Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object (schema dudzian.checklist/1).")] = False

    def places(self) -> Places:
        """Raises `ConfigError` for an environment that is not known."""
        from dudzian_daemon.adapters.data_folder import resolve
        from dudzian_daemon.config.load import load

        load(self.config, env=os.environ).config.environment_id(self.environment)
        folder = resolve(self.data_dir, os.environ)
        return Places(environment=self.environment, data_folder=folder, config=self.config, operator=self.operator)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an item: how it is, what shows that, and what to do where it is not well."""

    status: Status
    evidence: str
    remedy: str = ""


class Item(msgspec.Struct, frozen=True):
    """One line of a checklist: its name in answers, what must hold, and how that is looked at; a question without `look`."""

    name: str
    text: str
    look: Callable[[], Finding] | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An item with what came of it."""

    item: str
    text: str
    status: Status
    evidence: str
    remedy: str


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look, and whose name stands in the record."""

    environment: str
    data_folder: Path
    config: Path | None
    operator: str | None

    def flags(self, *, environment: bool = True) -> list[str]:
        """The same places for a command of ours."""
        config = [] if self.config is None else ["--config", str(self.config)]
        return [*(["--environment", self.environment] if environment else []), "--data-dir", str(self.data_folder), *config]


def by_command(arguments: Sequence[object], remedy: str, judge: Callable[[Done], Finding | None] | None = None) -> Finding:
    """Judge by a command of ours: 0 is well, unless `judge` knows better."""
    name = str(arguments[0])
    if name not in command_names():
        return Finding(status="skipped", evidence=f"there is no `dudzian {name}` in this version", remedy=remedy)
    done = run_own(arguments)
    judged = None if judge is None else judge(done)
    if judged is not None:
        return judged
    shown = f"dudzian {name}: exit {done.code}"
    return (
        Finding(status="ok", evidence=shown)
        if done.code == 0
        else Finding(status="failed", evidence=f"{shown}; {done.first_line}", remedy=remedy)
    )


def nothing_due(places: Places, otherwise: Status) -> Finding:
    """Whether everything that is past its time is in the archive; `otherwise` is how it is where not."""

    def judge(done: Done) -> Finding | None:
        items = done.answer.get("items", [])
        if done.code or not items:
            return None
        return Finding(status=otherwise, evidence=f"{len(items)} item(s) are past their time", remedy="dudzian retention run")

    return by_command(["retention", "run", "--dry-run", "--json", *places.flags(environment=False)], "dudzian retention run", judge)


def run_checklist(name: str, items: Callable[[Places], Iterable[Item]], asked: ChecklistOptions) -> int:
    """Go through the items in order, tell each as it is done, record the answers. Raises `ConfigError` for an answer to no question."""
    places, as_json = asked.places(), asked.as_json
    listed = list(items(places))
    given = _given(asked.answer or (), {item.name for item in listed if item.look is None})
    lines = []
    for line in _looked(listed, given):
        lines.append(line)
        if not as_json:
            emit_text("\n".join(_texts(len(lines), line)))
    _record(name, [line for line in lines if line.item in given], places)
    bad = [line for line in lines if line.status in ("failed", "question")]
    if as_json:
        emit_json({"schema": "dudzian.checklist/1", "checklist": name, "environment": places.environment, "ok": not bad, "items": lines})
    else:
        emit_text(
            f"{len(lines) - len(bad)} of {len(lines)} are well" + (f"; not yet: {', '.join(line.item for line in bad)}" if bad else "")
        )
    return 1 if bad else 0


def _looked(items: Sequence[Item], given: dict[str, str]) -> Iterator[Line]:
    for item in items:
        if item.look is not None:
            found = item.look()
        elif item.name in given:
            denied = given[item.name].lower().startswith(_NO)
            found = Finding(status="failed" if denied else "answered", evidence=given[item.name])
        else:
            found = Finding(status="question", evidence="only a person can tell", remedy=f'--answer {item.name}="yes, ..."')
        yield Line(item=item.name, text=item.text, status=found.status, evidence=found.evidence, remedy=found.remedy)


def _given(answers: Sequence[str], questions: set[str]) -> dict[str, str]:
    found = {}
    for answer in answers:
        name, _, text = answer.partition("=")
        if name not in questions or not text.strip():
            msg = f"--answer: expected ITEM=TEXT with ITEM one of {', '.join(sorted(questions))}, found {answer!r}"
            raise ConfigError(msg)
        found[name] = text.strip()
    return found


def _record(name: str, lines: Sequence[Line], places: Places) -> None:
    from dudzian_daemon.adapters.audit_log import JSON_LINES, MARKDOWN, add_entry
    from dudzian_daemon.kernel.clock import SystemClock, iso_utc

    who, now = operator_name(places.operator, os.environ), iso_utc(SystemClock().wall_ns())[:19] + "Z"
    for line in lines:

        def record(entry: str, line: Line = line) -> dict[str, Any]:
            told = {"kind": "answer", "id": entry, "timestamp": now, "operator": who, "checklist": name}
            return told | {"item": line.item, "answer": line.evidence, "text": line.text}

        row = (now, who, name, line.item, line.evidence, line.text)
        add_entry(places.data_folder / MARKDOWN, places.data_folder / JSON_LINES, "answer", row, record)


def _texts(number: int, line: Line) -> Iterator[str]:
    yield f"{number:>2} {line.status:<9} {line.text}"
    yield f"             {line.evidence}"
    if line.remedy and line.status not in ("ok", "answered"):
        yield f"             do: {line.remedy}"
