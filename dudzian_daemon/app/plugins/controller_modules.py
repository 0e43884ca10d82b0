"""`--pipeline-module` and `--realtime-module`: a user's module may say who makes the signals of a configured strategy, nothing more.

Such a module has `CONTROLLERS`, a dict from names of `strategies:` to classes that keep the strategy contract. Gate, simulator and
ledger cannot be replaced.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from types import ModuleType
from typing import Final

from dudzian_daemon.app.plugins.loader import PluginSource, run_place, unusable
from dudzian_daemon.app.plugins.module_graph import Member, Members
from dudzian_daemon.app.plugins.places import Place, module_file
from dudzian_daemon.app.plugins.shape import shape_problems
from dudzian_daemon.config.lookup import suggestion
from dudzian_daemon.domain.errors import PluginError

KIND: Final = "controllers"
#: What stands behind the signals: classes of these names are ours alone.
BEHIND_THE_SIGNALS: Final = frozenset(
    {"Core", "TradingController", "ThresholdRiskEngine", "PaperTradingExecutionService", "Ledger", "LiveExecutionRouter", "StrategyHost"}
)


def controllers_of(modules: Sequence[str], strategies: Collection[str]) -> dict[str, PluginSource]:
    """Who makes the signals of which of `strategies`; of two modules the earlier one has it. Raises `PluginError` in one line."""
    supplied: dict[str, PluginSource] = {}
    for name in modules:
        for strategy, source in _of_module(name, strategies).items():
            supplied.setdefault(strategy, source)
    return supplied


def _of_module(name: str, strategies: Collection[str]) -> dict[str, PluginSource]:
    where = f"controller module {name!r}"
    if not all(part.isidentifier() for part in name.split(".")):
        msg = f"{where}: expected the name of an importable module such as my_signals.daily, not a path"
        raise PluginError(msg)
    path = module_file(name, where)
    return controllers_in(Place(KIND, name, path, "module", (path.parent, path), name), strategies)


def controllers_in(place: Place, strategies: Collection[str], recorded: tuple[Members, Member] | None = None) -> dict[str, PluginSource]:
    """Who makes the signals of which of `strategies` by the file of a module. Raises `PluginError` in one line."""
    ran = run_place(place, recorded)
    controllers = getattr(ran.module, "CONTROLLERS", None)
    if not isinstance(controllers, dict) or not controllers:
        raise unusable(place, f"expected CONTROLLERS = {{strategy name: class}}, found {controllers!r:.60}")
    for problem in _problems(ran.module, controllers, strategies):
        raise unusable(place, problem)
    return {
        strategy: PluginSource(KIND, place.name, plugin, place.path, ran.source, ran.file, ran.modules)
        for strategy, plugin in controllers.items()
    }


def _problems(module: ModuleType, controllers: dict[object, object], strategies: Collection[str]) -> list[str]:
    replaced = sorted(
        name for name, value in vars(module).items() if name in BEHIND_THE_SIGNALS and getattr(value, "__module__", "") == module.__name__
    )
    problems = [f"supplies {name}: a module may supply signals, nothing behind the gate" for name in replaced]
    for strategy, plugin in controllers.items():
        if strategy not in strategies:
            problems.append(f"CONTROLLERS: unknown strategy {strategy!r}{suggestion(str(strategy), sorted(strategies))}")
        problems += [f"CONTROLLERS[{strategy!r}]: {problem}" for problem in shape_problems("strategies", plugin)]
    return problems
