"""The alerts' own memory on disk: how far the session was looked at, what waits for a channel, which alerts are open, how channels are.

One small file replaced as a whole, so that a mark never runs ahead of the deliveries it stands for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from dudzian_daemon.adapters.files import PRIVATE_FILE, ensure_dir, write_atomic
from dudzian_daemon.domain.alerts import Alert, AlertCode, Severity
from dudzian_daemon.domain.errors import ConfigError

#: Alerts kept in the book; beyond, the oldest closed ones go first.
MOST_ALERTS: Final = 1_000
#: Deliveries kept for channels that do not take them; beyond, the oldest of the least severity is given up.
MOST_WAITING: Final = 1_000
_RANKS: Final = {severity: rank for rank, severity in enumerate(Severity)}

AlertState = Literal["open", "acknowledged", "closed"]


class Delivery(msgspec.Struct, kw_only=True):
    """An alert on its way to a channel; `told` once its first failure is in the audit file, `fallback` if another channel failed.

    `number` counts the deliveries of this process; those that an earlier one left have none.
    """

    alert: Alert
    channel: str
    attempts: int = 0
    told: bool = False
    fallback: bool = False
    number: int = 0


class Tracked(msgspec.Struct, kw_only=True):
    """An alert a person has to look at. Times are wall ns; `count` is how often it came while it was not closed."""

    id: str
    alert: Alert
    count: int = 1
    opened_at: int
    last_at: int
    state: AlertState = "open"
    changed_at: int = 0
    operator: str = ""
    note: str = ""


class ChannelHealth(msgspec.Struct, kw_only=True):
    """How a channel is: `ok`, `error`, `offline` or `unknown`; `since` is when it came to be so, wall ns."""

    status: Literal["ok", "error", "offline", "unknown"] = "unknown"
    detail: str = ""
    since: int = 0
    checked_at: int = 0


class Mark(msgspec.Struct, kw_only=True):
    """The last cycle of a session whose alerts are in the file."""

    log_id: str = ""
    sequence: int = 0


class AlertBook(msgspec.Struct, kw_only=True):
    """Schema `dudzian.alerts/1`."""

    schema: str = "dudzian.alerts/1"
    mark: Mark = msgspec.field(default_factory=Mark)
    alerts: list[Tracked] = []
    waiting: list[Delivery] = []
    channels: dict[str, ChannelHealth] = {}

    def take_over(self, earlier: AlertBook) -> None:
        """Go on from what an earlier run has left."""
        self.mark, self.alerts, self.waiting, self.channels = earlier.mark, earlier.alerts, earlier.waiting, earlier.channels

    def open(self) -> list[Tracked]:
        """What is not closed, oldest first."""
        return [each for each in self.alerts if each.state != "closed"]

    def track(self, alert: Alert) -> Tracked:
        """Note the alert: again, where the same is not closed yet, else as a new one."""
        known = next(self._unclosed(alert.code, alert.subject, alert.title), None)
        if known is not None:
            known.count += 1
            known.last_at, known.alert = alert.at, alert
            return known
        new = Tracked(id=alert.id, alert=alert, opened_at=alert.at, last_at=alert.at)
        self.alerts.append(new)
        while len(self.alerts) > MOST_ALERTS:
            oldest = next((each for each in self.alerts if each.state == "closed"), self.alerts[0])
            self.alerts = [each for each in self.alerts if each is not oldest]
        return new

    def resolve(self, alert: Alert) -> list[Tracked]:
        """Close what the alert says is over; what was closed."""
        found = list(self._unclosed(alert.code, alert.subject))
        for each in found:
            each.state, each.changed_at, each.operator, each.note = "closed", alert.at, "daemon", alert.title
        return found

    def change(self, beginning: str, state: AlertState, *, operator: str, note: str, at: int) -> Tracked:
        """Acknowledge or close the one alert whose id begins so. Raises `ConfigError` for none, several, or one that is closed."""
        found = [each for each in self.alerts if each.id.startswith(beginning)] if beginning else []
        live = [each for each in found if each.state != "closed"] or found
        if len(live) != 1:
            msg = f"expected the id of one alert, found {beginning!r}, which {'none has' if not live else f'{len(live)} have'}"
            raise ConfigError(f"{msg}; look at: dudzian alerts list")
        (one,) = live
        if one.state == "closed":
            msg = f"alert {one.id} is closed already, by {one.operator}"
            raise ConfigError(msg)
        one.state, one.operator, one.note, one.changed_at = state, operator, note, at
        return one

    def wait(self, delivery: Delivery) -> Delivery | None:
        """Keep the delivery; what had to be given up for it, if anything."""
        self.waiting.append(delivery)
        if len(self.waiting) <= MOST_WAITING:
            return None
        given_up = min(self.waiting, key=lambda each: _RANKS[each.alert.severity])
        self.done(given_up)
        return given_up

    def done(self, delivery: Delivery) -> None:
        """The delivery waits no more."""
        self.waiting = [each for each in self.waiting if each is not delivery]

    def next_for(self, channel: str) -> Delivery | None:
        """What the channel is to be given next: the most severe, the oldest of these."""
        mine = [each for each in self.waiting if each.channel == channel]
        return max(mine, key=lambda each: _RANKS[each.alert.severity], default=None)

    def _unclosed(self, code: AlertCode, subject: str, title: str | None = None) -> Iterator[Tracked]:
        for each in self.alerts:
            same = each.alert.code is code and each.alert.subject == subject and title in (None, each.alert.title)
            if same and each.state != "closed":
                yield each


def book_path(data_folder: Path) -> Path:
    """Where the book of the daemon on `data_folder` lies."""
    return data_folder / "run" / "alerts.json"


def read_book(data_folder: Path) -> AlertBook:
    """The book; an empty one where there is none. Blocks. Raises `ConfigError` when the file is none, or cannot be read."""
    path = book_path(data_folder)
    try:
        return msgspec.json.decode(path.read_bytes(), type=AlertBook) if path.is_file() else AlertBook()
    except OSError as error:
        msg = f"expected the alerts in {path}, which cannot be read: {error.strerror}; check owner and permissions of the file"
        raise ConfigError(msg) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"expected the alerts in {path}, found something else ({error}); move the file away to begin with none"
        raise ConfigError(msg) from None


def write_book(data_folder: Path, encoded: bytes) -> None:
    """Replace the book durably. Blocks. Raises what the disk says (`StorageError`, `ConfigError`)."""
    path = book_path(data_folder)
    ensure_dir(path.parent)
    write_atomic(path, encoded, mode=PRIVATE_FILE)
