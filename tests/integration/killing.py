"""A session killed again and again while readers outside look on: what each of them saw must be in the journal that is left.

The roads by which something is acknowledged: the plain view on a pipe (a subscriber of the bus), figures over HTTP, the status
file, and replies to commands of the inbox. What one of them has told before the kill is compared with the journal right after it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from threading import Event
from typing import Any, Final
from urllib.request import urlopen

import msgspec
import psutil

from dudzian_daemon.adapters.journal_reader import latest_cycles
from dudzian_daemon.adapters.log_segments import files_here, number_of
from dudzian_daemon.kernel.clock import SystemClock
from dudzian_daemon.services.inbox import CommandFile, read_reply, send
from tests.integration.daemon_process import DEMO_WINDOWS, PATIENCE_S, cycles, daemon, journal_lines, report, write_config

#: One in so many lives ends while it begins.
DURING_START: Final = 10
#: The hours of the demo, and those of one instrument for when there is little time.
LONG: Final = DEMO_WINDOWS.strip("\n").splitlines()[-1]
BRIEF: Final = "        - {start: 2024-01-08, end: 2024-07-01, instruments: [ETH_USDT], granularity: 1h}"
#: Market seconds that the whole session has.
_MARKET_S: Final = 15_100_000
#: What a life takes beside its wait, many times over: the market must not be over before the last kill.
_ASKING_S: Final = 3.0
#: The lives that nobody cuts short may have most of the market before them.
_LAST_LIFE_S: Final = 900.0
_TRACED: Final = "run.recover=trace;run.assemble=trace"
_EQUITY: Final = re.compile(r"  equity +(?P<equity>[\d.]+), cycle (?P<sequence>\d+)$")
_FIGURE: Final = re.compile(r"^dudzian_journal_sequence (?P<sequence>[\d.e+]+)$", re.MULTILINE)
ROADS: Final = ("pipe", "http", "status", "command")


class Outcome(msgspec.Struct, kw_only=True):
    """Of a whole loop: `acknowledged` counts what was told by road, `lost` what of it the journal did not have after the kill."""

    kills: int = 0
    during_start: int = 0
    acknowledged: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(ROADS, 0))
    lost: int = 0
    doubled: int = 0
    tracebacks: int = 0
    content_chain_equal: bool = False
    projections_equal: bool = False
    #: Seconds from the look for a session to its state, by life that had one to go on with.
    recovery_s: list[float] = msgspec.field(default_factory=list)

    def percentile(self, part: float) -> float:
        """Of the recovery times."""
        ordered = sorted(self.recovery_s)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


class KillLoop:
    """One session in `home`/killed and the one that nobody kills in `home`/whole; `life_s` is the longest time before a kill."""

    def __init__(self, home: Path, *, kills: int, life_s: float, window: str = LONG, seed: int = 5) -> None:
        self._home = home / "killed"
        self._whole = home / "whole"
        self._random = Random(seed)
        self._life_s = life_s
        self._kills = kills
        self._speed = max(1_000, round(_MARKET_S / (kills * (life_s / 2 + _ASKING_S))))
        config = write_config(home, windows=(DEMO_WINDOWS, window))
        self._said = ("--config", config)
        self._told: Counter[str] = Counter()
        self._seen: dict[int, str] = {}
        self._clock = SystemClock()
        self.outcome = Outcome()

    @property
    def data(self) -> Path:
        """Of the session that is killed."""
        return self._home / "data"

    @property
    def whole(self) -> Path:
        """Data folder of the session that nobody killed."""
        return self._whole / "data"

    def run(self, *, seconds: float = float("inf")) -> Outcome:
        """All kills, or as many as there is time for; then the session is let go to its end, and compared."""
        with daemon(self._whole, *self._said, "--speed", "max") as child:
            whole = child.end(_LAST_LIFE_S)
            assert whole.code == 0, whole
        until = self._clock.monotonic_ns() + int(min(seconds, 1e9) * 1e9)
        for number in range(self._kills):
            if self._clock.monotonic_ns() > until:
                break
            self._life(during_start=number % DURING_START == 0)
        with daemon(self._home, *self._said, "--speed", "max") as child:
            ended = child.end(_LAST_LIFE_S)
            assert ended.code == 0, ended
        self._note(ended.out, ended.err)
        self._compare(whole.out)
        return self.outcome

    def _life(self, *, during_start: bool) -> None:
        outcome = self.outcome
        with daemon(self._home, *self._said, "--speed", self._speed, faults=_TRACED) as child:
            seen: dict[str, int] = {}
            if during_start:
                self._wait(self._random.uniform(0.0, 0.9))
            else:
                child.wait_for_line("equity")
                self._wait(self._random.uniform(0.0, self._life_s))
                seen = self._ask(answered=outcome.kills % 2 == 0)
            with suppress(psutil.NoSuchProcess):
                psutil.Process(child.pid).kill()
            ended = child.end()
            recovery_s = child.points.seconds_between("run.recover\n", "run.assemble\n")
        assert ended.code != 0, ended
        outcome.kills += 1
        outcome.during_start += during_start
        if recovery_s is not None and "goes on after cycle" in ended.out:
            outcome.recovery_s.append(recovery_s)
        self._note(ended.out, ended.err)
        self._judge(seen | self._left(ended.out))

    def _ask(self, *, answered: bool) -> dict[str, int]:
        """What HTTP tells, beside a command whose reply is waited for, or that may be hit by the kill while it is answered."""
        command_id = send(self.data, CommandFile("risk_state"))
        self._wait(self._random.uniform(0.0, 0.2))
        until = self._clock.monotonic_ns() + int(PATIENCE_S * 1e9)
        while answered and read_reply(self.data, command_id) is None:
            assert self._clock.monotonic_ns() < until, f"no reply to {command_id}"
            self._wait(0.01)
        port = (self.data / "run" / "metrics.port").read_text().strip()
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as answer:
            found = _FIGURE.search(answer.read().decode())
        return {"http": int(float(found["sequence"]))} if found is not None else {}

    def _left(self, out: str) -> dict[str, int]:
        """The newest cycle that the pipe, the status file and the replies speak of, and what they said of it."""
        found: dict[str, int] = {}
        for match in filter(None, map(_EQUITY.search, out.splitlines())):
            found["pipe"] = int(match["sequence"])
            self._seen[found["pipe"]] = match["equity"]
        path = self.data / "run" / "status.json"
        if path.exists() and (status := json.loads(path.read_bytes()))["sequence"]:
            found["status"] = status["sequence"]
            self._seen[status["sequence"]] = f"{float(status['equity']):.2f}"
        for reply in (json.loads(each.read_bytes()) for each in self.data.glob("run/inbox/replies/*.json")):
            if reply["accepted"]:
                found["command"] = max(reply["sequence"], found.get("command", 0))
        return found

    def _judge(self, seen: dict[str, int]) -> None:
        """Before anything starts again: does the journal have what was told?"""
        folders = list(self.data.glob("data/journal/*/*"))
        kept = latest_cycles(folders[0], 1) if folders else []
        last = kept[-1].record.sequence if kept else 0
        for road, sequence in seen.items():
            self.outcome.acknowledged[road] += 1
            self.outcome.lost += sequence > last

    def _note(self, out: str, err: str) -> None:
        self.outcome.tracebacks += err.count("Traceback")
        self._told.update(line for line in out.splitlines() if "  fill  " in line)

    def _wait(self, seconds: float) -> None:
        Event().wait(seconds)

    def _compare(self, whole_out: str) -> None:
        outcome = self.outcome
        told = {cycle["sequence"]: cycle for cycle in cycles(journal_lines(self.data))}
        count = sum(len(line["d"].get("cycles", [0])) for line in journal_lines(self.data) if line["d"]["kind"] in ("cycle", "quiet"))
        of_whole = Counter(line for line in whole_out.splitlines() if "  fill  " in line)
        outcome.doubled = count - len(told) + (self._told - of_whole).total()
        outcome.lost += len(set(range(1, len(told) + 1)) - told.keys())
        outcome.lost += sum(f"{float(told[sequence]['equity']):.2f}" != equity for sequence, equity in self._seen.items())
        outcome.content_chain_equal = report(self.data)["content_chain"] == report(self.whole)["content_chain"]
        outcome.projections_equal = projected(self.data) == projected(self.whole)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Of a file of JSON lines, without a torn one at its end."""
    for line in path.read_bytes().split(b"\n")[:-1]:
        yield json.loads(line)


def projected(data: Path) -> dict[str, list[Any]]:
    """What the projections say, without what names the log and the clock."""
    told: dict[str, list[Any]] = {}
    decisions = {path.name: files_here(path) for path in data.glob("logs/decision_journal/*.jsonl") if not number_of(path)}
    for name, files in (decisions | {path.name: [path] for path in data.glob("data/ledger/*/*.jsonl")}).items():
        members = [line["d"] for path in files for line in lines(path)]
        told[name] = [{**d, "session": "", "line_hash": ""} for d in members if "line_hash" in d]
    runs = list(lines(data / "audit" / "metrics" / "telemetry.jsonl"))
    told["telemetry"] = [(run["run_id"], run["sequence"], run["signals"], run["peak_portfolio_weight"]) for run in runs]
    return told
