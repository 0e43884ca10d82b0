"""Promise P3: what was not approved cannot be executed.

It does not type-check, no module but the gate makes an approval, and a core without its gate fails tests.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("dudzian_daemon", "plugins")
GATE = "dudzian_daemon/trading/risk_engine.py"
#: The only modules that may so much as name an approval: where it is defined, made, passed on, watched and taken.
MAY_NAME_IT = {
    "dudzian_daemon/domain/orders.py",
    "dudzian_daemon/trading/controllers.py",
    "dudzian_daemon/trading/leg_watch.py",
    "dudzian_daemon/trading/paper_execution.py",
    GATE,
}


@cache
def modules() -> list[tuple[str, ast.Module]]:
    """Every module of the product, parsed once."""
    paths = sorted(file for folder in PRODUCT for file in (ROOT / folder).rglob("*.py"))
    return [(path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def named(node: ast.AST) -> str | None:
    """What a name, an attribute or an import calls, None for other nodes."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
            return name
        case _:
            return None


def test_only_the_gate_makes_an_approval() -> None:
    makers = [
        name for name, tree in modules() for node in ast.walk(tree) if isinstance(node, ast.Call) and named(node.func) == "ApprovedGroup"
    ]
    assert makers == [GATE]


def test_few_modules_know_of_approvals_and_none_by_another_name() -> None:
    knowing = {name for name, tree in modules() for node in ast.walk(tree) if named(node) == "ApprovedGroup"}
    assert knowing <= MAY_NAME_IT
    renamed = [
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.alias) and named(node) == "ApprovedGroup" and node.asname
    ]
    assert renamed == []


def of_an_executor(call: ast.expr) -> bool:
    """Work for a process pool, as `dudzian sweep` gives it: no order."""
    return isinstance(call, ast.Attribute) and named(call.value) == "executor"


def test_only_the_controller_submits_and_only_what_the_gate_answered() -> None:
    calls = [(name, node.func) for name, tree in modules() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    submitting = [name for name, call in calls if named(call) == "submit" and not of_an_executor(call)]
    assert submitting == ["dudzian_daemon/trading/controllers.py"]


def test_the_simulator_is_made_in_one_place() -> None:
    makers = [
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and named(node.func) in {"PaperTradingExecutionService", "ThresholdRiskEngine", "Ledger"}
    ]
    assert makers == ["dudzian_daemon/trading/step.py"] * 3


# -- types -------------------------------------------------------------------------------------------------------------


def test_what_was_not_approved_does_not_type_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    source = (ROOT / "tests" / "typing" / "refused.py").read_text(encoding="utf-8")
    bare = tmp_path / "refused_without_ignores.py"
    bare.write_text(re.sub(r"  # type: ignore\[[\w-]+\]", "", source), encoding="utf-8")
    expected = {
        number: code for number, line in enumerate(source.splitlines(), 1) for code in re.findall(r"type: ignore\[([\w-]+)\]", line)
    }

    example = ROOT / "tests" / "typing" / "strategy_plugin.py"
    out, err, code = api.run(
        [str(example), str(bare), "--cache-dir", str(tmp_path / "cache"), "--no-error-summary", "--hide-error-context"]
    )
    found = [re.match(r"(.+?):(\d+): error: .*\[([\w-]+)\]$", line) for line in out.splitlines() if ": error: " in line]
    assert (code, err) == (1, "")
    assert {(Path(each[1]).name, int(each[2]), each[3]) for each in found if each} == {
        (bare.name, number, what) for number, what in expected.items()
    }
    assert len(expected) >= 6


# -- without the gate --------------------------------------------------------------------------------------------------

SHORT_CIRCUITS = {
    "nothing is broken": ("controllers.py", "", "", None),
    "the answer is not asked for": (
        "controllers.py",
        "answer = self._gate.judge(group)",
        "answer = ApprovedGroup(group, group.legs, self._gate.judge(group).verdict)",
        "test_a_refused_signal_becomes_no_order",
    ),
    "a refusal passes": (
        "controllers.py",
        "if isinstance(answer, ApprovedGroup):",
        "if answer.verdict:",
        "test_a_refused_signal_becomes_no_order",
    ),
    "the size is not clipped": (
        "risk_engine.py",
        "elif cap.quantity < tightest.quantity:",
        "elif False:",
        "test_an_order_is_no_larger_than_its_limit",
    ),
    "states do not block": (
        "risk_engine.py",
        "self._blocked(group, leg) or self._cap(",
        "self._cap(",
        "test_a_loss_beyond_the_limit_closes_the_position_and_opens_no_other",
    ),
    "limits are not judged": (
        "step.py",
        "draft.risk += self.gate.judge_equity(tick.instant, equity)",
        "pass",
        "test_a_loss_beyond_the_limit_closes_the_position_and_opens_no_other",
    ),
}
RUN = """
import traceback
from tests.scenario import test_core_gate as sessions
for name in sorted(name for name in vars(sessions) if name.startswith("test_")):
    try:
        getattr(sessions, name)()
    except Exception:
        print(name)
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The core and the sessions, free to be broken."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("domain", "trading", "testing"):
        shutil.copytree(ROOT / "dudzian_daemon" / name, folder / "dudzian_daemon" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dudzian_daemon" / "__init__.py", folder / "dudzian_daemon")
    for name in ("scenario/test_core_gate.py", "unit/trading/desk.py"):
        (folder / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "tests" / name, folder / "tests" / name)
    return folder


@pytest.mark.parametrize(("module", "gate", "instead", "failing"), SHORT_CIRCUITS.values(), ids=SHORT_CIRCUITS.keys())
def test_a_core_without_its_gate_fails_a_named_test(copy: Path, module: str, gate: str, instead: str, failing: str | None) -> None:
    source = ROOT / "dudzian_daemon" / "trading" / module
    text = source.read_text(encoding="utf-8")
    assert gate in text, "the core has changed: break it where its gate is now"
    broken = copy / "dudzian_daemon" / "trading" / module
    broken.write_text(text.replace(gate, instead, 1) if gate else text, encoding="utf-8")
    try:
        run = subprocess.run([sys.executable, "-B", "-c", RUN], cwd=copy, capture_output=True, text=True, check=False)
    finally:
        shutil.copy(source, broken)
    assert (run.returncode, run.stderr) == (0, "")
    failed = set(run.stdout.split())
    assert (failing in failed) if failing else not failed
