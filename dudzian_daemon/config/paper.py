"""Paper trading: capital, fees, execution presets."""

from datetime import date
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, field

from dudzian_daemon.config.fields import (
    Amount,
    Asset,
    Days,
    FeeRate,
    Leverage,
    Multiple,
    Name,
    OutputPath,
    PositiveFraction,
    Section,
    Symbol,
    Text,
    about,
)


class Capital(Section, frozen=True, kw_only=True):
    """What a strategy or profile may say of the account it wants to start with; only amounts above 0 count."""

    paper_balance: Annotated[Amount | None, about("opening cash in the valuation asset")] = None
    paper_capital: Annotated[Amount | None, about("the same, if `paper_balance` says nothing")] = None
    initial_balance: Annotated[Amount | None, about("the same, after those")] = None
    starting_balance: Annotated[Amount | None, about("the same, after those")] = None
    max_position_usd: Annotated[Amount | None, about("largest position; over `max_position_pct` it gives an opening cash")] = None


class FeeEntry(Section, frozen=True, kw_only=True):
    """What a venue charges from a day on."""

    valid_from: Annotated[date, about("first day, UTC")]
    maker: Annotated[FeeRate, about("fee of a resting order, share of its value; below 0: rebate")]
    taker: Annotated[FeeRate, about("fee of an order that takes, as a share of its value")]
    source: Annotated[Text, about("where the rates are from, and when they were read")] = ""


class PresetEntry(Section, frozen=True, kw_only=True):
    """What the simulator assumes where the data is silent; docs/reference/simulator.md describes each number."""

    description: Annotated[Text, about("one line for people")] = ""
    slippage_bps: Annotated[Multiple, about("slippage against the taker, in basis points")] = Decimal(5)
    latency_ms: Annotated[int, Meta(ge=0, le=60_000, description="time an order needs to the venue, in milliseconds")] = 0
    quote_depth: Annotated[Multiple, about("what can be had at a quote's price, as a multiple of the size it displays")] = Decimal(1)
    open_volume_share: Annotated[Multiple, about("most an order takes of an open print, as a share of the last bar's volume")] = Decimal(
        "0.1"
    )
    bar_volume_share: Annotated[Multiple, about("most that is filled inside a bar, as a share of its volume")] = Decimal("0.1")
    memory_ms: Annotated[int, Meta(ge=0, le=86_400_000, description="time in which what we took of a price level comes back")] = 10_000
    touch_fills: Annotated[bool, about("true: a bar that only touches a limit price fills it; false: it must trade through")] = True
    venue_fees: Annotated[dict[Name, tuple[FeeEntry, ...]], about("fees by venue, oldest first; else paper_trading's")] = field(
        default_factory=dict
    )


def shipped_presets() -> dict[str, PresetEntry]:
    """The presets of a configuration that lists none."""
    return {
        "candle_default": PresetEntry(),
        "quote_default": PresetEntry(slippage_bps=Decimal(1), latency_ms=100),
        "optimistic": PresetEntry(
            slippage_bps=Decimal(0),
            quote_depth=Decimal(5),
            open_volume_share=Decimal(1),
            bar_volume_share=Decimal(1),
            memory_ms=0,
        ),
        "pessimistic": PresetEntry(
            slippage_bps=Decimal(15),
            latency_ms=500,
            quote_depth=Decimal("0.5"),
            open_volume_share=Decimal("0.025"),
            bar_volume_share=Decimal("0.025"),
            memory_ms=60_000,
            touch_fills=False,
        ),
    }


class PaperTrading(Section, frozen=True, kw_only=True):
    """The simulated account and venue."""

    valuation_asset: Annotated[Asset, about("asset in which equity is told")] = "USDT"
    paper_balance: Annotated[Amount | None, about("opening cash in the valuation asset, before every other source")] = None
    initial_balances: Annotated[
        Annotated[dict[Asset, Amount], Meta(min_length=1)] | None,
        about("opening cash by asset; default: 10000 of the valuation asset"),
    ] = None
    quote_assets: Annotated[tuple[Asset, ...], about("what instruments may be paid in beside the valuation asset")] = ()
    conversions: Annotated[dict[Asset, Symbol], about("pair whose price converts an asset into the valuation asset")] = field(
        default_factory=dict
    )
    ledger_directory: Annotated[OutputPath, about("folder of the ledger's daily files, below the data folder")] = "data/ledger"
    ledger_retention_days: Annotated[Days, about("days a ledger file is kept")] = 730
    ledger_fsync: Annotated[bool, about("false: ledger files are written, but not synced to the disk")] = True
    position_size: Annotated[PositiveFraction, about("share of its strategy's budget an entry takes when its signal names none")] = Decimal(
        "0.1"
    )
    allow_short: Annotated[bool, about("true: strategies may sell what they do not hold, against margin")] = False
    default_leverage: Annotated[Leverage, about("a short blocks its proceeds and 1 / leverage of them as margin")] = Decimal(1)
    preset: Annotated[Name, about("which of `execution_presets` the simulator works by")] = "candle_default"
    maker_fee: Annotated[FeeRate, about("fee of a resting order, share of its value; below 0: rebate")] = Decimal("0.0004")
    taker_fee: Annotated[FeeRate, about("fee of an order that takes, as a share of its value")] = Decimal("0.0006")
    slippage_bps: Annotated[Multiple | None, about("instead of the preset's slippage, in basis points")] = None
    latency_ms: Annotated[Annotated[int, Meta(ge=0, le=60_000)] | None, about("instead of the preset's latency, in milliseconds")] = None
    seed: Annotated[int, Meta(ge=0, le=2**53 - 1, description="seed of everything drawn by chance")] = 0


class PaperOverride(Section, frozen=True, kw_only=True):
    """What an environment changes of the top section `paper_trading`; a key left out is inherited."""

    valuation_asset: Annotated[Asset | None, about("see `paper_trading`")] = None
    paper_balance: Annotated[Amount | None, about("see `paper_trading`")] = None
    quote_assets: Annotated[tuple[Asset, ...] | None, about("see `paper_trading`")] = None
    conversions: Annotated[dict[Asset, Symbol] | None, about("replaces the whole map")] = None
    ledger_directory: Annotated[OutputPath | None, about("see `paper_trading`")] = None
    ledger_retention_days: Annotated[Days | None, about("see `paper_trading`")] = None
    ledger_fsync: Annotated[bool | None, about("see `paper_trading`")] = None
    initial_balances: Annotated[Annotated[dict[Asset, Amount], Meta(min_length=1)] | None, about("replaces the whole map")] = None
    position_size: Annotated[PositiveFraction | None, about("see `paper_trading`")] = None
    allow_short: Annotated[bool | None, about("see `paper_trading`")] = None
    default_leverage: Annotated[Leverage | None, about("see `paper_trading`")] = None
    preset: Annotated[Name | None, about("see `paper_trading`")] = None
    maker_fee: Annotated[FeeRate | None, about("see `paper_trading`")] = None
    taker_fee: Annotated[FeeRate | None, about("see `paper_trading`")] = None
    slippage_bps: Annotated[Multiple | None, about("see `paper_trading`")] = None
    latency_ms: Annotated[Annotated[int, Meta(ge=0, le=60_000)] | None, about("see `paper_trading`")] = None
    seed: Annotated[Annotated[int, Meta(ge=0, le=2**53 - 1)] | None, about("see `paper_trading`")] = None
