"""What a program that embeds a session may import: AutoTrader, what it is made of, the words of its filters, what it raises."""

from dudzian_daemon.domain.errors import ConfigError, LiveBlocked
from dudzian_daemon.domain.evaluations import Answers, EvaluationFilter, Services
from dudzian_daemon.domain.events import CONTROLLER_CYCLE, ControllerCycle
from dudzian_daemon.domain.history import By, Moment, Span
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import Clock, SystemClock
from dudzian_daemon.services.auto_trader import AutoTrader, Confirmation
from dudzian_daemon.trading.null_execution import NullExecutionService, SkippedOrder

__all__ = [
    "CONTROLLER_CYCLE",
    "Answers",
    "AutoTrader",
    "Bus",
    "By",
    "Clock",
    "ConfigError",
    "Confirmation",
    "ControllerCycle",
    "EvaluationFilter",
    "LiveBlocked",
    "Moment",
    "NullExecutionService",
    "Services",
    "SkippedOrder",
    "Span",
    "SystemClock",
]
