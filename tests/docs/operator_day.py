"""What the effects are seen on: data folders that commands have run on, each made once for a module of tests."""

from __future__ import annotations

import io
import json
import os
import signal
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.cli.main import main
from dudzian_daemon.domain.market import Series
from tests.integration.daemon_process import Child
from tests.unit.app.coverage.real_store import at, bars

ROOT = Path(__file__).parents[2]
KEY = "6b" * 32
DAYS = Series("binance:BTC/USDT", "1d")
WINDOW = ("--date-window", "2024-01-01:2024-02-15")
SMOKE = ("run-daily-trend", "--paper-smoke", "--run-once", *WINDOW)


class Done(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        """Its JSON."""
        return json.loads(self.out)


class Day:
    """The operator's folder of a day; `seeded` has days of candles, the others are derived from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.config = folder / "config"
        self.key = folder / "key"
        self.key.write_text(KEY)
        self.key.chmod(0o600)
        self.config.mkdir()
        for name in ("core.yaml", "instruments.yaml"):
            (self.config / name).write_text((ROOT / "config" / name).read_text())

    def ask(self, *arguments: object, data: Path | None = None, **env: str) -> Done:
        """`dudzian <arguments>` in this process, on the data folder with candles where no other is named."""
        if data is None:
            assert self.seeded.code == 0
        out, err = io.StringIO(), io.StringIO()
        with _environment({"DUDZIAN_DATA_DIR": str(data or self.data)} | env), redirect_stdout(out), redirect_stderr(err):
            try:
                main([str(argument) for argument in arguments])
                code = 0
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Done(code, out.getvalue(), err.getvalue())

    def changed(self, old: str, new: str) -> Path:
        """A configuration with another text in its main file; every call makes one of its own."""
        folder = self.folder / f"changed-{len(list(self.folder.glob('changed-*')))}"
        folder.mkdir()
        (folder / "instruments.yaml").write_text((self.config / "instruments.yaml").read_text())
        (folder / "core.yaml").write_text((self.config / "core.yaml").read_text().replace(old, new))
        return folder / "core.yaml"

    @cached_property
    def seeded(self) -> Done:
        """Sixty made-up days of the whole basket."""
        what = ("--environment", "binance_paper", "--days", 60, "--start-date", "2024-01-01", "--interval", "1d")
        return self.ask("seed-paper-cache", *what, data=self.data)

    @cached_property
    def coverage(self) -> Any:
        """The coverage of the basket's days, also written to a file."""
        return self.ask(
            "check-data-coverage", "-e", "binance_paper", "--interval", "D1", "--json", "--output", self.folder / "c.json"
        ).answer

    @cached_property
    def modules(self) -> Any:
        """The runtime modules, as printed."""
        return self.ask("run-daily-trend", "--print-runtime-modules").answer

    @cached_property
    def plan(self) -> Any:
        """The runtime plan with much of it said on the command line, as printed."""
        said = (
            "--risk-profile",
            "aggressive",
            "--strategy",
            "core_daily_trend",
            "--controller",
            "daily_trend_core",
            "--poll-seconds",
            "30",
        )
        return self.ask("run-daily-trend", "--environment", "paper", *WINDOW, *said, "--print-runtime-plan").answer

    @cached_property
    def smoke(self) -> Path:
        """A smoke run with an archive; the folder of its output."""
        out = self.folder / "smoke"
        kept = ("--paper-precheck-audit-dir", out / "prechecks", "--paper-smoke-summary-json", out / "n.json")
        rows = ("--paper-smoke-audit-log", out / "log.md", "--paper-smoke-json-log", out / "log.jsonl", "--paper-smoke-operator", "ewa")
        done = self.ask(*SMOKE, "--archive-smoke", "--smoke-output", out, *kept, *rows)
        assert done.code == 0, done.err
        return out

    @cached_property
    def session(self) -> Path:
        """A session on stored candles that ended after its first decision; the data folder it wrote, with the plan before it."""
        data = self.folder / "session"
        assert self.seeded.code == 0
        (data / "var").mkdir(parents=True)
        (data / "var" / "data").symlink_to(self.data / "var" / "data")
        flags = ("--run-once", "--runtime-plan-jsonl", data / "plan.jsonl", "--speed", "max", "--no-ui", "--metrics-port", "0")
        env = {"DECISION_LOG_HMAC_KEY": KEY}
        with Child(self.folder / "home", "run-daily-trend", *WINDOW, *flags, "--data-dir", data, env=env) as child:
            ended = child.end()
        assert ended.code == 0, ended.err
        return data

    @cached_property
    def fetched(self) -> Path:
        """A data folder with two months of BTC that are not made up, from another store."""
        store = ParquetCandleStore(self.folder / "elsewhere")
        store.write(DAYS, bars(DAYS, at("2024-01-01T00:00:00"), at("2024-03-01T00:00:00")), source="binance")
        data = self.folder / "fetched"
        asked = ("--symbol", "BTC_USDT", "--granularity", "1d", "--date-window", "2024-01-01:2024-02-29", "--from-store", store.root)
        assert self.ask("backfill", "-e", "paper", *asked, data=data).code == 0
        return data

    @cached_property
    def reported(self) -> Path:
        """The folder of that session's daily report, without the PDF."""
        done = self.ask("daily-report", "paper_binance", "--no-pdf", "--json", data=self.session)
        assert done.code == 0, done.err
        return Path(done.answer["package"]).parent

    @cached_property
    def preflight(self) -> dict[str, Any]:
        """The lines of the checklist before that session, by item."""
        return {line["item"]: line for line in self.ask("preflight", "--json").answer["items"]}

    @cached_property
    def scrape(self) -> str:
        """What a daemon that trades says to Prometheus."""
        data = self.folder / "scraped"
        with Child(self.folder / "scraping", "run", "-e", "demo", "--speed", "500000", "--metrics-port", 0, "--data-dir", data) as child:
            child.wait_for_line(" fill ")
            child.wait_for_line("equity")
            port = self.ask("status", "--json", data=data).answer["metrics_port"]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as page:
                found = page.read().decode()
            child.send(signal.SIGTERM)
            assert child.end().code == 0
        return str(found)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setitem(os.environ, name, value)
        yield
