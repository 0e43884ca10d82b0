"""Opens the venues of an environment: plugin, allowed hosts, one shared client each, and where refused rows are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

import anyio.to_thread
import msgspec

from dudzian_daemon.adapters.candle_rows import Judged
from dudzian_daemon.adapters.public_http import VenueHttp
from dudzian_daemon.adapters.row_quarantine import RowQuarantine
from dudzian_daemon.adapters.venue_answers import used_weight
from dudzian_daemon.adapters.venue_calls import Shared
from dudzian_daemon.adapters.venue_data import VenueData
from dudzian_daemon.adapters.venue_hosts import HostRules, host_rules
from dudzian_daemon.app.plugins.loader import PluginSource, load_plugin
from dudzian_daemon.app.plugins.shape import trading_methods
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError, PluginError
from dudzian_daemon.domain.market import Series
from dudzian_daemon.domain.ports import CandleStore
from dudzian_daemon.domain.venues import CcxtClient, Source, VenueAccess, VenueProfile
from dudzian_daemon.kernel.clock import Clock

Interval = Annotated[float, msgspec.Meta(ge=0.2, le=3600)]
Levels = Annotated[int, msgspec.Meta(ge=0, le=100)]
Poll = Annotated[float, msgspec.Meta(ge=1, le=86_400)]


class AdapterSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`adapter_settings` of an environment: other addresses, seconds between questions for candles and quotes, whether these are pushed.

    With `book_levels` above 0 books of so many levels come in the place of quotes.
    """

    base_url: str = ""
    ws_url: str = ""
    poll_seconds: Poll = 300.0
    quote_seconds: Interval = 2.0
    streams: bool = False
    book_levels: Levels = 0


def adapter_settings(config: CoreConfig, environment: str) -> AdapterSettings:
    """The settings of an environment. Raises `ConfigError` naming the key that is wrong."""
    try:
        return msgspec.convert(dict(config.environment(environment).adapter_settings), AdapterSettings)
    except msgspec.ValidationError as error:
        known = ", ".join(AdapterSettings.__struct_fields__)
        msg = f"environments.{config.environment_id(environment)}.adapter_settings: {error}; known keys: {known}"
        raise ConfigError(msg) from None


def addresses(environment: str, base_url: str | None, ws_url: str | None) -> dict[str, str]:
    """What `--base-url` and `--ws-url` put over the configuration of the environment (its id)."""
    said = {"base_url": base_url, "ws_url": ws_url}
    return {f"environments.{environment}.adapter_settings.{name}": url for name, url in said.items() if url is not None}


#: Exchange plugins that stand in for a venue's own, by the venue's name.
Adapters = Mapping[str, PluginSource]
NO_ADAPTERS: Final[Adapters] = MappingProxyType({})


class VenueChoice(msgspec.Struct, frozen=True):
    """A venue that may be used: what its plugin says of it, and the hosts it may be reached at."""

    profile: VenueProfile
    rules: HostRules
    plugin: Any


def choose_venue(name: str, folders: Sequence[Path], settings: AdapterSettings, adapters: Adapters = NO_ADAPTERS) -> VenueChoice:
    """Load the plugin and look at its addresses; nothing is connected. Raises `PluginError`, or `ConfigError` for a disabled venue."""
    source = adapters.get(name) or load_plugin("exchanges", name, folders)
    try:
        plugin = source.plugin()
        profile = plugin.profile
    except (Exception, SystemExit) as error:  # noqa: BLE001 - fence "plugin call": a plugin may raise anything while it is made
        msg = f"plugin exchanges/{source.name}: {type(error).__name__}: {error}"
        raise PluginError(msg) from None
    if not isinstance(profile, VenueProfile) or profile.name != name:
        msg = f"plugin exchanges/{source.name}: expected `profile`, a VenueProfile of the name {name!r}, found {profile!r:.60}"
        raise PluginError(msg)
    if profile.disabled:
        msg = f"exchange {name!r} is disabled: {profile.disabled}"
        raise ConfigError(msg)
    return VenueChoice(profile, host_rules(profile, settings.base_url, settings.ws_url), plugin)


class Venues:
    """The venues of this process; of each there is one client and one request budget, however many ask for it."""

    def __init__(
        self,
        config: CoreConfig,
        environment: str,
        folders: Sequence[Path],
        data_folder: Path,
        store: CandleStore,
        clock: Clock,
        adapters: Adapters = NO_ADAPTERS,
    ) -> None:
        self.settings = adapter_settings(config, environment)
        self._config = config
        self._folders = folders
        self._adapters = adapters
        self._store = store
        self._clock = clock
        self._quarantine = RowQuarantine(data_folder / "data" / "quarantine", clock)
        self._shared: dict[str, Shared] = {}
        self._sources: dict[str, Source] = {}

    def known(self) -> Mapping[str, Shared]:
        """Budget, counters and clock of each venue that was opened."""
        return self._shared

    async def open(self, name: str, symbols: Sequence[str] = (), *, background: bool = False) -> VenueData:
        """A client of the venue; `symbols` (BASE/QUOTE) are the markets it is for, empty for all. Raises what makes it unusable."""
        choice = await anyio.to_thread.run_sync(choose_venue, name, self._folders, self.settings, self._adapters)
        shared = self._shared.setdefault(name, Shared(choice.profile, self._clock))
        if name not in self._sources:
            self._sources[name] = await self._source(choice, shared, self._wanted(name, symbols))
        return VenueData(shared, self._sources[name], self._keep, background=background)

    async def close(self) -> None:
        """End all connections."""
        sources, self._sources = list(self._sources.values()), {}
        async with anyio.create_task_group() as tasks:
            for source in sources:
                tasks.start_soon(source.close)

    async def _source(self, choice: VenueChoice, shared: Shared, wanted: Mapping[str, str]) -> Source:
        header = choice.profile.weight_header

        def heard(headers: Mapping[str, str]) -> None:
            shared.budget.observe(used_weight(headers, header))

        hosts = choice.profile.hosts
        http = VenueHttp(choice.rules, f"https://{hosts[0]}" if hosts else "", heard, self._clock.wall_ns)
        said = choice.plugin.source(VenueAccess(http, self._store))
        if not isinstance(said, CcxtClient):
            if found := trading_methods(said):
                msg = f"{choice.profile.name}: expected a source of market data only, found a way to an order: {', '.join(found)}"
                raise PluginError(msg)
            source: Source = said
            return source
        from dudzian_daemon.adapters.ccxt_client import ClientOptions  # only where ccxt is wanted
        from dudzian_daemon.adapters.ccxt_exchange import open_client

        return await open_client(said, ClientOptions(choice.rules, wanted, heard, self._clock.wall_ns, self.settings.streams))

    def _wanted(self, name: str, symbols: Sequence[str]) -> dict[str, str]:
        """The venue's own names of the symbols, as far as the universe knows them."""
        known: dict[str, str] = {}
        for entry in self._config.instruments.values():
            if name in entry.venues:
                own = entry.venues[name].symbol
                known[f"{entry.base}/{entry.quote}"] = own
                if entry.renamed_to is not None:
                    known[f"{entry.renamed_to.base}/{entry.quote}"] = own.replace(entry.base, entry.renamed_to.base, 1)
        return {symbol: known[symbol] for symbol in symbols if symbol in known}

    async def _keep(self, series: Series, judged: Judged) -> None:
        await anyio.to_thread.run_sync(self._quarantine.keep, series, judged)
