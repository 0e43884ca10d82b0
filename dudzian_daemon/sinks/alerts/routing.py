"""Which channels get an alert, and which stand in for one that fails."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from dudzian_daemon.domain.alerts import Alert, AlertCode, Severity


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """The active channels in their order, those of each severity that has a route of its own, and the order of fallback."""

    active: Sequence[str]
    by_severity: Mapping[Severity, Sequence[str]]
    fallback: Sequence[str] = ()

    def targets(self, alert: Alert) -> list[str]:
        """Who gets it. A channel is never told of its own failure; where nobody else is on that route, the fallback is."""
        wanted = self.by_severity.get(alert.severity, self.active)
        if alert.code is not AlertCode.ALERT_CHANNEL_FAIL:
            return [name for name in wanted if name in self.active]
        others = [name for name in wanted if name in self.active and name != alert.subject]
        spare = self.stand_in({alert.subject})
        return others or ([] if spare is None else [spare])

    def stand_in(self, instead_of: Collection[str]) -> str | None:
        """The first channel of the fallback order, then of the others, that is none of these (failing, or carrying the alert already)."""
        order = [*self.fallback, *self.active]
        return next((name for name in order if name in self.active and name not in instead_of), None)
