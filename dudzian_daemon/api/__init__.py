"""The public face: `api.strategy` for plugins, `api.auto_trader` and `api.embedding` for programs that embed sessions.

Everything public may be imported from here too; its module is loaded when a name of it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dudzian_daemon.api.auto_trader import *  # noqa: F403 the list of names is in the module
    from dudzian_daemon.api.embedding import *  # noqa: F403 the list of names is in the module
    from dudzian_daemon.api.strategy import *  # noqa: F403 the list of names is in the module
else:

    def __getattr__(name: str) -> object:
        """A public name of one of the modules. Raises `AttributeError` for any other."""
        if not name.startswith("_") and name not in ("auto_trader", "embedding", "strategy"):
            from dudzian_daemon.api import strategy

            if name in strategy.__all__:
                return getattr(strategy, name)

            from dudzian_daemon.api import auto_trader, embedding

            for module in (auto_trader, embedding):
                if name in module.__all__:
                    return getattr(module, name)
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
