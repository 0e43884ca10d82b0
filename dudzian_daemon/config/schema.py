"""The configuration as frozen structs, one per YAML section; defaults are visible here and nowhere else.

Money and limits are Decimals, dates are UTC midnights. Look names up by the methods of `CoreConfig`: they accept every
spelling and raise `ConfigError` with the known names.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, field

from dudzian_daemon.config import lookup
from dudzian_daemon.config.alerts import Alerts
from dudzian_daemon.config.environment import (
    DataQuality,
    Environment,
    midnight_ns,
)
from dudzian_daemon.config.fields import (
    Fraction,
    Granularity,
    Name,
    Scalar,
    Seconds,
    Section,
    Text,
    Version,
    about,
)
from dudzian_daemon.config.paper import Capital, PaperTrading, PresetEntry, shipped_presets
from dudzian_daemon.config.reporting import Reporting
from dudzian_daemon.config.risk import InstrumentBucket, Risk, RiskProfile
from dudzian_daemon.config.runtime import (
    Logging,
    Runtime,
    Scheduler,
    Shutdown,
)
from dudzian_daemon.config.universe import Credential, Funding, InstrumentEntry
from dudzian_daemon.domain.market import HOUR_NS, FundingTerms, Instrument


class Strategy(Capital, frozen=True, kw_only=True):
    """A strategy plugin with its parameters."""

    description: Annotated[Text, about("one line for people")] = ""
    plugin: Annotated[Name, about("file in plugins/strategies, without .py")]
    parameters: Annotated[dict[Name, Scalar], about("the plugin's `Params`")] = field(default_factory=dict)
    max_position_pct: Annotated[Fraction | None, about("share of the account that `max_position_usd` is")] = None


class Controller(Section, frozen=True, kw_only=True):
    """How often a single-strategy run ticks."""

    tick_seconds: Annotated[Seconds, about("seconds between two ticks")]
    interval: Annotated[Granularity, about("candles it decides on")]


class CoreConfig(Section, frozen=True, kw_only=True):
    """The whole configuration: core.yaml, the instruments of instruments.yaml and the credentials/ folder."""

    version: Annotated[Version, about("version of the file format")]
    default_environment: Annotated[Name, about("environment of a command that names none; an alias will do")]
    environments: Annotated[dict[Name, Environment], Meta(min_length=1, description="environments by name")]
    strategies: Annotated[dict[Name, Strategy], about("strategies by name")] = field(default_factory=dict)
    controllers: Annotated[dict[Name, Controller], about("controllers by name")] = field(default_factory=dict)
    risk_profiles: Annotated[dict[Name, RiskProfile], Meta(min_length=1, description="risk profiles by name")]
    risk: Annotated[Risk, about("decision log and buckets")] = Risk()
    paper_trading: Annotated[PaperTrading, about("simulated account and venue")] = PaperTrading()
    execution_presets: Annotated[
        dict[Name, PresetEntry], Meta(min_length=1, description="assumptions of the simulator by name; default: those that ship")
    ] = field(default_factory=shipped_presets)
    runtime: Annotated[Runtime, about("what runs in the process")] = Runtime()
    shutdown: Annotated[Shutdown, about("how a stop goes")] = Shutdown()
    logging: Annotated[Logging, about("runtime log")] = Logging()
    alerts: Annotated[Alerts, about("who is told what; alerts.yaml beside core.yaml goes before it")] = Alerts()
    reporting: Annotated[Reporting, about("reports and how long things are kept")] = Reporting()
    instruments: Annotated[dict[Name, InstrumentEntry], about("read from instruments.yaml")] = field(default_factory=dict)
    credentials: Annotated[dict[Name, Credential], about("read from credentials/<environment>.yaml")] = field(default_factory=dict)

    def environment_id(self, name: str | None = None) -> str:
        """The environment's own name for a name or an alias; None means the default environment."""
        wanted = name or self.default_environment
        aliases = {alias: key for key, entry in self.environments.items() for alias in entry.aliases}
        return aliases.get(wanted) or lookup.known("environment", wanted, self.environments, also=aliases)

    def environment(self, name: str | None = None) -> Environment:
        """The environment with that name or alias; None means the default one."""
        return self.environments[self.environment_id(name)]

    def artifact_name(self, environment: str | None = None) -> str:
        """Name of the environment in files and folders it writes."""
        key = self.environment_id(environment)
        return self.environments[key].artifact_name or key

    def paper(self, environment: str | None = None) -> PaperTrading:
        """The simulated account of an environment: its own settings over the common ones, slippage and latency over the preset's."""
        own = self.environment(environment).paper_trading
        changes = {} if own is None else {key: value for key, value in msgspec.structs.asdict(own).items() if value is not None}
        merged = msgspec.structs.replace(self.paper_trading, **changes)
        preset = self.preset(merged.preset)
        return msgspec.structs.replace(
            merged,
            slippage_bps=preset.slippage_bps if merged.slippage_bps is None else merged.slippage_bps,
            latency_ms=preset.latency_ms if merged.latency_ms is None else merged.latency_ms,
        )

    def preset(self, name: str) -> PresetEntry:
        """The execution preset of that name."""
        return self.execution_presets[lookup.known("execution preset", name, self.execution_presets)]

    def data_quality(self, environment: str | None = None) -> DataQuality:
        """Completeness rules of an environment, its risk profile's when it has none."""
        chosen = self.environment(environment)
        return chosen.data_quality or self.profile(chosen.risk_profile).data_quality

    def profile(self, name: str) -> RiskProfile:
        """The risk profile of that name."""
        return self.risk_profiles[lookup.known("risk profile", name, self.risk_profiles)]

    def strategy(self, name: str) -> Strategy:
        """The strategy of that name."""
        return self.strategies[lookup.known("strategy", name, self.strategies)]

    def controller(self, name: str) -> Controller:
        """The controller of that name."""
        return self.controllers[lookup.known("controller", name, self.controllers)]

    def scheduler(self, name: str) -> Scheduler:
        """The scheduler of that name."""
        return self.runtime.multi_strategy_schedulers[lookup.known("scheduler", name, self.runtime.multi_strategy_schedulers)]

    def bucket(self, name: str) -> InstrumentBucket:
        """The instrument bucket of that name."""
        return self.risk.instrument_buckets[lookup.known("instrument bucket", name, self.risk.instrument_buckets)]

    def instrument(self, symbol: str, venue: str) -> Instrument:
        """The instrument with the venue's rules; `symbol` as BTC_USDT, BTC/USDT, BTCUSDT or the venue's own, in any case."""
        key = lookup.instrument_key(symbol, self.instruments, venue)
        entry = self.instruments[key]
        rules = entry.venues[lookup.known(f"venue of {key}", venue, entry.venues)]
        return Instrument(
            venue=venue,
            symbol=f"{entry.base}/{entry.quote}",
            base=entry.base,
            quote=entry.quote,
            tick_size=rules.tick_size,
            lot_size=rules.lot_size,
            min_quantity=rules.min_quantity,
            min_notional=rules.min_notional,
            funding=None if rules.funding is None else _funding_terms(rules.funding),
        )

    def universe(self, environment: str | None = None) -> tuple[Instrument, ...]:
        """The instruments an environment may trade, in the order they are written."""
        chosen = self.environment(environment)
        wanted = chosen.instrument_universe or tuple(key for key, entry in self.instruments.items() if chosen.exchange in entry.venues)
        return tuple(self.instrument(symbol, chosen.exchange) for symbol in wanted)


def _funding_terms(funding: Funding) -> FundingTerms:
    rates = tuple((midnight_ns(each.valid_from) + each.hour * HOUR_NS, each.rate) for each in funding.rates)
    return FundingTerms(funding.interval_hours * HOUR_NS, funding.rate, rates)
