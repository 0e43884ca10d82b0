"""Who is told what: channels, routes, fallback. Section `alerts` of core.yaml, with alerts.yaml laid over it."""

from typing import Annotated

from msgspec import Meta, field

from dudzian_daemon.config.fields import Channel, Label, Name, Scalar, Seconds, Section, Text, Variable, about


class AlertChannel(Section, frozen=True, kw_only=True):
    """A way to a person. The part of its name before the colon is the plugin, a file in plugins/alerts."""

    enabled: Annotated[bool, about("false: may be named but is not used")] = True
    parameters: Annotated[dict[Name, Scalar], about("the plugin's `Params`; never a token")] = field(default_factory=dict)
    credential: Annotated[Label | None, about("name of the keychain entry with its token or password; never the secret itself")] = None
    credential_env: Annotated[Variable | None, about("environment variable that holds it; it goes before the keychain")] = None
    timeout_seconds: Annotated[float, Meta(ge=0.1, le=120, description="a send that takes longer has failed, in seconds")] = 4.0


class AlertRoutes(Section, frozen=True, kw_only=True):
    """Channels by severity, of those that are active in the environment; a severity that is left out goes to all of them."""

    info: Annotated[tuple[Channel, ...] | None, about("health reports, tests, what is over")] = None
    warning: Annotated[tuple[Channel, ...] | None, about("refusals, faults of strategies")] = None
    error: Annotated[tuple[Channel, ...] | None, about("parts that failed")] = None
    critical: Annotated[tuple[Channel, ...] | None, about("tripped limits, missing data, failing channels")] = None


class Alerts(Section, frozen=True, kw_only=True):
    """Alerts. The environment's `alert_channels` says which channels are active."""

    channels: Annotated[
        dict[Name, dict[Name, AlertChannel]], about("channels by plugin and name: telegram.primary is `telegram:primary`")
    ] = field(default_factory=dict)
    routes: Annotated[AlertRoutes, about("channels by severity")] = AlertRoutes()
    fallback: Annotated[
        tuple[Channel, ...], about("who gets what another channel did not take, in this order; then the other active ones")
    ] = ()
    health_interval_seconds: Annotated[
        Seconds, about("seconds between two health reports; channels are checked each `health_check_interval` of the scheduler")
    ] = 3_600
    head_channel: Annotated[
        Channel | None, about("who gets the journal's newest signed head each `head_interval_seconds` and at a stop; none: nobody")
    ] = None
    head_interval_seconds: Annotated[Seconds, about("seconds between two heads to `head_channel`")] = 3_600
    retry_seconds: Annotated[Seconds, about("first pause before a failing channel is tried again; doubled up to `retry_cap_seconds`")] = 5
    retry_cap_seconds: Annotated[Seconds, about("longest such pause")] = 300
    data_lag_seconds: Annotated[Seconds, about("a daily candle overdue by more is DATA-LAG")] = 43_200
    adapter_offline_seconds: Annotated[Seconds, about("an adapter failing for longer is ADAPTER-OFFLINE")] = 300
    runbook: Annotated[Text, about("page that alerts refer to; the code follows as its anchor")] = "docs/reference/alerts.md"
