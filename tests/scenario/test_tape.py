"""A session with more quotes between two cycles than a line takes: they stand on the tape, and whoever reads the session finds them."""

from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from dudzian_daemon.adapters.head_file import FILE_NAME, HeadFile
from dudzian_daemon.adapters.heads import Head
from dudzian_daemon.adapters.journal_format import segments
from dudzian_daemon.adapters.journal_reader import entries, latest_cycles, sessions
from dudzian_daemon.adapters.log_report import Integrity
from dudzian_daemon.adapters.log_sources import find_logs
from dudzian_daemon.adapters.tape import TAPE_FOLDER, frames_of
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.app.preparation import RunOptions, prepare
from dudzian_daemon.app.recovery import recover
from dudzian_daemon.app.reexecution.evidence_pack import pack
from dudzian_daemon.app.reexecution.recorded_log import LogOptions, find_recorded
from dudzian_daemon.app.reexecution.report import ReplayVerdict
from dudzian_daemon.domain.errors import IntegrityError
from dudzian_daemon.domain.market import SECOND_NS, Candle, Phase, Quote, Tick
from dudzian_daemon.testing.clock import ManualClock
from dudzian_daemon.trading.content import INLINE_INPUTS
from tests.docs.test_verify_standalone import STANDALONE
from tests.scenario.live_like import KEY, facts_of
from tests.scenario.recorded import play, replayed
from tests.scenario.test_reexecution import Home

ETH = "binance:ETH/USDT"
#: A quiet day of one instrument.
WINDOW = "        - {start: 2024-02-10, end: 2024-02-11, instruments: [ETH_USDT]}"
QUOTES = 150


def quotes_before(tick: Tick) -> Iterator[Tick]:
    """Three a second, up to twenty seconds before each close."""
    closes = [item for item in tick.inputs if isinstance(item, Candle) and item.instrument == ETH]
    for candle in closes[:1]:
        for number in range(QUOTES):
            instant = candle.instant - 70 * SECOND_NS + number * SECOND_NS // 3
            price = candle.open + number / 100
            yield Tick(instant, Phase.QUOTE, (Quote(instant, ETH, price, price + 0.5, 1.0, 2.0),))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("tape"), WINDOW)


@pytest.fixture(scope="module")
def session(home: Home) -> Path:
    return play(home.prepared, before=quotes_before, checkpoints={8})


def copy_of(session: Path, target: Path) -> Path:
    """A copy that may be spoilt."""
    target.mkdir(parents=True)
    copy = target / session.name
    copy.mkdir()
    for path in (path for path in session.rglob("*") if path.is_file()):
        (copy / path.relative_to(session)).parent.mkdir(exist_ok=True)
        (copy / path.relative_to(session)).write_bytes(path.read_bytes())
    return copy


def integrity(folder: Path) -> tuple[Integrity, str]:
    (source,) = find_logs(folder)
    report = verify_log(source, Terms(key=lambda _: KEY))
    return report.integrity, str(report.finding or "")


def test_inputs_beyond_the_limit_stand_on_the_tape_and_fewer_in_their_line(session: Path) -> None:
    named = [digest for path in segments(session) for entry in entries(path) for part in entry.parts() for digest in frames_of(part)]
    frames = sorted((session / TAPE_FOLDER).iterdir())
    assert len(named) > 10
    assert sorted({f"{digest}.gz" for digest in named}) == [path.name for path in frames]
    counts = set()
    for path in segments(session):
        for entry in entries(path):
            for cycle in entry.cycles():
                inline = json.loads(cycle.d)["inputs"]
                counts.add(len(cycle.record.inputs) > INLINE_INPUTS)
                assert (len(inline) == 1 and inline[0][0] == "frame") == (len(cycle.record.inputs) > INLINE_INPUTS)
                if cycle.record.inputs and inline[0][0] == "frame":
                    assert inline[0][1:] == [cycle.record.inputs[0].instant, inline[0][2], len(cycle.record.inputs)]
                    content = gzip.decompress((session / TAPE_FOLDER / f"{inline[0][2]}.gz").read_bytes())
                    assert content == msgspec.json.encode(cycle.record.inputs)
    assert counts == {True, False}


def test_it_replays_equal_and_verifies(session: Path) -> None:
    report = replayed(session)
    assert (report.verdict, report.difference, report.checkpoints) == (ReplayVerdict.EQUAL, None, 1)
    assert report.compared == report.cycles > 20
    assert integrity(session) == (Integrity.INTACT, "")
    assert STANDALONE.verify(session, KEY.secret)[0] == 0


def test_frames_are_the_same_bytes_in_every_session_of_the_same_inputs(home: Home, session: Path) -> None:
    other = play(home.prepared, before=quotes_before)
    frames = [{path.name: path.read_bytes() for path in (folder / TAPE_FOLDER).iterdir()} for folder in (session, other)]
    assert frames[0] == frames[1]


def test_a_session_goes_on_from_its_tape(home: Home, tmp_path: Path) -> None:
    data = tmp_path / "data"
    prepared = prepare(RunOptions(config=home.config, data_dir=data), {})
    folder = play(prepared, before=quotes_before, ticks=20)
    found = recover(prepared, sessions(data, prepared.artifact)[0], KEY, facts_of(prepared), lambda _: False, ManualClock())
    (last,) = latest_cycles(folder, 1)
    assert (found.chain.sequence, found.driver.core.sequence) == (last.record.sequence, last.record.sequence)
    next((folder / TAPE_FOLDER).iterdir()).unlink()
    with pytest.raises(IntegrityError, match="of the tape, which a cycle names, found none"):
        recover(prepared, sessions(data, prepared.artifact)[0], KEY, facts_of(prepared), lambda _: False, ManualClock())


@pytest.mark.parametrize("harm", ["missing", "altered", "cut", "another"])
def test_a_frame_that_is_not_what_it_was_is_named(session: Path, tmp_path: Path, harm: str) -> None:
    folder = copy_of(session, tmp_path / "copy")
    frame, other, *_ = sorted((folder / TAPE_FOLDER).iterdir())
    content = frame.read_bytes()
    if harm == "missing":
        frame.unlink()
    else:
        packed = gzip.compress(gzip.decompress(content).replace(b"quote", b"quota", 1), mtime=0)
        frame.write_bytes({"altered": packed, "cut": content[:-9], "another": other.read_bytes()}[harm])
    verdict, finding = integrity(folder)
    assert verdict is Integrity.TAMPERED
    assert frame.name.removesuffix(".gz") in finding
    assert STANDALONE.verify(folder, KEY.secret)[0] == 1
    report = replayed(folder)
    assert report.verdict is ReplayVerdict.TAMPERED
    assert frame.name.removesuffix(".gz") in report.reason
    with pytest.raises(IntegrityError, match=frame.name.removesuffix(".gz")):
        [cycle for path in segments(folder) for entry in entries(path) for cycle in entry.cycles()]


def test_the_evidence_has_the_tape(session: Path, tmp_path: Path) -> None:
    log = find_recorded(LogOptions(session=str(session)), {})
    manifest = pack(log, Terms(key=lambda _: KEY), tmp_path / "evidence.tar.gz")
    packed = {file.path for file in manifest.files}
    assert {f"data/journal/demo/{session.name}/{TAPE_FOLDER}/{path.name}" for path in (session / TAPE_FOLDER).iterdir()} <= packed


def test_the_evidence_has_the_heads_up_to_its_last_line(session: Path, tmp_path: Path) -> None:
    folder = copy_of(session, tmp_path / "copy")
    whole = [entry for path in segments(folder) for entry in entries(path)]
    file, sequence, heads = HeadFile(folder, KEY), 0, list[Head]()
    for entry in whole:
        sequence = max([sequence, *(cycle.record.sequence for cycle in entry.cycles())])
        seal = entry.seal
        heads.append(Head(log=session.name, line=seal.line, sequence=sequence, hash=entry.line_hash, content=seal.content, at=3))
    for head in (heads[-5], heads[-1]):
        file.write(head)
    target, log = tmp_path / "evidence.tar.gz", find_recorded(LogOptions(session=str(folder)), {})
    file.write(msgspec.structs.replace(heads[-1], line=heads[-1].line + 1))  # by a daemon that writes on meanwhile
    pack(log, Terms(key=lambda _: KEY), target)
    with tarfile.open(target) as tar:
        packed = tar.extractfile(f"evidence-{session.name}/data/journal/demo/{session.name}/{FILE_NAME}")
        assert packed is not None
        assert packed.read().splitlines() == (folder / FILE_NAME).read_bytes().splitlines()[:2]
