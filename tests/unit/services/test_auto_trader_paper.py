"""Whatever the environment says, orders end in the simulator, and AutoTrader is given no other execution."""

from __future__ import annotations

from pathlib import Path

import pytest

from dudzian_daemon.api.auto_trader import ConfigError, LiveBlocked
from dudzian_daemon.api.embedding import PaperTradingExecutionService, bootstrap_environment
from tests.integration.daemon_process import short_config

DEMO = "mode: demo\n    exchange: binance\n    artifact_name: demo\n"


@pytest.mark.parametrize("mode", ["demo", "paper"])
def test_every_mode_executes_on_paper(tmp_path: Path, mode: str) -> None:
    config = short_config(tmp_path, mode=(DEMO, DEMO.replace("mode: demo", f"mode: {mode}")))
    with bootstrap_environment("demo", config=config, data_dir=tmp_path / "data") as session:
        assert session.prepared.chosen.mode == mode
        assert type(session.execution) is PaperTradingExecutionService
        assert session.auto_trader.execution is session.execution
        assert not session.auto_trader.paper_only
        filled = session.advance(lambda record: bool(record.fills))
        assert filled is not None
        assert {fill.fill_source for fill in filled.fills} <= {"open_print", "last_price"}
        assert set(session.core.ledger.books) >= {(fill.strategy, fill.instrument) for fill in filled.fills}
        with pytest.raises(LiveBlocked):
            session.auto_trader.activate_live()


def test_a_configuration_that_asks_for_live_trading_starts_nothing(tmp_path: Path) -> None:
    config = short_config(tmp_path, mode=(DEMO, DEMO.replace("mode: demo", "mode: live")))
    with (
        pytest.raises(ConfigError, match="live trading is not built") as refused,
        bootstrap_environment("demo", config=config, data_dir=tmp_path / "data"),
    ):
        pass
    assert refused.value.exit_code == 7
    assert not (tmp_path / "data").exists()
