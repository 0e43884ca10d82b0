"""Which session's cycles a command lists, how far they are durable, and those that come while it looks on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dudzian_daemon.cli.output import note
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.adapters.journal_reader import Cycle


def session_folder(data_folder: Path, artifact: str, wanted: str | None) -> Path:
    """The folder of the newest session of the environment, or of the one that is wanted. Raises `ConfigError` where there is none."""
    from dudzian_daemon.adapters.journal_reader import sessions

    found = sessions(data_folder, artifact)
    chosen = [entry for entry in found if wanted is None or entry.log_id.startswith(wanted)]
    if not chosen:
        known = ", ".join(entry.log_id for entry in found[:5]) or "none"
        msg = f"no session {f'{wanted} ' if wanted else ''}of {artifact} below {data_folder}; known: {known}"
        msg += f"; start one with: dudzian run --environment {artifact}"
        raise ConfigError(msg)
    return chosen[0].folder


def durable(root: Path, folder: Path) -> int | None:
    """The last cycle that the daemon has said is durable, while one writes this session: what lies behind it may not last."""
    from dudzian_daemon.adapters.platform import running_pid
    from dudzian_daemon.sinks.status import read_status

    if running_pid(root) is None:
        return None
    status = read_status(root)
    return status.sequence if status is not None and status.log_id == folder.name else None


def require_lines(folder: Path) -> None:
    """Raises `ConfigError` when the session's folder is there and what it is for is not."""
    from dudzian_daemon.adapters.journal_format import segments
    from dudzian_daemon.adapters.journal_reader import entries

    files = segments(folder)
    if not files or next(entries(files[0]), None) is None:
        found = f"no whole line in {files[0].name}" if files else "none"
        msg = f"session {folder.name}: expected its journal as <date>-000001.jsonl in {folder}, found {found}; --session shows another one"
        raise ConfigError(msg)
    if (number := int(files[0].name[11:17])) > 1:
        note(f"the first {number - 1} of the session's files are missing in {folder}; run: dudzian verify-decision-log {folder}")


class Newest:
    """For `--watch`: the last `limit` cycles of the newest session at first, then those that came since, also of a session begun since."""

    def __init__(self, root: Path, find: Callable[[], Path], limit: int, *, eventful: bool) -> None:
        """`find` names the session's folder, anew each time."""
        self._root = root
        self._find = find
        self._limit = limit
        self._eventful = eventful
        self._folder: Path | None = None
        self._last = 0

    def look(self) -> tuple[bool, list[Cycle]]:
        """Whether a daemon runs, and what is new, oldest first."""
        from dudzian_daemon.adapters.journal_reader import NEWEST, cycles_between, latest_cycles
        from dudzian_daemon.adapters.platform import running_pid

        running = running_pid(self._root) is not None  # before the reading: what one that has ended wrote last is read
        folder = self._find()
        through = durable(self._root, folder)
        if self._folder is None:
            require_lines(folder)
            found = latest_cycles(folder, self._limit, quiet=not self._eventful, through=through)
            known = latest_cycles(folder, 1, through=through)
        else:
            first = self._last + 1 if folder == self._folder else 0
            known = cycles_between(folder, first, NEWEST if through is None else through)
            found = [cycle for cycle in known if not (self._eventful and cycle.record.quiet)]
        self._last = max([each.record.sequence for each in known], default=self._last if folder == self._folder else 0)
        self._folder = folder
        return running, found
