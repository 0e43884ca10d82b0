"""What a program that embeds sessions may import beside `api.auto_trader`: bootstrap, controllers and what its fronts share."""

from dudzian_daemon.app.daily_report.making import generate_daily_paper_report
from dudzian_daemon.app.embedding import EmbeddedSession, bootstrap_environment, bootstrap_frontend_services
from dudzian_daemon.app.realtime import DailyTrendController, DailyTrendRealtimeRunner
from dudzian_daemon.services.frontend import (
    AccountSnapshot,
    ExchangeManager,
    FrontendServices,
    LiveExecutionRouter,
    MarketIntel,
    MarketIntelAggregator,
    MultiExchangeAccountManager,
)
from dudzian_daemon.trading.controllers import TradingController
from dudzian_daemon.trading.paper_execution import PaperTradingExecutionService
from dudzian_daemon.trading.risk_engine import ThresholdRiskEngine
from dudzian_daemon.trading.scheduler import MultiStrategyScheduler

__all__ = [
    "AccountSnapshot",
    "DailyTrendController",
    "DailyTrendRealtimeRunner",
    "EmbeddedSession",
    "ExchangeManager",
    "FrontendServices",
    "LiveExecutionRouter",
    "MarketIntel",
    "MarketIntelAggregator",
    "MultiExchangeAccountManager",
    "MultiStrategyScheduler",
    "PaperTradingExecutionService",
    "ThresholdRiskEngine",
    "TradingController",
    "bootstrap_environment",
    "bootstrap_frontend_services",
    "generate_daily_paper_report",
]
