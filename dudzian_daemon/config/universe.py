"""What can be traded where, and which credential belongs to which environment: instruments.yaml and credentials/."""

import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from dudzian_daemon.config.fields import Amount, Asset, Days, FeeRate, Granularity, Label, Name, Permission, Section, Step, Symbol, about


class FundingRate(Section, frozen=True, kw_only=True):
    """The rate that the venue applied from an hour on."""

    valid_from: Annotated[datetime.date, about("first day, UTC")]
    hour: Annotated[int, Meta(ge=0, le=23, description="hour of that day, UTC")] = 0
    rate: Annotated[FeeRate, about("share of the position's value an interval; below 0 shorts pay")]


class Funding(Section, frozen=True, kw_only=True):
    """What a perpetual costs its longs (or shorts, below 0) while it is held."""

    interval_hours: Annotated[int, Meta(ge=1, le=24, description="hours between two settlements, counted from midnight UTC")] = 8
    rate: Annotated[FeeRate, about("share of the position's value an interval, until the venue gives another")] = Decimal(0)
    rates: Annotated[tuple[FundingRate, ...], about("recorded rates, oldest first, that a replay is given as they came")] = ()


class VenueRules(Section, frozen=True, kw_only=True):
    """An instrument's name and market rules at one venue; amounts are best quoted, as the venue writes them."""

    symbol: Annotated[Symbol, about("the venue's own name of the pair")]
    tick_size: Annotated[Step, about("step of prices, in the quote asset")]
    lot_size: Annotated[Step, about("step of quantities, in the base asset")]
    min_quantity: Annotated[Amount, about("smallest quantity of an order, in the base asset")]
    min_notional: Annotated[Amount, about("smallest value of an order, in the quote asset")]
    funding: Annotated[Funding | None, about("set for a perpetual; without it the pair is a spot one")] = None
    listed_until: Annotated[datetime.date | None, about("day after the last one on which it was traded there, UTC")] = None


class BackfillWindow(Section, frozen=True, kw_only=True):
    """How much history of one granularity to fetch."""

    interval: Annotated[Granularity, about("length of a candle")]
    lookback_days: Annotated[Days, about("days before today")]


class Rename(Section, frozen=True, kw_only=True):
    """A base asset that goes by another name at the venues since a day."""

    base: Annotated[Asset, about("the new name")]
    date: Annotated[datetime.date, about("first day of the new name, UTC")]


class InstrumentEntry(Section, frozen=True, kw_only=True):
    """One pair of the universe; its key is BASE_QUOTE."""

    base: Annotated[Asset, about("asset that is bought and sold")]
    quote: Annotated[Asset, about("asset it is paid in")]
    categories: Annotated[tuple[Name, ...], about("words to find it by")] = ()
    venues: Annotated[dict[Name, VenueRules], Meta(min_length=1, description="where it is traded, with the venue's rules")]
    backfill_windows: Annotated[tuple[BackfillWindow, ...], about("history to fetch")] = ()
    renamed_to: Annotated[Rename | None, about("set when the base asset was renamed")] = None


class Credential(Section, frozen=True, kw_only=True):
    """What is known of an environment's credential, without the secret: file `credentials/<environment>.yaml`."""

    venue: Annotated[Name, about("the venue it belongs to; the environment's `exchange`")]
    purpose: Annotated[Name, about("what it is for; the environment's `credential_purpose`")]
    keychain_key: Annotated[Label, about("name of the keychain entry; the environment's `keychain_key`")]
    permissions: Annotated[tuple[Permission, ...], about("what the venue granted to the key")]
