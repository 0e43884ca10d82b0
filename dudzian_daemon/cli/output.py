"""One way out for all commands: text for people, or one JSON document on stdout with `--json`; diagnostics go to stderr."""

from __future__ import annotations

import sys
from typing import Any

import msgspec


def emit_json(document: Any) -> None:
    """Write one JSON document (structs, dicts, Decimals as strings) and a newline to stdout."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def emit_text(text: str) -> None:
    """Write text and a newline to stdout."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Write one line of diagnostics to stderr."""
    sys.stderr.write(f"dudzian: {text}\n")
