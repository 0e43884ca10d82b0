"""What lines of a session name by digest has to lie beside them, or nobody can run it again: both verifiers look for it."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec import structs

from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_format import OBJECTS_FOLDER
from dudzian_daemon.domain.market import Gap, WarmUp
from dudzian_daemon.testing.clock import ManualClock
from dudzian_daemon.trading.content import INLINE_INPUTS
from tests.scenario.tampering import OLD
from tests.scenario.verdicts import ours, theirs
from tests.unit.adapters.journal_samples import BTC, fill_cycle


@pytest.mark.parametrize("where", ["a plugin's source", "a module beside it", "rows of a warm-up", "rows in a frame"])
def test_what_a_line_names_has_to_be_there(tmp_path: Path, where: str) -> None:
    folder, digest = _naming(tmp_path, where)
    assert (ours(folder), theirs(folder)) == (0, 0)
    (folder / OBJECTS_FOLDER / digest).unlink()
    assert (ours(folder), theirs(folder)) == (1, 1)


@pytest.mark.parametrize("plugins", [1, {"a": 1}, {"a": {"sha256": {"x": 1}}}, {"a": {"sha256": "../objects"}}, {"a": {"modules": ["x"]}}])
def test_whatever_a_run_names_is_judged(tmp_path: Path, plugins: object) -> None:
    """Written so by whoever has the key."""
    folder = _session_of(tmp_path, {"plugins": plugins}, ())
    verdict = 0 if plugins == 1 else 1
    assert (ours(folder), theirs(folder)) == (verdict, verdict)


def _naming(root: Path, where: str) -> tuple[Path, str]:
    """A session's folder, and the name of an object that it needs there."""
    digest = sha256(where.encode()).hexdigest()
    facts = {"sha256": digest} if where == "a plugin's source" else {"sha256": sha256(b"").hexdigest(), "modules": {"beside.py": digest}}
    rows = WarmUp(1, BTC, "1h", 0, 1, 1, digest)
    filling = (Gap(1, BTC, "1h", 0, 1),) * INLINE_INPUTS
    inputs = {"rows of a warm-up": (rows,), "rows in a frame": (*filling, rows)}.get(where, ())
    folder = _session_of(root, {"plugins": {} if inputs else {"trend": facts}}, inputs)
    assert len(list(folder.glob("tape/*"))) == (where == "rows in a frame")
    for data in (b"", where.encode()):
        (folder / OBJECTS_FOLDER / sha256(data).hexdigest()).write_bytes(data)
    return folder, digest


def _session_of(root: Path, run: dict[str, Any], inputs: tuple[WarmUp | Gap, ...]) -> Path:
    journal = SessionJournal.create(root, "demo", OLD, clock=ManualClock())
    journal.put_object(b"")
    journal.append_entry("run", run, {})
    journal.append(structs.replace(fill_cycle(1), inputs=inputs), wall={})
    anyio.run(journal.close, "closed", {})
    return journal.folder
