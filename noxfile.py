"""`nox` = everything that must be green before a push. Sessions run in the environment that nox itself runs in (docs/howto/develop.md)."""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import nox

ROOT = Path(__file__).parent
PRODUCT = ("dudzian_daemon", "plugins")
PLATFORMS = ("linux", "win32", "darwin")
GOLDEN_PYTHONS = ("3.11", "3.12", "3.13")
GOLDEN_SCRIPT = ROOT / "tests" / "scenario" / "golden_chain.py"
GOLDEN_HOME = ROOT / ".nox" / "golden"

#: Where every branch is run by a test: gate, simulator, ledger, and the arithmetic under them.
MONEY = (
    *("catastrophe", "exposures", "forced_closings", "limits", "pre_trade", "rates", "reservations", "risk_engine", "risk_states"),
    *("executions", "matching", "order_book", "paper_execution", "pinned_presets", "resting_orders"),
    *("entries", "funding", "ledger", "margin", "prices"),
    *("../domain/fees", "../domain/fills", "../domain/risk", "../domain/sizing"),
)
MONEY_TESTS = (
    "tests/unit/trading",
    "tests/unit/domain",
    "tests/scenario",
    "tests/test_risk_engine.py",
    "tests/test_paper_trading_integration.py",
)

nox.options.default_venv_backend = "none"
nox.options.sessions = ["format", "lint", "types", "layers", "tests", "money"]


@nox.session
def format(session: nox.Session) -> None:
    """The formatter has nothing to change."""
    _python(session, "ruff", "format", "--check", ".")


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: complexity and size gates, banned calls, blind catches."""
    _python(session, "ruff", "check", ".")


@nox.session
def fix(session: nox.Session) -> None:
    """Formatter and safe fixes."""
    _python(session, "ruff", "check", "--fix", ".")
    _python(session, "ruff", "format", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Strict mypy as each of the three platforms sees the code; a cache for each, or they would keep emptying one."""
    for platform in PLATFORMS:
        _python(session, "mypy", "--platform", platform, "--cache-dir", f".mypy_cache/{platform}")


@nox.session
def layers(session: nox.Session) -> None:
    """Import contracts."""
    session.run(_tool("lint-imports"), "--no-logo")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests but the long ones, on two processes; `nox -s tests -- PATH -k WORD` runs what is named, on one."""
    _python(session, "pytest", *(session.posargs or ("-n", "2")))


@nox.session
def money(session: nox.Session) -> None:
    """Branch coverage of what decides about money is whole, by its own tests alone."""
    _python(
        session, "pytest", "-n", "2", "-q", "--cov=dudzian_daemon.trading", "--cov=dudzian_daemon.domain", "--cov-report=", *MONEY_TESTS
    )
    files = ",".join(f"*/{Path('dudzian_daemon/trading', f'{name}.py').as_posix().replace('trading/../', '')}" for name in MONEY)
    _python(session, "coverage", "report", f"--include={files}", "--fail-under=100", "--show-missing", "--skip-covered")


@nox.session
def docs(session: nox.Session) -> None:
    """Every key, topic, metric, alert code, exit code and command is documented (part of `tests` too)."""
    _python(session, "pytest", "tests/docs", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Every benchmark with its defaults, or one: `nox -s bench -- bus ARGUMENTS`."""
    name, *arguments = session.posargs or ("*",)
    scripts = sorted(path for path in (ROOT / "benchmarks").glob(f"{name}.py") if name == "plot" or path.stem != "plot")  # it writes docs
    if not scripts:
        session.error(f"no benchmark of that name: {name}")
    for script in scripts:
        session.run(sys.executable, str(script), *arguments)


@nox.session
def shape(session: nox.Session) -> None:
    """The tails of the code: ten longest functions and modules. A report, no gate."""
    modules: list[tuple[int, str]] = []
    functions: list[tuple[int, str]] = []
    for path in sorted(file for folder in PRODUCT for file in (ROOT / folder).rglob("*.py")):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()
        modules.append((text.count("\n"), name))
        functions += [
            ((node.end_lineno or node.lineno) - node.lineno + 1, f"{name}:{node.lineno} {node.name}")
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
    session.log(f"{len(modules)} modules, {sum(lines for lines, _ in modules)} lines, {len(functions)} functions")
    for kind, guide, rows in (("functions", 30, functions), ("modules", 300, modules)):
        rows.sort(reverse=True)
        session.log(f"{kind}: p90 {rows[len(rows) // 10][0]} lines (guide {guide})")
        for lines, name in rows[:10]:
            session.log(f"  {lines:5} {name}")


@nox.session
def golden(session: nox.Session) -> None:
    """One golden session on every Python found, from an installed wheel: the content chains must be equal."""
    interpreters = {version: path for version in GOLDEN_PYTHONS if (path := _interpreter(version))}
    if len(interpreters) < 2:
        _not_run(session, f"needs two of {', '.join(GOLDEN_PYTHONS)} to compare, found: {', '.join(interpreters) or 'none'}")
    wheel = _wheel(session)
    chains: dict[str, str] = {}
    for version, interpreter in interpreters.items():
        python = _golden_python(session, version, interpreter)
        session.run(python, "-m", "pip", "install", "-qq", "--no-deps", "--force-reinstall", str(wheel), external=True)
        chains[version] = str(session.run(python, "-I", str(GOLDEN_SCRIPT), external=True, silent=True, log=False)).strip()
        session.log(f"golden {version}: {chains[version].splitlines()[-1] if chains[version] else '(nothing)'}")
    if "" in chains.values() or len(set(chains.values())) > 1:
        session.error(f"golden: the chains differ or are empty:\n{chains}")
    session.log(f"golden: equal on {', '.join(chains)}; not found here: {', '.join(set(GOLDEN_PYTHONS) - set(chains)) or 'none'}")


def _python(session: nox.Session, module: str, *arguments: str) -> None:
    session.run(sys.executable, "-m", module, *arguments)


def _tool(name: str) -> str:
    """A console script beside this interpreter, whether or not its folder is on PATH."""
    return str(Path(sys.executable).with_name(name))


def _interpreter(version: str) -> str | None:
    """A Python of this minor version that really starts: a shim on PATH may stand for one that is switched off."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    named = shutil.which(f"python{version}")
    candidates = [*([named] if named else []), *(str(home / "bin" / "python") for home in sorted(pyenv.glob(f"{version}*"), reverse=True))]
    question = f"import ensurepip, sys; sys.exit(sys.version_info[:2] != {tuple(map(int, version.split('.')))})"
    return next((path for path in candidates if _starts(path, question)), None)


def _starts(interpreter: str, question: str) -> bool:
    try:
        return subprocess.run([interpreter, "-c", question], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _not_run(session: nox.Session, reason: str) -> NoReturn:
    """The rule of tests/conftest.py for sessions: in CI, what did not run has failed."""
    if os.environ.get("CI") and not os.environ.get("DUDZIAN_ALLOW_SKIPS"):
        session.error(reason)
    session.skip(reason)


def _wheel(session: nox.Session) -> Path:
    folder = GOLDEN_HOME / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    _python(session, "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    return next(folder.glob("*.whl"))


def _golden_python(session: nox.Session, version: str, interpreter: str) -> str:
    """The venv of one version, made again only when the pinned dependencies change."""
    pins = ROOT / "constraints" / "run.txt"
    home = GOLDEN_HOME / f"{version}-{hashlib.sha256(pins.read_bytes()).hexdigest()[:12]}"
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not (home / "ready").exists():
        session.run(interpreter, "-m", "venv", "--clear", str(home), external=True)
        session.run(str(python), "-m", "pip", "install", "-qq", "--require-hashes", "-r", str(pins), external=True)
        (home / "ready").touch()
    return str(python)
