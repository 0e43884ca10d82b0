"""The verifier that the documents hand to strangers: it needs the standard library alone, and its verdicts are ours on all tampering."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.log_report import Integrity
from dudzian_daemon.adapters.log_sources import find_logs
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.testing.clock import ManualClock
from tests.scenario.recorded import resealed
from tests.unit.adapters.journal_samples import KEY, OTHER_KEY, small_session, write_session

SCRIPT = Path(__file__).parents[2] / "docs" / "reference" / "verify_standalone.py"
CODES = {Integrity.INTACT: 0, Integrity.TAMPERED: 1, Integrity.KEY_MISSING: 3} | dict.fromkeys(
    (Integrity.UNREADABLE, Integrity.NOT_A_LOG, Integrity.OTHER_KEY), 2
)

Lines = list[bytes]


def loaded() -> Any:
    spec = spec_from_file_location("verify_standalone", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STANDALONE = loaded()


def ours(path: Path, **terms: Any) -> int:
    """Exit code of `verify-decision-log`."""
    (source,) = find_logs(path)
    report = verify_log(source, Terms(key=lambda _id: KEY, **terms))
    return 4 if report.integrity is Integrity.INTACT and report.torn_bytes else CODES[report.integrity]


def both(path: Path) -> tuple[int, int]:
    """Our verdict, and the stranger's."""
    return ours(path), STANDALONE.verify(path, KEY.secret)[0]


def respelled(line: bytes) -> bytes:
    return line.replace(b'{"d":{', b'{"d": {', 1)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_session(tmp_path / "root", small_session(), flush_every=3)


TAMPERED: dict[str, Callable[[Lines], Lines]] = {
    "deleted": lambda lines: [*lines[:3], *lines[4:]],
    "first deleted": lambda lines: lines[1:],
    "swapped": lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]],
    "doubled": lambda lines: [*lines[:4], lines[3], *lines[4:]],
    "moved": lambda lines: [*lines[:2], *lines[3:5], lines[2], *lines[5:]],
    "respelled": lambda lines: [*lines[:3], respelled(lines[3]), *lines[4:]],
    "empty line": lambda lines: [*lines[:3], b"\n", *lines[3:]],
    "no json": lambda lines: [*lines[:3], b"{]\n", *lines[4:]],
    "behind closed": lambda lines: [*lines, lines[-1]],
    "torn behind closed": lambda lines: [*lines, b"{"],
    "stripped": lambda lines: [*lines[:3], lines[3][:-76] + b"}}\n", *lines[4:]],
    "member twice": lambda lines: [*lines[:3], lines[3].replace(b'"w":', b'"w":{},"w":', 1), *lines[4:]],
    "amount": lambda lines: [line.replace(b'"price":"100.55"', b'"price":"100.54"') for line in lines],
    "nan": lambda lines: [*lines[:3], lines[3].replace(b"100.5", b"NaN"), *lines[4:]],
    "not utf-8": lambda lines: [*lines[:3], lines[3].replace(b"demo", b"d\xffmo").replace(b"cycle", b"cycl\xff", 1), *lines[4:]],
    "nested": lambda lines: [*lines[:3], b"[" * 100_000 + b"\n", *lines[4:]],
}
OTHER: dict[str, tuple[int, Callable[[Lines], Lines]]] = {
    "intact": (0, lambda lines: lines),
    "tail cut": (0, lambda lines: lines[:-2]),
    "torn": (4, lambda lines: [*lines[:-1], lines[-1][:40]]),
    "empty": (2, lambda _lines: []),
    "only torn": (2, lambda lines: [lines[0][:30]]),
}


@pytest.mark.parametrize(("code", "change"), [*((1, each) for each in TAMPERED.values()), *OTHER.values()], ids=[*TAMPERED, *OTHER])
def test_same_verdict(log: Path, code: int, change: Callable[[Lines], Lines]) -> None:
    log.write_bytes(b"".join(change(log.read_bytes().splitlines(keepends=True))))
    assert both(log.parent) == both(log) == (code, code)


@pytest.mark.parametrize(("number", "step"), [(1, 1), (3, 4), (5, 4)])
def test_every_byte_of_a_line_counts(log: Path, number: int, step: int) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    for at in range(0, len(lines[number]) - 1, step):
        edited = lines[number][:at] + bytes([lines[number][at] ^ 1]) + lines[number][at + 1 :]
        log.write_bytes(b"".join([*lines[:number], edited]))
        assert both(log) == (1, 1), at


def test_keys_and_signatures(log: Path, tmp_path: Path) -> None:
    assert STANDALONE.verify(log, OTHER_KEY.secret)[0] == 1
    assert STANDALONE.verify(log, None)[0] == 3
    assert STANDALONE.verify(log, KEY.secret, "another")[0] == ours(log, expected_key_id="another") == 2
    unsigned = write_session(tmp_path / "unsigned", small_session(), None)
    assert STANDALONE.verify(unsigned, None)[0] == ours(unsigned) == 1
    assert STANDALONE.verify(unsigned, None, allow_unsigned=True)[0] == ours(unsigned, allow_unsigned=True) == 0
    mixed = unsigned.read_bytes().splitlines(keepends=True)[:3] + log.read_bytes().splitlines(keepends=True)[3:]
    unsigned.write_bytes(b"".join(mixed))
    assert STANDALONE.verify(unsigned, KEY.secret, allow_unsigned=True)[0] == ours(unsigned, allow_unsigned=True) == 1


def test_places(log: Path, tmp_path: Path) -> None:
    """A packed file, a folder of another name, an object that is not what it is called."""
    packed = tmp_path / "copy.jsonl.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    assert both(packed) == (0, 0)
    packed.write_bytes(packed.read_bytes()[:-20])
    assert both(packed) == (1, 1)
    objects = log.parent / "objects"
    objects.mkdir(exist_ok=True)
    (objects / ("0" * 64)).write_text("other")
    assert both(log.parent) == (1, 1)
    (objects / ("0" * 64)).unlink()
    assert both(log.parent) == (0, 0)
    assert both(log.parent.rename(log.parent.with_name("f" * 32))) == (1, 1)


@pytest.mark.parametrize("content", [b"operator:x:0:0\n" * 3, b"{}\n", b"\n\n", b"{"])
def test_what_is_no_log_is_not_called_tampered(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "accounts"
    path.write_bytes(content)
    assert both(path) == (2, 2)
    path.write_bytes(content + b'\n{"d":{"kind":"genesis"}}\n')
    assert both(path) == (1, 1)


def test_checkpoints(tmp_path: Path) -> None:
    journal = SessionJournal.create(tmp_path, "demo", KEY, clock=ManualClock())
    for record in small_session():
        journal.append(record, wall={})
    journal.append_checkpoint(b'{"cash":"1.0"}', "test")
    anyio.run(journal.close, "closed", {})
    assert both(journal.folder) == (0, 0)
    assert both(resealed(journal.folder, tmp_path / "same", lambda d: d, KEY)) == (0, 0)

    def later(d: dict[str, Any]) -> dict[str, Any]:
        return {**d, "sequence": d["sequence"] + 1} if d["kind"] == "checkpoint" else d

    assert both(resealed(journal.folder, tmp_path / "later", later, KEY)) == (1, 1)


@pytest.mark.parametrize("value", [0.1, 1.0, -0.0, 1e-5, 0.00012345, 9.9e-6, 1e15, 1e16, 1.5e300, 5e-324, 123456789.125, 2.5e-5])
def test_doubles_are_spelled_as_the_format_says(value: float) -> None:
    assert STANDALONE.spell(value) == msgspec.json.encode(value).decode()


def test_it_runs_alone(log: Path, tmp_path: Path) -> None:
    key = tmp_path / "risk.key"
    key.write_text(KEY.secret.hex() + "\n")

    def run(*arguments: object) -> tuple[int, str]:
        done = subprocess.run([sys.executable, "-I", "-S", SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.returncode, done.stdout

    code, told = run(log.parent, "--key-file", key)
    assert (code, told.startswith(f"intact: {log.parent}: ")) == (0, True)
    assert run(log.parent)[0] == 3
    log.write_bytes(log.read_bytes()[:-3])
    code, told = run(log.parent, log, "--key-file", key)
    assert (code, told.count("torn tail: ")) == (4, 2)
