"""A channel as the alerts see it: opened or not, with a deadline by the clock, its faults as one of four outcomes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Literal

import anyio
import msgspec

from dudzian_daemon.domain.alert_channels import AlertChannel
from dudzian_daemon.domain.alerts import Alert
from dudzian_daemon.domain.errors import AuthFailed, Offline, Permanent
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.kernel.redaction import clean

#: `ok` taken; `later` the same send may succeed; `never` this alert will not be taken; `offline` the environment forbids it.
Outcome = Literal["ok", "later", "never", "offline"]
_MOST_DETAIL: Final = 300

log = logs.logger("alerts")


class Attempt(msgspec.Struct, frozen=True):
    """How a send or a check went; `detail` is the receipt or the fault, in a line."""

    outcome: Outcome
    detail: str


class OpenChannel(msgspec.Struct, frozen=True):
    """A channel of the environment by name; without `channel`, `fault` says why it could not be opened."""

    name: str
    timeout_seconds: float
    channel: AlertChannel | None = None
    fault: str = ""

    async def send(self, alert: Alert, clock: Clock) -> Attempt:
        """Deliver within the deadline."""
        channel = self.channel
        return Attempt("later", self.fault) if channel is None else await self._within(clock, lambda: channel.send(alert))

    async def check(self, clock: Clock) -> Attempt:
        """Check within the deadline."""
        return Attempt("later", self.fault) if self.channel is None else await self._within(clock, self.channel.check)

    async def _within(self, clock: Clock, call: Callable[[], Awaitable[str]]) -> Attempt:
        attempt = Attempt("later", f"no answer within {self.timeout_seconds:g} s")
        async with anyio.create_task_group() as race:

            async def expire() -> None:
                await clock.sleep(self.timeout_seconds)
                race.cancel_scope.cancel()

            race.start_soon(expire, name=f"alerts.{self.name}.deadline")
            try:
                attempt = Attempt("ok", _line(await call()))
            except (Exception, SystemExit) as fault:  # noqa: BLE001 - fence "plugin call": a channel may raise anything, and stays the only one that fails
                attempt = self._judged(fault)
            race.cancel_scope.cancel()
        return attempt

    def _judged(self, fault: Exception | SystemExit) -> Attempt:
        if isinstance(fault, Offline):
            return Attempt("offline", _line(str(fault)))
        if isinstance(fault, Permanent) and not isinstance(fault, AuthFailed):
            return Attempt("never", _line(str(fault)))
        known = str(fault) if type(fault).__module__.startswith("dudzian_daemon") else f"the channel broke: {type(fault).__name__}"
        log.debug("channel_fault", channel=self.name, exc_info=fault)
        return Attempt("later", _line(known))


def _line(words: str) -> str:
    """One masked line."""
    return " ".join(str(clean(words)).split())[:_MOST_DETAIL]
