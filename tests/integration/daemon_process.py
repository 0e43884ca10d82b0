"""A real daemon in a child process: its own home, data folder and fault points. Every wait is a blocking read with an end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from io import StringIO
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, Any, NamedTuple, Self

import psutil

from dudzian_daemon.adapters.journal_format import segments
from dudzian_daemon.adapters.keychain import SigningKey, read_key_file
from dudzian_daemon.adapters.log_report import LogReport
from dudzian_daemon.adapters.log_segments import number_of
from dudzian_daemon.adapters.log_sources import find_logs
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.market import DAY_NS
from dudzian_daemon.kernel.clock import SystemClock
from tests.integration import later_daemon

#: How long a child may keep a test waiting before the test fails and says what the child has said.
PATIENCE_S = 120.0
LAST_LINE = "Shutdown complete"
#: In a home: by how many days the clock of its machine is ahead, for `later_daemon`.
CLOCK = "clock"
DEMO_WINDOWS = bundled("config").joinpath("core.yaml").read_text(encoding="utf-8").partition("      windows:\n")[2].partition("\n    d")[0]
#: A month of one instrument by the hour: some ten round trips, a fraction of a second at full speed.
SHORT_WINDOWS = "        - {start: 2024-02-01, end: 2024-03-01, instruments: [ETH_USDT], granularity: 1h}"
#: A change of `short_config` for a session beside which commands run: at `--speed 100000` it lasts two minutes, trades after two seconds.
LASTING = (SHORT_WINDOWS, SHORT_WINDOWS.replace("2024-03-01", "2024-07-01"))
#: A change of the demo: BTC by the day from two days before it is bought; held for three months, which `HOLDING` makes 46 s.
HELD = (DEMO_WINDOWS, DEMO_WINDOWS.strip("\n").splitlines()[0].replace("2020-10-15", "2020-10-20"))
HOLDING = ("--speed", 172_800)
FIRST_FILL = "fill       trend      buy BTC/USDT"
#: A change of the configuration: a run that leaves no package of its day, for tests that make their own.
NO_PACKAGE = ("version: 1\n", "version: 1\nreporting: {package_at_stop: false}\n")
#: What the stages of a stop may take, and what they may take here: on a busy machine a stage that works is no stage that hangs.
BUDGETS = "budgets_seconds: {feed: 1, cycle: 2, close_positions: 2, sinks: 2, report: 10, adapters: 1}"
LONG_BUDGETS = "budgets_seconds: {feed: 60, cycle: 60, close_positions: 60, sinks: 60, report: 60, adapters: 60}"


class Ended(NamedTuple):
    """What is left of a child: exit code, and all it wrote."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """The last line on stdout, empty if there is none."""
        return self.out.splitlines()[-1] if self.out else ""


class Lines:
    """Lines of a stream as they come; a thread reads them, so that the child never waits for the test."""

    def __init__(self, stream: IO[str] | None) -> None:
        self.seen: list[str] = []
        self._came: list[int] = []
        self._clock = SystemClock()
        self._stream = StringIO() if stream is None else stream
        self._queue: SimpleQueue[str | None] = SimpleQueue()
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait_for(self, text: str) -> str:
        """The next line that contains `text`. Raises `EOFError` if the stream ends before, `queue.Empty` if nothing comes for long."""
        while (line := self._queue.get(timeout=PATIENCE_S)) is not None:
            if text in line:
                return line
        msg = f"ended without {text!r}"
        raise EOFError(msg)

    def skip(self) -> None:
        """Leave out what has come: the next wait is for a line to come."""
        while not self._queue.empty():
            self._queue.get()

    def rest(self) -> str:
        """All lines there were, once the stream has ended."""
        self._thread.join(PATIENCE_S)
        return "".join(self.seen)

    def seconds_between(self, first: str, second: str) -> float | None:
        """Between the arrivals of these two lines, None where one of them did not come."""
        came = dict(zip(self.seen, self._came, strict=False))
        return (came[second] - came[first]) / 1e9 if {first, second} <= came.keys() else None

    def _read(self) -> None:
        with self._stream:
            for line in self._stream:
                self._came.append(self._clock.monotonic_ns())
                self.seen.append(line)
                self._queue.put(line)
        self._queue.put(None)


class Child:
    """`dudzian <arguments>` in a process of its own; the points it passes come through a FIFO, as `kernel.faults` traces them."""

    def __init__(
        self,
        home: Path,
        *arguments: object,
        faults: str = "",
        env: Mapping[str, str] | None = None,
        stdout: int = subprocess.PIPE,
        program: tuple[str, ...] = (),
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._trace = home / f"trace-{len(list(home.glob('trace-*')))}"
        points, self._held_open = _fifo(self._trace)
        variables = {"DUDZIAN_FAULTS": faults, "DUDZIAN_FAULTS_TRACE": str(self._trace)} if faults else {}
        self._process = subprocess.Popen(
            [sys.executable, *(program or _program(home)), *map(str, arguments)],
            cwd=home,
            env=child_environment(home) | variables | dict(env or {}),
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )
        if stdout >= 0:
            os.close(stdout)
        self.out, self.err, self.points = Lines(self._process.stdout), Lines(self._process.stderr), Lines(os.fdopen(points))
        self.when_ended: Callable[[Child], object] | None = None
        self._reaper = Thread(target=self._reap, daemon=True)
        self._reaper.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_for_line(self, text: str) -> str:
        """Wait until it writes a line with `text` to stdout; returns the line."""
        return self._wait(self.out, text)

    def wait_for_log(self, text: str) -> str:
        """The next line on stderr that contains `text`."""
        return self._wait(self.err, text)

    def wait_for_point(self, name: str) -> None:
        """Wait until it comes to the fault point `name`."""
        self._wait(self.points, f"{name}\n")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def go_on(self) -> None:
        """End every pause, those to come included."""
        Path(f"{self._trace}.go").touch()

    def end(self, patience_s: float = PATIENCE_S) -> Ended:
        """Wait for its end; no process of its may be left."""
        code = self._process.wait(patience_s)
        self._reaper.join(PATIENCE_S)
        return Ended(code, self.out.rest(), self.err.rest())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self.end()

    def _wait(self, lines: Lines, text: str) -> str:
        try:
            return lines.wait_for(text)
        except (EOFError, Empty) as error:
            with suppress(ProcessLookupError):
                self._process.kill()
            said = "".join([*self.points.seen, *self.out.seen, *self.err.seen])
            msg = f"waited for {text!r}: {error!r}; the child said:\n{said}"
            raise AssertionError(msg) from None

    def _reap(self) -> None:
        self._process.wait()
        os.close(self._held_open)
        if self.when_ended is not None:
            self.when_ended(self)


if sys.platform == "win32":

    def _fifo(path: Path) -> tuple[int, int]:
        raise NotImplementedError

else:

    def _fifo(path: Path) -> tuple[int, int]:
        """Both ends of a new FIFO: whoever reads it gets no end of file before the second one is closed."""
        os.mkfifo(path)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        writing = os.open(path, os.O_WRONLY)
        os.set_blocking(reading, True)
        return reading, writing


def child_environment(home: Path) -> dict[str, str]:
    """The test's environment (see tests/conftest.py) with a home of its own, and byte code kept, as on a machine of an operator."""
    own = {name: str(home / name.lower()) for name in os.environ if name.startswith("XDG_")}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | own | {"HOME": str(home)}


def _program(home: Path) -> tuple[str, ...]:
    clock = home / CLOCK
    return (later_daemon.__file__, clock.read_text(encoding="utf-8")) if clock.exists() else ("-m", "dudzian_daemon")


def dudzian(home: Path, *arguments: object, faults: str = "", env: Mapping[str, str] | None = None) -> Ended:
    """Run one command to its end."""
    with Child(home, *arguments, faults=faults, env=env) as child:
        return child.end()


def daemon(home: Path, *arguments: object, faults: str = "", env: Mapping[str, str] | None = None, stdout: int = subprocess.PIPE) -> Child:
    """`dudzian run` on the data folder `home`/data with a free metrics port; `stdout` is a descriptor to write to, closed here."""
    return Child(home, "run", "--data-dir", home / "data", "--metrics-port", 0, *arguments, faults=faults, env=env, stdout=stdout)


def write_config(home: Path, **changes: tuple[str, str]) -> Path:
    """The bundled configuration in `home`/config with each (old, new) text exchanged, and long budgets for a stop unless one is theirs."""
    folder = shutil.copytree(bundled("config"), home / "config")
    path = folder / "core.yaml"
    text = path.read_text(encoding="utf-8")
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text.replace(BUDGETS, LONG_BUDGETS), encoding="utf-8")
    return path


def short_config(home: Path, **changes: tuple[str, str]) -> Path:
    """A demo that is over soon and opens no port, on a machine where it is noon: at midnight UTC its logs would go on in new files."""
    home.mkdir(parents=True, exist_ok=True)
    (home / CLOCK).write_text(str(0.5 - SystemClock().wall_ns() / DAY_NS % 1), encoding="utf-8")
    port = ("metrics_service: {", "metrics_service: {enabled: false, ")
    return write_config(home, windows=(DEMO_WINDOWS, SHORT_WINDOWS), port=port, **changes)


def verdicts(home: Path) -> list[LogReport]:
    """What the verifier says of every session and of the decision log below `home`/data, with the key of `home`."""
    secret = read_key_file(next(home.rglob("*.key")))
    terms = Terms(key=lambda key_id: SigningKey(id=key_id, secret=secret, source="test"))
    data = home / "data"
    decisions = [path for path in data.glob("logs/decision_journal/*.jsonl") if not number_of(path)]
    places = [*data.glob("data/journal/*/*"), *decisions]
    return [verify_log(source, terms) for place in sorted(places) for source in find_logs(place)]


def session_folder(folder: Path) -> Path:
    """That of the one session below the data folder."""
    (found,) = folder.glob("data/journal/*/*/")
    return found


def journal_file(folder: Path) -> Path:
    """The file of the one session below the data folder that is written last: a run across midnight UTC has others before it."""
    return segments(session_folder(folder))[-1]


def journal_bytes(folder: Path) -> bytes:
    """All that the one session below the data folder has written."""
    return b"".join(path.read_bytes() for path in segments(session_folder(folder)))


def journal_lines(folder: Path) -> list[dict[str, Any]]:
    """Its lines, taken apart."""
    return [json.loads(line) for line in journal_bytes(folder).splitlines()]


def cycles(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Member `d` of all cycles in journal lines, those that share a line included."""
    return [cycle for line in lines for cycle in (line["d"].get("cycles") or [line["d"]]) if line["d"]["kind"] in ("cycle", "quiet")]


def report(folder: Path) -> dict[str, Any]:
    """The one session report below the data folder."""
    (path,) = folder.glob("data/reports/sessions/*.json")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def tree(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Digest, mode and time of change of every file and folder below `folder`."""
    return {
        str(path.relative_to(folder)): (
            sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
    }


def processes_on(folder: Path) -> list[int]:
    """Processes whose command line names `folder`."""
    words = {process.pid: process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])}
    return [pid for pid, command in words.items() if any(str(folder) in word for word in command)]
