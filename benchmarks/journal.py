"""W4: the signed journal. Append with raw chain, content chain and MAC; verification; group commit.

    python benchmarks/journal.py [--entries 200000] [--runs 5] [--syncs 300] [--write]

Prints one JSON document. Append and verify are medians of CPU seconds, in entries per CPU second, on W4's entry (13 fields,
about 345 bytes with its signature) and on cycles of a session; ratios are against `json.dumps` + `hmac.new` per entry with
one chain, written and verified. In W4 the chain is one of the 13 fields; ours stands in the seal, so `append_ratio_same_entry`
is against the same with our 13 fields and its chain. `hashing_us` is what the three hashes of a line take by themselves, `encoding_us`
the spelling of its `d`: together the floor of `append_us` (decision 0015). `wall` is entries per wall second with their syncs.
Goals: `append_ratio` >= 2.5, `verify_per_cpu_s` >= 250,000, `quiet_cycle_us` <= 6, `group_ratio` >= 10. `--write` keeps the
document as benchmarks/results/journal-<date>.json.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import hmac
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import measuring
import msgspec

from dudzian_daemon.adapters.chained_log import ChainedLog
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_format import Hmac, LineSealer, encode, genesis
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_sources import Source, find_logs
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.domain.market import Candle, OpenPrint
from dudzian_daemon.domain.orders import Intent, Signal
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.clock import SystemClock

KEY = SigningKey(id="benchmark", secret=b"k" * 32, source="benchmark")
TERMS = Terms(key=lambda _: KEY)
HOUR = 3_600_000_000_000


class Entry(msgspec.Struct, gc=False):
    """W4's entry."""

    seq: int
    ts: int
    env: str
    strategy: str
    symbol: str
    signal_id: str
    side: str
    qty: float
    price: float
    allowed: bool
    reason: str
    equity: float
    note: str


def entries(count: int) -> list[Entry]:
    """`count` of them."""
    return [
        Entry(
            number,
            1_700_000_000_000 + number,
            "paper",
            "trend",
            "BTC/USDT",
            f"s-{number:08d}",
            "buy",
            0.125,
            43_123.5 + number % 100,
            True,
            "ok",
            10_000.0 + number % 50,
            "n" * 64,
        )
        for number in range(count)
    ]


def cycles(count: int, *, quiet: bool) -> list[CycleRecord]:
    """Cycles of one schedule and one instrument: a close and an open print each, and a signal unless quiet."""
    made = []
    for number in range(1, count + 1):
        instant = 1_700_000_000_000_000_000 + number * HOUR
        price = 43_123.5 + number % 100
        candle = Candle(instant, "binance:BTC/USDT", "1h", instant, price, price + 9.5, price - 8.25, price + 1.5, 123.456)
        signal = Signal(instrument=candle.instrument, intent=Intent.ENTER, reason="breakout", id=f"s-{number}", instant=instant)
        made.append(
            CycleRecord(
                sequence=number,
                instant=instant,
                phase=2,
                due=("btc_trend_1h",),
                inputs=(OpenPrint(instant - HOUR, candle.instrument, "1h", price), candle),
                signals=() if quiet else (signal,),
                cash=Decimal("10000.12345678"),
                equity=Decimal("10010.5"),
            )
        )
    return made


def cpu_s(runs: int, *calls: tuple[Callable[[], Any], Callable[[Any], object]]) -> list[float]:
    """Median CPU seconds of each (prepare, call): `call` on what `prepare` makes anew, in turn, so that all meet the same neighbours."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(runs):
        for taken, (prepare, call) in zip(times, calls, strict=True):
            prepared = prepare()
            gc.collect()
            gc.freeze()  # what the benchmark itself keeps must not slow the collector down
            before = time.process_time()
            call(prepared)
            taken.append(time.process_time() - before)
            gc.unfreeze()
    return [statistics.median(taken) for taken in times]


def stdlib_append(made: list[dict[str, Any]]) -> list[bytes]:
    """One chain, one MAC an entry, with the standard library alone."""
    previous, lines = "", []
    for entry in made:
        body = json.dumps({**entry, "prev": previous}, separators=(",", ":")).encode()
        previous = hmac.new(KEY.secret, body, hashlib.sha256).hexdigest()
        lines.append(body[:-1] + b',"sig":"' + previous.encode() + b'"}\n')
    return lines


def stdlib_verify(lines: list[bytes]) -> None:
    """What belongs to `stdlib_append`."""
    previous = ""
    for line in lines:
        entry = json.loads(line)
        signature = entry.pop("sig")
        body = json.dumps(entry, separators=(",", ":")).encode()
        assert entry["prev"] == previous
        previous = hmac.new(KEY.secret, body, hashlib.sha256).hexdigest()
        assert hmac.compare_digest(previous, signature)


def our_append(made: list[Entry]) -> list[bytes]:
    """Both chains and the MAC on the same entries."""
    sealer, link = LineSealer("0" * 32, KEY), bytes(32)
    lines = []
    for entry in made:
        d = encode(entry)
        link = sha256(link + d).digest()
        lines.append(sealer.seal(d, b"{}", link.hex()))
    return lines


def hashes_alone(made: list[tuple[bytes, bytes]]) -> None:
    """What `our_append` hashes, and nothing else: content link, MAC and raw hash of a line."""
    mac, link, previous = Hmac(KEY.secret), bytes(32), ""
    for d, line in made:
        link = sha256(link + d).digest()
        mac.hexdigest(line[:-76])
        previous = sha256(line).hexdigest()
    assert previous


def spelling_alone(made: list[Entry]) -> None:
    """What `our_append` spells as `d`, and nothing else."""
    for entry in made:
        encode(entry)


def projection(made: list[Entry]) -> bytes:
    """The same entries as a projection that can be verified."""
    sealer = LineSealer("0" * 32, KEY)
    lines = [sealer.seal(encode(genesis("benchmark", "0", signed=True, projection=True)), b"{}")]
    kinds = [encode({"kind": "decision", **msgspec.structs.asdict(entry)}) for entry in made]
    return b"".join(lines + [sealer.seal(d, b"{}") for d in kinds])


def verified(source: Source) -> None:
    """The log is intact, or the benchmark is worthless."""
    report = verify_log(source, TERMS)
    assert report.integrity == "intact", report


def appended(journal: SessionJournal, records: list[CycleRecord]) -> None:
    """As the session does it, with four wall members."""
    for record in records:
        journal.append(record, wall={"started_at": 1_700_000_000.25, "finished_at": 1_700_000_000.5, "host": "benchmark", "pid": 4711})
    journal.flush_quiet()


def group_commit(folder: Path, made: list[Entry], size: int, syncs: int) -> float:
    """Entries per wall second when `size` of them share a sync."""
    log = ChainedLog.create(folder / f"group-{size}.jsonl", "0" * 32, KEY)

    async def write() -> float:
        before = time.perf_counter()
        for sync in range(syncs):
            for entry in made[sync * size : (sync + 1) * size]:
                log.append(encode(entry), b"{}")
            await log.commit()
        return syncs * size / (time.perf_counter() - before)

    rate = anyio.run(write)
    log.release()
    return rate


def bare_syncs(folder: Path, line: bytes, syncs: int) -> float:
    """Syncs per wall second of the disk itself, a line each."""
    descriptor = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT, 0o600)
    sync = getattr(os, "fdatasync", os.fsync)
    before = time.perf_counter()
    for _ in range(syncs):
        os.write(descriptor, line)
        sync(descriptor)
    rate = syncs / (time.perf_counter() - before)
    os.close(descriptor)
    return rate


def session_figures(folder: Path, count: int, runs: int) -> dict[str, float]:
    """Append and verification of a session's cycles, quiet ones and ones with a signal."""
    figures: dict[str, float] = {}
    for name, quiet in (("quiet_cycle", True), ("signal_cycle", False)):
        records = cycles(count, quiet=quiet)
        journals: list[SessionJournal] = []

        def new(made: list[SessionJournal] = journals) -> SessionJournal:
            made.append(SessionJournal.create(folder, "benchmark", KEY, clock=SystemClock()))
            return made[-1]

        (seconds,) = cpu_s(runs, (new, lambda journal, made=records: appended(journal, made)))
        anyio.run(journals[-1].close, "closed", {})
        (source,) = find_logs(journals[-1].folder)
        figures[f"{name}_us"] = round(seconds / count * 1e6, 2)
        figures[f"{name}_bytes"] = round(journals[-1].path.stat().st_size / count)
        (seconds,) = cpu_s(runs, (lambda made=source: made, verified))
        figures[f"{name}_verify_per_cpu_s"] = round(count / seconds)
        figures[f"{name}_verify_mb_per_cpu_s"] = round(journals[-1].path.stat().st_size / seconds / 1e6, 1)
        for journal in journals:
            journal.abandon()
    return figures


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--entries", type=int, default=200_000)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--syncs", type=int, default=300)
    options.add_argument("--write", action="store_true")
    given = options.parse_args()
    load = os.getloadavg() if hasattr(os, "getloadavg") else ()
    report = measured(given.entries, given.runs, given.syncs)
    document = measuring.heading("journal") | {"load_before": load} | report
    print(json.dumps(document, indent=2))
    if given.write:
        measuring.keep(document)


def measured(count: int, runs: int, syncs: int) -> dict[str, Any]:
    """All figures."""
    made = entries(count)
    same = [msgspec.structs.asdict(entry) for entry in made]
    dicts = [{name: value for name, value in entry.items() if name != "note"} for entry in same]
    hashed = [(encode(entry), line.rstrip()) for entry, line in zip(made, our_append(made), strict=True)]
    theirs, theirs_same, ours, hashing, encoding = cpu_s(
        runs,
        (lambda: dicts, stdlib_append),
        (lambda: same, stdlib_append),
        (lambda: made, our_append),
        (lambda: hashed, hashes_alone),
        (lambda: made, spelling_alone),
    )
    lines, log = stdlib_append(dicts), projection(made)
    theirs_verify, ours_verify = cpu_s(
        runs, (lambda: lines, stdlib_verify), (lambda: Source(label="projection", stream=io.BytesIO(log)), verified)
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = session_figures(folder, count, runs)
        bare = bare_syncs(folder, lines[0], syncs)
        single, group = group_commit(folder, made, 1, syncs), group_commit(folder, made, 64, min(syncs, count // 64))
    return {
        "entries": count,
        "entry_bytes": {"stdlib": len(lines[-1]), "ours": len(our_append(made[-1:])[0]), "ours_d": len(encode(made[-1]))},
        "stdlib_append_per_cpu_s": round(count / theirs),
        "append_per_cpu_s": round(count / ours),
        "append_ratio": round(theirs / ours, 2),
        "append_ratio_same_entry": round(theirs_same / ours, 2),
        "append_us": round(ours / count * 1e6, 2),
        "hashing_us": round(hashing / count * 1e6, 2),
        "encoding_us": round(encoding / count * 1e6, 2),
        "stdlib_verify_per_cpu_s": round(count / theirs_verify),
        "verify_per_cpu_s": round(count / ours_verify),
        "verify_mb_per_cpu_s": round(len(log) / ours_verify / 1e6, 1),
        "verify_ratio": round(theirs_verify / ours_verify, 2),
        **figures,
        "wall": {"bare_sync": round(bare), "commit_1": round(single), "commit_64": round(group)},
        "group_ratio": round(group / single, 1),
    }


if __name__ == "__main__":
    main()
