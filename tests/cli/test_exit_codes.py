"""Tables of the reference are made from the code, and the faults that end a command carry codes of the enum."""

from __future__ import annotations

from pathlib import Path

import pytest

from dudzian_daemon.app.daily_trend.gate import SecurityWarnings
from dudzian_daemon.app.daily_trend.smoke import SmokeRefused
from dudzian_daemon.cli.doc_tables import TABLES, renewed
from dudzian_daemon.cli.exit_codes import MEANINGS, ExitCode
from dudzian_daemon.domain.errors import AdapterError, ConfigError, DudzianError, LiveBlocked, PluginError

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", TABLES)
def test_the_page_has_the_table_of_the_code(name: str) -> None:
    page = (REFERENCE / name).read_text(encoding="utf-8")
    assert renewed(page, TABLES[name]()) == page, "run: python -m dudzian_daemon.cli.doc_tables docs/reference"


def test_every_code_has_a_meaning() -> None:
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
