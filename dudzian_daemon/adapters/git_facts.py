"""Which commit the code in a folder is: asked of git, where there is one. It changes nothing and asks no other machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from shutil import which
from typing import Final

import msgspec

#: What the audit's own commands append to; a change there is no change of the code.
OWN_LOGS: Final = ("docs/audit/",)
_TIMEOUT_SECONDS: Final = 10.0
_MOST_ENTRIES: Final = 100


class GitFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`is_dirty` and `dirty_entries` (status and path, at most 100) leave out the audit logs that commands append to."""

    available: bool
    reason: str = ""
    commit: str = ""
    branch: str = ""
    tag: str = ""
    is_dirty: bool = False
    dirty_count: int = 0
    dirty_entries: tuple[str, ...] = ()


def git_facts(folder: Path) -> GitFacts:
    """The state of the checkout that `folder` is the root of."""
    if not (folder / ".git").exists():
        return GitFacts(available=False, reason="no checkout of git: installed from a package")
    program = which("git")
    if program is None:
        return GitFacts(available=False, reason="git is not installed")
    commit = commit_of(folder)
    if not commit:
        return GitFacts(available=False, reason="git gives no commit of it")
    entries = [line for line in _said(program, folder, "status", "--porcelain").splitlines() if not line[3:].startswith(OWN_LOGS)]
    return GitFacts(
        available=True,
        commit=commit,
        branch=_said(program, folder, "branch", "--show-current"),
        tag=_said(program, folder, "describe", "--tags", "--exact-match"),
        is_dirty=bool(entries),
        dirty_count=len(entries),
        dirty_entries=tuple(entries[:_MOST_ENTRIES]),
    )


def commit_of(folder: Path) -> str:
    """The commit that the checkout at `folder` stands on; empty if it is none, or git is not there to say so."""
    program = which("git") if (folder / ".git").exists() else None
    return "" if program is None else _said(program, folder, "rev-parse", "HEAD")


def _said(program: str, folder: Path, *arguments: str) -> str:
    """What git answers, empty when it refuses; the user's hooks and pagers stay out of it."""
    command = [program, "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, env=environment, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.rstrip("\n") if done.returncode == 0 else ""
