"""The venue of the environment: whether its plugin and its addresses can be used, and how far this machine's clock is from its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import anyio
import msgspec

from dudzian_daemon.adapters.candle_store import store_of
from dudzian_daemon.app.precheck.findings import Finding, ok
from dudzian_daemon.app.venues import Venues, adapter_settings, choose_venue
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import AdapterError, DudzianError
from dudzian_daemon.domain.market import SECOND_NS
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import Clock, SystemClock

#: A clock that is further off is a warning, and one that is further off than that cannot be right. Instants are the venue's anyway.
WARN_NS: Final = 2 * SECOND_NS
MOST_NS: Final = 300 * SECOND_NS
#: How long the venue may take to answer, retries included, in seconds.
PATIENCE_S: Final = 20.0


class VenuePlace(msgspec.Struct, frozen=True):
    """Where plugins are sought, and what is written below."""

    folders: Sequence[Path]
    data_folder: Path


def venue_findings(config: CoreConfig, environment: str, place: VenuePlace, *, ask: bool) -> list[Finding]:
    """Whether the exchange can be used and, if it is to be asked, what its clock says. Blocks."""
    name = config.environment(environment).exchange
    try:
        choice = choose_venue(name, place.folders, adapter_settings(config, environment))
    except DudzianError as error:
        remedy = f"look at environments.{environment}.exchange and .adapter_settings, and at docs/reference/live-data.md"
        return [Finding(check="venue", status="error", code="venue_unusable", message=str(error), remedy=remedy)]
    hosts = ", ".join(sorted({host for host, _ in choice.rules.allowed}))
    found = ok("venue", f"{name} is reached at {hosts or 'no host'} and nowhere else")
    return [found, _clock(config, environment, place, hosts)] if ask and choice.profile.hosts else [found]


def _clock(config: CoreConfig, environment: str, place: VenuePlace, hosts: str) -> Finding:
    chosen, clock = config.environment(environment), SystemClock()
    venues = Venues(config, environment, place.folders, place.data_folder, store_of(chosen, place.data_folder), clock)
    logs.logger("precheck")  # loads the library here, off the loop
    try:
        offset_ns = anyio.run(_offset_ns, venues, chosen.exchange, clock)
    except (AdapterError, TimeoutError) as error:
        failures = sum(venues.known()[chosen.exchange].failures.values()) if chosen.exchange in venues.known() else 0
        asked = "asked once" if failures <= 1 else f"asked {failures} times"
        return Finding(
            check="venue_clock",
            status="warning",
            code="venue_unreachable",
            message=f"{chosen.exchange} did not say its time, {asked}: {str(error) or f'no answer in {PATIENCE_S:g} s'}",
            remedy=f"see that this machine reaches {hosts} (network, name service, proxy), that a base_url of "
            f"environments.{environment}.adapter_settings or --base-url is right, and the venue's status page; --verbose tells each",
        )
    if abs(offset_ns) <= WARN_NS:
        return ok("venue_clock", f"this machine's clock is within {WARN_NS // SECOND_NS} s of the venue's")
    return Finding(
        check="venue_clock",
        status="error" if abs(offset_ns) > MOST_NS else "warning",
        code="venue_clock_differs",
        message=f"this machine's clock is {'behind' if offset_ns > 0 else 'ahead of'} the venue's by more than "
        f"{(MOST_NS if abs(offset_ns) > MOST_NS else WARN_NS) // SECOND_NS} s",
        remedy="switch time synchronisation on: timedatectl set-ntp true",
    )


async def _offset_ns(venues: Venues, exchange: str, clock: Clock) -> int:
    """The venue's clock minus ours."""
    try:
        with anyio.fail_after(PATIENCE_S):
            await (await venues.open(exchange)).server_time_ns()
    finally:
        await venues.close()
    return venues.known()[exchange].now_ns() - clock.wall_ns()
