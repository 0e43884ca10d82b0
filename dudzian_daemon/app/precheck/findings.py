"""What a single check found, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

Status = Literal["ok", "warning", "error", "skipped"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of one check. `code` is stable; `message` has no figure that differs between equal runs."""

    check: str
    status: Status
    code: str = ""
    message: str
    remedy: str = ""


def ok(check: str, message: str) -> Finding:
    """Nothing to do."""
    return Finding(check=check, status="ok", message=message)


def worst(findings: Iterable[Finding]) -> Literal["ok", "warning", "error"]:
    """The worst status among them; what was skipped does not count."""
    statuses = {each.status for each in findings}
    return "error" if "error" in statuses else "warning" if "warning" in statuses else "ok"
