"""The audit log that people read: a Markdown file with a table for each kind of entry, and the same as JSON lines beside it.

A row is only ever added. The file is made with its sections when it is missing; what people wrote around the tables stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.files import ensure_dir, os_errors, write_atomic
from dudzian_daemon.adapters.line_file import LineFile
from dudzian_daemon.domain.errors import ConfigError

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


def add_row(path: Path, kind: str, values: Sequence[str]) -> str:
    """Append a row to the table of that kind; returns its id. Raises `ConfigError` for a file that has no such section any more."""
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
    ensure_dir(path.parent)
    write_atomic(path, ("\n".join(lines) + "\n").encode())
    return entry_id


def add_record(path: Path, record: Mapping[str, Any]) -> None:
    """Append one line to the JSON lines."""
    LineFile(path).append(msgspec.json.encode(record) + b"\n")


def _skeleton() -> str:
    return _TITLE + "\n".join(line for section in SECTIONS.values() for line in ("", *_table(section))) + "\n"


def _table(section: AuditSection) -> list[str]:
    columns = ("ID", *section.columns)
    return [f"## {section.heading}", "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]


def _cell(text: str) -> str:
    """Text that stays in its cell, whoever wrote it."""
    return " ".join(text.split()).replace("|", "\\|") or "-"
