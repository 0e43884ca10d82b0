"""docs/reference/auto-trader.md says all there is, by its right name, and its example runs."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from dudzian_daemon.api import auto_trader as face
from dudzian_daemon.api.auto_trader import AutoTrader, Bus, EvaluationFilter, Span
from dudzian_daemon.domain import history
from dudzian_daemon.domain.evaluations import UNJUDGED
from dudzian_daemon.testing.clock import ManualClock
from tests.unit.trading.desk import desk

TEXT = (Path(__file__).parents[3] / "docs" / "reference" / "auto-trader.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", TEXT))))
PUBLIC = [name for name in vars(AutoTrader) if not name.startswith("_")]


def test_every_member_is_documented_and_no_other() -> None:
    tables = re.findall(r"^\| (.+?) \|", TEXT, flags=re.MULTILINE)
    named = {name for cell in tables for name in re.findall(r"`(\w+)\(", cell)}
    assert named == {name for name in PUBLIC if inspect.isfunction(getattr(AutoTrader, name))}
    assert set(PUBLIC) <= WORDS


@pytest.mark.parametrize("name", PUBLIC)
def test_every_argument_is_documented(name: str) -> None:
    member = getattr(AutoTrader, name)
    arguments = set(inspect.signature(member).parameters) - {"self"} if inspect.isfunction(member) else set()
    assert arguments - {"span", "wanted"} <= WORDS


def test_every_word_of_a_filter_and_every_key_is_documented() -> None:
    auto_trader = AutoTrader(Bus(), desk().core.execution, clock=ManualClock())
    cycles, answers = auto_trader.summarize_controller_cycle_history(), auto_trader.summarize_risk_evaluations()
    nested = {key for part in cycles.values() if isinstance(part, dict) for key in part}
    columns = history.cycle_columns(counts=True, sequences=True, instant=True)
    keys = {*cycles, *nested, *answers, *columns, *UNJUDGED, *Span.__annotations__, *EvaluationFilter.__annotations__}
    assert keys <= WORDS


def test_what_is_exported_is_named_or_a_type_of_an_argument() -> None:
    types_of_arguments = {
        "Answers",
        "By",
        "ControllerCycle",
        "CONTROLLER_CYCLE",
        "EvaluationFilter",
        "Moment",
        "Services",
        "Span",
        "SystemClock",
    }
    assert set(face.__all__) - WORDS <= types_of_arguments


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "auto-trader.md", "exec"), {})  # noqa: S102 - it is our own document
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("cycle 1500 took ")
    assert re.fullmatch(r"200 cycles, [1-9]\d* orders, \{'accepted': .*\}", lines[1])
    assert len([line for line in lines if re.fullmatch(r"binance\w*:\w+/USDT [a-z_]+", line)]) == 3
    assert "decision_strategy" in lines
