"""The audit log that people read: a Markdown file with a table for each kind of entry, and the same as JSON lines beside it.

A row is only ever added. The file is made with its sections when it is missing; what people wrote around the tables stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.files import ensure_dir, os_errors, write_atomic
from dudzian_daemon.adapters.line_file import LineFile
from dudzian_daemon.domain.errors import ConfigError, DudzianError

#: Below the data folder.
MARKDOWN: Final = Path("docs") / "audit" / "paper_trading_log.md"
JSON_LINES: Final = MARKDOWN.with_suffix(".jsonl")


class AuditSection(msgspec.Struct, frozen=True, kw_only=True):
    """A section of the log: its heading, the letter its ids begin with, the columns after the id."""

    heading: str
    letter: str
    columns: tuple[str, ...]


SECTIONS: Final[Mapping[str, AuditSection]] = {
    "daily": AuditSection(
        heading="B. Raport dzienny (daily reports)",
        letter="D",
        columns=("date", "operator", "artefact", "SHA-256", "retention until", "notes"),
    ),
    "smoke": AuditSection(
        heading="B1. Smoke tests",
        letter="S",
        columns=("time", "operator", "environment", "window", "summary", "SHA-256", "alert status", "notes"),
    ),
    "incident": AuditSection(heading="C. Incydenty (incidents)", letter="I", columns=("time", "operator", "severity", "what", "notes")),
    "answer": AuditSection(heading="D. Checklists", letter="C", columns=("time", "operator", "checklist", "item", "answer", "notes")),
    "note": AuditSection(heading="E. Notes", letter="N", columns=("time", "operator", "note")),
}
_TITLE: Final = "# Paper trading: audit log\n\nRows are added by `dudzian` commands; what you write around the tables is kept.\n"


def add_entry(
    markdown: Path | None, json_lines: Path | None, kind: str, values: Sequence[str], record: Callable[[str], Mapping[str, Any]]
) -> str:
    """Append a row to the table of that kind and `record` of the row's id to the JSON lines: both or neither; a path of None is left out.

    Returns the id. Raises `ConfigError` for a file that has no such section any more, `StorageError` for a disk that refuses.
    """
    entry_id, text = ("", b"") if markdown is None else _with_row(markdown, kind, values)
    line, appended = msgspec.json.encode(record(entry_id)) + b"\n", b""
    lines = None if json_lines is None else LineFile(json_lines)
    try:
        if lines is not None:
            lines.append(line)
            appended = line
        if markdown is not None:
            ensure_dir(markdown.parent)
            write_atomic(markdown, text)
    except DudzianError:
        if lines is not None:
            lines.take_back(appended)
        raise
    return entry_id


def _with_row(path: Path, kind: str, values: Sequence[str]) -> tuple[str, bytes]:
    """The id of a new row, and the file with it."""
    section = SECTIONS[kind]
    with os_errors(path):
        text = path.read_text(encoding="utf-8") if path.exists() else _skeleton()
    lines = text.splitlines()
    if f"## {section.heading}" not in lines:
        lines += ["", *_table(section)]
    start = lines.index(f"## {section.heading}")
    end = next((number for number in range(start + 1, len(lines)) if lines[number].startswith("## ")), len(lines))
    rows = [number for number in range(start, end) if lines[number].startswith("|")]
    if not rows:
        msg = f"audit log {path}: expected a table under {section.heading!r}, found none; move the file away, a new one is begun"
        raise ConfigError(msg)
    known = [int(match[1]) for line in lines[start:end] if (match := re.match(rf"\| {section.letter}-(\d+) \|", line))]
    entry_id = f"{section.letter}-{max(known, default=0) + 1:04d}"
    lines.insert(rows[-1] + 1, f"| {' | '.join([entry_id, *map(_cell, values)])} |")
    return entry_id, ("\n".join(lines) + "\n").encode()


def _skeleton() -> str:
    return _TITLE + "\n".join(line for section in SECTIONS.values() for line in ("", *_table(section))) + "\n"


def _table(section: AuditSection) -> list[str]:
    columns = ("ID", *section.columns)
    return [f"## {section.heading}", "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]


def _cell(text: str) -> str:
    """Text that stays in its cell, whoever wrote it."""
    return " ".join(text.split()).replace("|", "\\|") or "-"
