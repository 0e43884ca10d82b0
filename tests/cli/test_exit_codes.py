"""The table of exit codes is made from the enum, and the faults that end a command carry codes of it."""

from __future__ import annotations

from pathlib import Path

from dudzian_daemon.app.daily_trend.gate import SecurityWarnings
from dudzian_daemon.app.daily_trend.smoke import SmokeRefused
from dudzian_daemon.cli.exit_codes import MEANINGS, ExitCode, renewed, table
from dudzian_daemon.domain.errors import AdapterError, ConfigError, DudzianError, LiveBlocked, PluginError

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "exit-codes.md"


def test_the_page_has_the_table_of_the_enum() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert table() in page, "run: python -m dudzian_daemon.cli.exit_codes docs/reference/exit-codes.md"
    assert renewed(page) == page
    assert set(MEANINGS) == set(ExitCode)


def test_faults_end_with_the_codes_of_the_enum() -> None:
    faults = {
        fault: fault.exit_code
        for fault in (DudzianError, AdapterError, ConfigError, PluginError, SecurityWarnings, SmokeRefused, LiveBlocked)
    }
    assert faults == {
        DudzianError: ExitCode.FAILED,
        AdapterError: ExitCode.FAILED,
        ConfigError: ExitCode.WRONG_INPUT,
        PluginError: ExitCode.WRONG_INPUT,
        SecurityWarnings: ExitCode.SECURITY_WARNINGS,
        SmokeRefused: ExitCode.PRECHECK_FAILED,
        LiveBlocked: ExitCode.LIVE_BLOCKED,
    }
