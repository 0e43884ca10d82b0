"""When the exchange keys of the environments must be changed: age by the register, judged against an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

from dudzian_daemon.config.schema import CoreConfig

INTERVAL_DAYS: Final = 90
WARN_DAYS: Final = 14

State = Literal["ok", "due", "overdue"]


class KeyAge(msgspec.Struct, frozen=True, kw_only=True):
    """One key and purpose: last change (None: never recorded, which is overdue), the day it must be changed again."""

    key: str
    purpose: str
    environment: str
    state: State
    last_rotated: str | None
    due: str | None
    days_left: int | None

    @property
    def name(self) -> str:
        """As the register writes it."""
        return register_name(self.key, self.purpose)


def register_name(key: str, purpose: str) -> str:
    """The name of a key in the register."""
    return f"{key}::{purpose}"


def key_names(config: CoreConfig, environments: Sequence[str]) -> list[tuple[str, str, str]]:
    """(environment, key, purpose) of every environment that has a key."""
    found = []
    for name in environments:
        chosen = config.environments[name]
        if chosen.keychain_key is not None:
            found.append((name, chosen.keychain_key, chosen.credential_purpose or "trading"))
    return found


def key_ages(
    names: Sequence[tuple[str, str, str]], rotations: Mapping[str, datetime], now_ns: int, *, interval_days: int, warn_days: int
) -> list[KeyAge]:
    """The age of each key at `now_ns`."""
    now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now_ns // 1000)
    return [_age(name, rotations.get(register_name(*name[1:])), now, timedelta(days=interval_days), warn_days) for name in names]


def worst(ages: Sequence[KeyAge]) -> State:
    """The worst state of them."""
    states = [age.state for age in ages]
    return "overdue" if "overdue" in states else "due" if "due" in states else "ok"


def _age(name: tuple[str, str, str], last: datetime | None, now: datetime, interval: timedelta, warn_days: int) -> KeyAge:
    environment, key, purpose = name
    if last is None:
        return KeyAge(key=key, purpose=purpose, environment=environment, state="overdue", last_rotated=None, due=None, days_left=None)
    due = last + interval
    left = -((now - due) // timedelta(days=1))
    state: State = "overdue" if due <= now else "due" if left < warn_days else "ok"
    return KeyAge(
        key=key,
        purpose=purpose,
        environment=environment,
        state=state,
        last_rotated=_iso(last),
        due=_iso(due),
        days_left=left,
    )


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
