"""What holds for every test: its own home, no blocking call on the event loop, fixed property seeds in CI, no silent skip there.

There is no helper that waits: time is a `ManualClock`, and an event is awaited.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster
from hypothesis import settings

from dudzian_daemon.kernel.redaction import forget_secrets

# Asked once, before any test changes the environment.
CI = bool(os.environ.get("CI"))
SKIPS_ALLOWED = not CI or bool(os.environ.get("DUDZIAN_ALLOW_SKIPS"))

# Timing says nothing on a shared machine, so no deadline. CI repeats the same examples; elsewhere each run looks for new ones.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if CI else "dev")

# Functions of the product that may touch a disk on the event loop: (end of the file's path, function, why it may).
MAY_BLOCK: tuple[tuple[str, str, str], ...] = (
    ("kernel/log_output.py", "_write", "only where nothing was configured, as in most tests: the daemon's log writes from a thread"),
)

# What a developer's shell may hold and a test must not see; DUDZIAN_TEST_DATA names the folder of the [long] checks.
PRODUCT_VARIABLES = ("DUDZIAN_", "DECISION_", "PAPER_SMOKE_")
KEPT_VARIABLES = {"DUDZIAN_TEST_DATA"}
HOMES = ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")


@pytest.fixture(autouse=True)
def isolated_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home of its own, none of the product's variables, and no keychain of the person who runs the tests.

    What a command that is called here puts into the environment is taken out again: a fixture that outlives a test would see it.
    """
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(PRODUCT_VARIABLES) and name not in KEPT_VARIABLES:
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    for name in HOMES:
        monkeypatch.setenv(name, str(home if name in {"HOME", "USERPROFILE"} else home / name.lower()))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    yield home
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def nothing_stays_masked() -> Iterator[None]:
    """What one test keeps secret is no secret to the next."""
    yield
    forget_secrets()


@pytest.fixture(autouse=True, scope="session")
def blocking_calls_fail() -> Iterator[None]:
    """A blocking call made on a running event loop, with a frame of ours below it, raises where it stands."""
    watch = BlockBuster(scanned_modules=["dudzian_daemon", "plugins"])
    for function in watch.functions.values():
        for file, name, _why in MAY_BLOCK:
            function.can_block_in(file, name)
    watch.activate()
    yield
    watch.deactivate()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test fails with the reason it gave: what did not run proves nothing. An expected failure stays one."""
    report = yield
    if report.skipped and not SKIPS_ALLOWED and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", _refusal(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself while it is collected."""
    report = yield
    if report.skipped and not SKIPS_ALLOWED:
        report.outcome, report.longrepr = "failed", _refusal(report)
    return report


def _refusal(report: pytest.TestReport | pytest.CollectReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    return f"{report.nodeid} was not run, and CI accepts no skip (DUDZIAN_ALLOW_SKIPS=1 does): {reason}"
