"""The one exception tree. The branch tells the supervisor what to do; a refusal of the risk gate is a value, not one of these."""

from __future__ import annotations


class DudzianError(Exception):
    """Root of every fault the daemon raises on purpose; the text is one line for the operator."""

    exit_code = 1


class ConfigError(DudzianError):
    """The operator's input is wrong (configuration, flag, folder): nothing was started."""

    exit_code = 2


class PluginError(DudzianError):
    """A plugin is missing, does not load or breaks its contract."""

    exit_code = 2


class AdapterError(DudzianError):
    """Something outside the process failed."""


class Retryable(AdapterError):
    """The same call may succeed later: restart the service after a back-off."""


class Permanent(AdapterError):
    """The same call will fail again: stop the service and say so."""


class AuthFailed(Permanent):
    """A person has to act: the other side refuses our identity."""


class Offline(Permanent):
    """The environment is offline (`offline_mode`): nothing beyond this machine is asked."""


class IntegrityError(DudzianError):
    """A signed log, manifest or candle file is not what was written: stop the daemon."""


class StorageError(DudzianError):
    """The journal could not be made durable: the core is frozen and the process ends."""


class StorageFull(StorageError):
    """There is no space for the next lines, no file to be opened, or the disk is read-only: the same write may be tried again."""


class ReadOnlyDisk(ConfigError, StorageFull):
    """The disk is read-only: at a start the data folder is the wrong one, in a run it may become writable again."""


class BudgetExceeded(DudzianError):
    """A stated time or resource budget was overrun."""


class LiveBlocked(DudzianError):
    """Live trading was asked for: there is no road to it."""

    exit_code = 7
