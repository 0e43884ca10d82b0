"""Tampering of every class with journal, decision log and ledger, many times over, judged by both verifiers.

`pytest -m long -s tests/long/test_tamper_suite.py` prints one JSON document a kind; `DUDZIAN_TAMPER_N` (100) is the number of times a
class, each with and without `--allow-unsigned` and a head. All bits of the first, a middle and the last line are flipped one by one.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from dudzian_daemon.adapters.log_sources import Source
from dudzian_daemon.adapters.verify import Terms, verify_log
from tests.scenario.tampering import KINDS, NEED_A_HEAD, Evidence, cases, lines_of, tamper
from tests.scenario.verdicts import key, ours, theirs

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


def run(one: Evidence, name: str, seed: int) -> tuple[bool, str]:
    """Whether one tampering was found, and by both verifiers alike; else what they said."""
    tamper(name, Random(f"{name}{seed}"), one)
    unsigned = bool(seed % 2)
    with_head = (ours(one.path, one.heads, unsigned), theirs(one.path, one.heads, unsigned))
    alone = (ours(one.path, None, unsigned), theirs(one.path, None, unsigned))
    agreed = with_head[0] == with_head[1] and alone[0] == alone[1]
    # a key id that nobody has is not judged (3), which no one takes for intact
    found = with_head[0] in (1, 3) and (alone[0] in (1, 3) or name in NEED_A_HEAD or "head" in name)
    return found and agreed, f"{name} #{seed}: with head {with_head}, alone {alone}"


def flipped(one: Evidence) -> tuple[int, list[int]]:
    """Every bit of the first, a middle and the last line of the first log, in memory; how many, and the bits that passed."""
    log = b"".join(lines_of(one.logs[0][0]))
    ends = [match.end() for match in re.finditer(b"\n", log)]
    spans = [(begin, end) for begin, end in zip([0, *ends], ends, strict=False) if end in (ends[0], ends[len(ends) // 2], ends[-1])]
    passed, bits = [], 0
    for bit in (bit for begin, end in spans for bit in range(begin * 8, end * 8)):
        spoiled = bytearray(log)
        spoiled[bit // 8] ^= 1 << bit % 8
        report = verify_log(Source(label="log", stream=io.BytesIO(bytes(spoiled))), Terms(key=key))
        bits += 1
        if report.integrity == "intact" and not report.torn_bytes:
            passed.append(bit)
    return bits, passed


@pytest.mark.parametrize("kind", KINDS)
def test_all_is_found(tmp_path: Path, kind: str) -> None:
    times = int(os.environ.get("DUDZIAN_TAMPER_N", "100"))
    one = KINDS[kind](tmp_path)
    kept = one.kept()
    found: Counter[str] = Counter()
    missed: list[str] = []
    for name in cases(kind):
        for seed in range(times):
            good, told = run(one, name, seed)
            one.restore(kept)
            found[name] += good
            missed += [] if good else [told]
    bits, passed = flipped(one)
    report: dict[str, Any] = {"kind": kind, "classes": len(found), "n": times, "found": found.total(), "of": len(found) * times}
    sys.stdout.write(json.dumps({**report, "bits": bits, "bits_missed": len(passed), "missed": missed[:20]}) + "\n")
    assert (missed, passed) == ([], [])
