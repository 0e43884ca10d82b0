"""Memory and stalls of a live paper daemon: `python benchmarks/live.py [--seconds 60] [--markets 3500] [--output FILE]`.

Goals: 170 MB resident with ccxt and pyarrow; no callback of the loop longer than 400 ms before the daemon is ready, 100 ms after.

The real daemon runs as a child against a loopback exchange in another process, which lists so many markets and lacks one that is wanted:
then the venue cannot filter, and all of them are parsed. Once it is ready, `dudzian backfill` fills the same store beside it. Every
callback of the daemon's loop is timed; one that is long holds up everything else, be it by work, by the collector, or for want of the
interpreter's lock.
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic_ns, sleep, thread_time_ns
from typing import Any, Final

import psutil

from dudzian_daemon.testing.exchange_market import MARKETS, Market

MB: Final = 1_000_000
EXTRAS: Final = ("numpy", "pandas")
ENVIRONMENT: Final = "binance_paper"
LACKING: Final = "LTC"
#: Only callbacks of at least so long are noted, and looked at while they run, in ms.
NOTED_MS: Final = 5.0
LOOKED_AT_MS: Final = 50.0


def serve(markets: int) -> None:
    """The exchange, until it is ended; says its address."""
    import anyio

    from dudzian_daemon.testing.exchange import LoopbackExchange

    async def run() -> None:
        listed = [market for market in MARKETS if market.base != LACKING]
        listed += [Market(base=f"X{number:04}", price=100.0) for number in range(markets - len(listed))]
        async with LoopbackExchange(markets=listed) as exchange:
            sys.stdout.write(f"{exchange.url}\n")
            sys.stdout.flush()
            await anyio.sleep_forever()

    anyio.run(run)


def daemon(stalls: str, arguments: list[str]) -> None:
    """`dudzian` with every callback of its loop timed; the long ones are written to a file at the end: [monotonic ns, ms, what, CPU ms]."""
    noted: list[tuple[int, float, str, float]] = []
    running: dict[str, int] = {"since": 0}
    seen: dict[int, str] = {}
    run, loops_thread = asyncio.Handle._run, threading.get_ident()

    def timed(handle: asyncio.Handle) -> None:
        if threading.get_ident() != loops_thread:  # markets are parsed in a loop of their own, in a worker thread
            run(handle)
            return
        began, cpu = monotonic_ns(), thread_time_ns()
        running["since"] = began
        run(handle)
        running["since"] = 0
        spent_ms = (monotonic_ns() - began) / 1e6
        if spent_ms >= NOTED_MS:
            noted.append((began, spent_ms, seen.pop(began, ""), (thread_time_ns() - cpu) / 1e6))

    def look() -> None:
        """Where the loop is when a callback has taken a while."""
        main_thread = threading.main_thread().ident
        while True:
            sleep(0.02)
            since = running["since"]
            if since and monotonic_ns() - since > LOOKED_AT_MS * 1e6 and since not in seen:
                frames = traceback.extract_stack(sys._current_frames()[main_thread or 0])
                seen[since] = " < ".join(f"{Path(each.filename).name}:{each.name}" for each in frames[:-6:-1])

    threading.Thread(target=look, daemon=True).start()

    sys.modules.update(dict.fromkeys(EXTRAS))  # not there after a plain install; pyarrow would load them
    asyncio.Handle._run = timed
    atexit.register(lambda: Path(stalls).write_text(json.dumps(noted)))
    from dudzian_daemon.cli.main import main as command

    command(arguments)


def measure(seconds: float, markets: int) -> dict[str, Any]:
    """One run."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        env = {**os.environ, "HOME": folder, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
        server = subprocess.Popen([sys.executable, __file__, "--serve", str(markets)], stdout=subprocess.PIPE, text=True, env=env)
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        data = ["-e", ENVIRONMENT, "--data-dir", str(home / "data"), "--base-url", url]
        try:
            return _measured(home, env, data, seconds)
        finally:
            server.terminate()
            server.wait()


def _measured(home: Path, env: dict[str, str], data: list[str], seconds: float) -> dict[str, Any]:
    line = [sys.executable, __file__, "--daemon", str(home / "stalls"), "run", *data, "--no-ui", "--metrics-port", "0"]
    with (home / "log").open("w") as log, subprocess.Popen(line, env=env, stdout=log, stderr=log) as child:
        ready_ns, filling = _ready(home, child), _backfill(home, env, data)
        process, most = psutil.Process(child.pid), 0
        until = monotonic_ns() + round(seconds * 1e9)
        while monotonic_ns() < until:
            most = max(most, process.memory_info().rss)
            sleep(0.5)
        filled = filling.poll()
        filling.terminate()
        filling.wait()
        child.send_signal(signal.SIGTERM)
        child.wait()
    noted = json.loads((home / "stalls").read_text())
    before, after = ([each for each in noted if (each[0] < ready_ns) is early] for early in (True, False))
    stopped_ns = until
    return {
        "rss_mb": round(most / MB, 1),
        "backfill": "ended" if filled == 0 else "went on" if filled is None else f"exit {filled}",
        "stall_ms_before_ready": _longest(before),
        "stall_ms_after": _longest([each for each in after if each[0] < stopped_ns]),
    }


def _longest(noted: list[list[Any]]) -> dict[str, Any]:
    longest = sorted(noted, key=lambda each: -each[1])
    return {
        "max": round(longest[0][1], 1) if longest else 0.0,
        "longest": [f"{each[1]:.1f} ms, {each[3]:.1f} of it CPU: {each[2]}" for each in longest[:5]],
    }


def _ready(home: Path, child: subprocess.Popen[bytes]) -> int:
    """Monotonic ns at which the daemon first said that it is ready."""
    port = home / "data" / "run" / "metrics.port"
    while child.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{int(port.read_text())}/readyz", timeout=5):
                return monotonic_ns()
        except (FileNotFoundError, ValueError, urllib.error.URLError):
            sleep(0.05)
    raise SystemExit((home / "log").read_text())


def _backfill(home: Path, env: dict[str, str], data: list[str]) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "dudzian_daemon", "backfill", *data, "--granularity", "1h", "--since", "2020-01-01"]
    with (home / "backfill.out").open("w") as out:
        return subprocess.Popen(line, env=env, stdout=out, stderr=out)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="after it is ready")
    parser.add_argument("--markets", type=int, default=3500)
    parser.add_argument("--output", type=Path)
    said = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    head = {"benchmark": "live", "date": datetime.now(UTC).date().isoformat(), "commit": commit, "python": sys.version.partition(" ")[0]}
    text = json.dumps({**head, "markets": said.markets, "seconds": said.seconds, **measure(said.seconds, said.markets)}, indent=2) + "\n"
    sys.stdout.write(text)
    if said.output is not None:
        said.output.write_text(text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(int(sys.argv[2]))
    elif sys.argv[1:2] == ["--daemon"]:
        daemon(sys.argv[2], sys.argv[3:])
    else:
        main()
