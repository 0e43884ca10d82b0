"""Risk: profiles, buckets, controls before an order, the decision log."""

from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Final, Literal

from msgspec import Meta, field

from dudzian_daemon.config.environment import (
    DataQuality,
)
from dudzian_daemon.config.fields import (
    Amount,
    Count,
    Fraction,
    InputPath,
    Label,
    Multiple,
    Name,
    OutputPath,
    Seconds,
    Section,
    Symbol,
    Text,
    about,
)
from dudzian_daemon.config.paper import Capital

#: Shorts below this share of their value are closed, by the name of the risk profile, if it says nothing itself.
MAINTENANCE_MARGINS: Final = MappingProxyType({"conservative": Decimal("0.30"), "balanced": Decimal("0.20"), "aggressive": Decimal("0.10")})

MAINTENANCE_MARGIN: Final = Decimal("0.25")


class RiskProfile(Capital, frozen=True, kw_only=True):
    """Limits of the risk gate. A limit of 0 allows nothing."""

    notional_capital: Annotated[Amount | None, about("opening cash, after the other names")] = None
    maintenance_margin_pct: Annotated[
        Fraction | None,
        about("a short below this share of its value is closed; default: 0.30 conservative, 0.20 balanced, 0.10 aggressive, else 0.25"),
    ] = None
    description: Annotated[Text, about("one line for people")] = ""
    backtest_only: Annotated[bool, about("true: no environment and no schedule may use it")] = False
    max_daily_loss_pct: Annotated[Fraction, about("loss of a UTC day, as a share of its first equity")]
    max_position_pct: Annotated[Fraction, about("one position, as a share of equity")]
    target_volatility: Annotated[Multiple, about("risk budget of a position with a stop, as a share of equity")]
    max_leverage: Annotated[Multiple, about("longs and shorts together, as a multiple of equity")]
    max_net_exposure: Annotated[Multiple | None, about("longs alone and shorts alone, as a multiple of equity; default: max_leverage")] = (
        None
    )
    stop_loss_atr_multiple: Annotated[Multiple, about("least distance of a declared stop, in ATR")]
    catastrophe_stop_pct: Annotated[
        Fraction, about("loss at which a directional position without a stop of its own is closed, as a share of its cost")
    ] = Decimal("0.2")
    max_open_positions: Annotated[Count, about("positions open at one time")]
    hard_drawdown_pct: Annotated[Fraction, about("fall from the highest equity, as a share of it")]
    data_quality: Annotated[DataQuality, about("completeness of data")] = DataQuality()
    strategy_allocations: Annotated[dict[Name, Fraction], about("share of equity per strategy, or of `manual_override`")] = field(
        default_factory=dict
    )


class InstrumentBucket(Section, frozen=True, kw_only=True):
    """A group of instruments with limits of its own."""

    symbols: Annotated[tuple[Symbol, ...], Meta(min_length=1, description="members, from instruments.yaml")]
    max_position_pct: Annotated[Fraction, about("one position, as a share of equity")]
    max_notional_usd: Annotated[Amount, about("all positions together, in US dollars")]
    tags: Annotated[tuple[Name, ...], about("words to find it by")] = ()


class DecisionLog(Section, frozen=True, kw_only=True):
    """The signed decision log, a projection of the journal."""

    path: Annotated[OutputPath, about("folder, below the data folder")] = "logs/decision_journal"
    signing_key_id: Annotated[Label, about("name of the signing key; never the key itself")] = "risk-ci"
    signing_key_path: Annotated[InputPath | None, about("file with the key; default: the keychain")] = None
    algorithm: Annotated[Literal["HMAC-SHA256"], about("signature algorithm")] = "HMAC-SHA256"
    head_signing_key_path: Annotated[
        InputPath | None, about("file with an Ed25519 key that signs each head too, so that it proves without a secret; default: none")
    ] = None


class PreTrade(Section, frozen=True, kw_only=True):
    """Controls of every opening order, whoever sends it. A limit of 0 allows nothing."""

    price_collar_bps: Annotated[
        Annotated[Decimal, Meta(extra_json_schema={"minimum": 0, "maximum": 1_000_000})],
        about("farthest a price of an order may be from the last price, in basis points"),
    ] = Decimal(1000)
    max_order_value: Annotated[Amount, about("largest value of one order, in the valuation asset")] = Decimal(250_000)
    max_order_quantity: Annotated[Amount, about("largest quantity of one order, in what is traded")] = Decimal(10_000_000)
    strategy_orders_per_second: Annotated[Count, about("orders of one strategy within a second of input time")] = 20
    strategy_orders_per_minute: Annotated[Count, about("orders of one strategy within a minute of input time")] = 120
    total_orders_per_second: Annotated[Count, about("all orders within a second of input time")] = 60
    total_orders_per_minute: Annotated[Count, about("all orders within a minute of input time")] = 360
    duplicate_window_seconds: Annotated[
        int, Meta(ge=0, le=86_400, description="an equal order within this time is a duplicate; 0: only equal client ids are")
    ] = 5
    repeated_executions: Annotated[Count, about("fills in one direction without a new signal")] = 100
    max_reference_bars: Annotated[Count, about("oldest price to judge an order by, in candles of its instrument")] = 2
    max_reference_age_seconds: Annotated[Seconds, about("oldest price to judge an order by, in seconds, however long the candles")] = (
        172_800
    )


class Risk(Section, frozen=True, kw_only=True):
    """Risk settings that belong to no single profile."""

    pre_trade: Annotated[PreTrade, about("controls of single orders")] = PreTrade()
    decision_log: Annotated[DecisionLog, about("signed decision log")] = DecisionLog()
    instrument_buckets: Annotated[dict[Name, InstrumentBucket], about("groups of instruments by name")] = field(default_factory=dict)
