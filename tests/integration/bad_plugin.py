"""Source of a strategy of a user's that behaves well, but for the lines a test puts into it."""

from __future__ import annotations

from textwrap import dedent, indent

_SOURCE = '''
"""Does what its test wants."""
import hashlib
import os
import time

import msgspec

from dudzian_daemon.api.strategy import Series, SeriesNeed


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    how: str = ""


class State(msgspec.Struct):
    seen: int = 0


class Told:
    Params = Params
    legs = 1
    takes_quotes = False

    def __init__(self, params):
        self.params = params

    def series(self, instruments, granularity):
        return (SeriesNeed(Series(instruments[0], granularity), {warm_up}),)

    def new_state(self):
        return State()

    def on_candle(self, state, candle):
        state.seen += 1
{on_candle}

    def on_gap(self, state, series, start, end):
        return False

    def decide(self, state, view):
{decide}
        return ()


PLUGIN = Told
'''


def plugin_source(*, warm_up: int = 1, on_candle: str = "", decide: str = "") -> str:
    """Its file; `on_candle` and `decide` are lines of code, in which `self.params.how` says what is wanted."""
    bodies = {"on_candle": on_candle, "decide": decide}
    return _SOURCE.format(warm_up=warm_up, **{name: indent(dedent(text).strip("\n"), " " * 8) for name, text in bodies.items()})
