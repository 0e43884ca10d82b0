"""What `dudzian plugins new strategy` writes: a whole strategy that works, to be changed line by line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Final

from dudzian_daemon.adapters.files import os_errors, whole_or_gone
from dudzian_daemon.app.plugins.places import is_name, places_of
from dudzian_daemon.domain.errors import ConfigError

STRATEGY: Final = Template('''"""Long while the close is above the mean of the last `window` closes, flat below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from dudzian_daemon.api.strategy import Candle, Intent, MarketView, RollingMean, Series, SeriesNeed, Signal


class ${stem}Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the configuration may set, with ranges; raise ValueError in `__post_init__` for what must hold between values."""

    window: Annotated[int, msgspec.Meta(ge=2, le=10_000)] = 20


class ${stem}State(msgspec.Struct):
    """Everything that is remembered from candle to candle; nothing may be kept anywhere else."""

    mean: RollingMean
    close: float = 0.0


class ${stem}:
    """One unit trades one instrument."""

    Params = ${stem}Params
    legs = 1  # instruments that a unit trades together
    takes_quotes = False  # it decides on candles

    def __init__(self, params: ${stem}Params) -> None:
        self.params = params

    def series(self, instruments: Sequence[str], granularity: str) -> tuple[SeriesNeed, ...]:
        """The candles it needs, and how many of them before it may speak."""
        return (SeriesNeed(Series(instruments[0], granularity), self.params.window),)

    def new_state(self) -> ${stem}State:
        """As before the first candle."""
        return ${stem}State(RollingMean(self.params.window))

    def on_candle(self, state: ${stem}State, candle: Candle) -> None:
        """Learn from one closed candle; called in warm-up too."""
        state.mean.push(candle.close)
        state.close = candle.close

    def on_gap(self, state: ${stem}State, series: Series, start: int, end: int) -> bool:
        """Candles are missing for good: True starts over."""
        return True

    def decide(self, state: ${stem}State, view: MarketView) -> Sequence[Signal]:
        """What to do now; the position comes from the core, a refused entry leaves it flat."""
        ((instrument, position),) = view.positions.items()
        mean = state.mean.value
        if mean is None or (position.quantity > 0) == (state.close > mean):
            return ()
        intent = Intent.EXIT if position.quantity > 0 else Intent.ENTER
        return (Signal(instrument=instrument, intent=intent, reason="mean", numbers={"close": state.close, "mean": mean}),)


PLUGIN = ${stem}
''')

CONFIGURATION: Final = Template("""\
strategies:
  $name: {plugin: $name, parameters: {window: 20}}
risk_profiles:
  balanced:
    strategy_allocations: {$name: 0.2}            # beside those that are there
runtime:
  multi_strategy_schedulers:
    demo_pipeline:
      schedules:
        $name: {strategy: $name, instrument_bucket: demo_alts, interval: 1h, cadence_seconds: 3600, risk_profile: balanced}
""")


def strategy_source(name: str) -> str:
    """The file of a new strategy called `name`."""
    return STRATEGY.substitute(stem="".join(part.capitalize() for part in name.split("_")))


def write_strategy(name: str, own: Path, folders: Sequence[Path]) -> Path:
    """Write a new strategy into the user's folder `own`; its path. Raises `ConfigError` where the name is no name or is taken."""
    if not is_name(name):
        msg = f"expected a name of small letters, digits and _ that begins with a letter, found {name!r}"
        raise ConfigError(msg)
    for place in places_of("strategies", name, [*folders, own]):
        msg = f"there is a strategy {name!r} already: {place.path} ({place.origin}); choose another name"
        raise ConfigError(msg)
    folder = own / "strategies"
    with os_errors(folder):
        _make(folder)
        path = folder / f"{name}.py"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)  # never over a file that came meanwhile
        with whole_or_gone(path), os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(strategy_source(name))
    return path


def _make(folder: Path) -> None:
    """The folder and those above it, open to nobody else whatever the umask: the loader would refuse them."""
    if not folder.exists():
        _make(folder.parent)
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
