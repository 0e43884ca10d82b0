"""No false alarm and flat memory: a projection and a session of a million clean entries, verified with all checks.

    python benchmarks/clean_log.py [--entries 1000000]

Prints one JSON document: entries, verdict, entries per CPU second, MB/s, and how much the process grew while it verified.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import msgspec
from journal import cycles, entries

from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_format import LineSealer, encode, genesis
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_sources import find_logs
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.kernel.clock import SystemClock

KEY = SigningKey(id="benchmark", secret=b"k" * 32, source="benchmark")
TERMS = Terms(key=lambda _: KEY)
BATCH = 10_000


def projection(path: Path, count: int) -> Path:
    """`count` entries of W4's shape as a signed projection."""
    sealer = LineSealer("0" * 32, KEY)
    with path.open("wb") as file:
        file.write(sealer.seal(encode(genesis("benchmark", "0", signed=True, projection=True)), b"{}"))
        for begin in range(0, count, BATCH):
            made = entries(min(BATCH, count - begin))
            file.writelines(sealer.seal(encode({"kind": "decision", **msgspec.structs.asdict(entry)}), b"{}") for entry in made)
    return path


def session(root: Path, count: int) -> Path:
    """`count` cycles, every tenth of them with a signal."""
    journal = SessionJournal.create(root, "benchmark", KEY, clock=SystemClock())
    quiet, loud = cycles(BATCH, quiet=True), cycles(BATCH, quiet=False)
    for number in range(1, count + 1):
        record = (loud if number % 10 == 0 else quiet)[number % BATCH]
        journal.append(msgspec.structs.replace(record, sequence=number), wall={"started_ns": 1, "duration_ns": 2})
        if number % BATCH == 0:
            journal.flush_quiet()
            journal.commit_now()
    journal.flush_quiet()
    journal.commit_now()
    journal.abandon()
    return journal.folder


def judged(path: Path, count: int) -> dict[str, object]:
    """The verdict and its figures."""
    (source,) = find_logs(path)
    size = sum(each.stat().st_size for each in source.files)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    report = verify_log(source, TERMS)
    seconds = time.process_time() - began
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert report.integrity == "intact", report.finding
    assert report.cycles == count or report.entries == count + 1
    rates = {"entries_per_cpu_s": round(count / seconds), "mb_per_cpu_s": round(size / seconds / 1e6, 1)}
    return {
        "entries": count,
        "lines": report.entries,
        "mb": round(size / 1e6),
        "verdict": report.integrity,
        **rates,
        "rss_growth_mb": grown // 1024,
    }


def main() -> None:
    """Write, verify, print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--entries", type=int, default=1_000_000)
    count = options.parse_args().entries
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        report = {
            "projection": judged(projection(root / "projection.jsonl", count), count),
            "session": judged(session(root / "session", count), count),
        }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
