"""`dudzian cycles`: a session's cycles and their summary, from its journal alone, with the figures that AutoTrader shows inside."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from dudzian_daemon.adapters.journal_format import OBJECTS_FOLDER, segments
from dudzian_daemon.api.auto_trader import AutoTrader
from dudzian_daemon.api.embedding import bootstrap_environment
from dudzian_daemon.cli.main import main
from dudzian_daemon.domain.market import Command, WarmUp
from dudzian_daemon.domain.orders import OrderResult, OrderStatus, Side
from dudzian_daemon.domain.records import CycleRecord, StrategyChange
from tests.integration.daemon_process import cycles as recorded
from tests.integration.daemon_process import daemon, journal_lines, session_folder, short_config
from tests.unit.adapters.journal_samples import BTC, quiet_cycle, small_session, write_session


def cycles(*arguments: object) -> int:
    try:
        main(["cycles", *map(str, arguments)])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.fixture(scope="module")
def sessions() -> dict[str, Path]:
    """Filled by the first test that needs a session: one is enough for all, and it takes a second to make."""
    return {}


@pytest.fixture
def home(sessions: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    if "home" not in sessions:
        home = tmp_path_factory.mktemp("session")
        with daemon(home, "--config", short_config(home), "--speed", "max") as child:
            assert child.end().code == 0
        sessions["home"] = home
    return sessions["home"]


@pytest.fixture
def known(home: Path) -> list[dict[str, Any]]:
    return recorded(journal_lines(home / "data"))


def test_the_last_ten_as_text(home: Path, known: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert cycles("--data-dir", home / "data") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split()[0]) for line in lines] == [cycle["sequence"] for cycle in known[-10:]]
    assert all("  equity " in line for line in lines)


@pytest.mark.parametrize("count", [0, 1, 25, 100_000])
def test_as_many_as_wanted_as_json(home: Path, known: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], count: int) -> None:
    assert cycles("--data-dir", home / "data", "--json", "-n", count) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [entry["cycle"] for entry in answer] == (known[-count:] if count else [])
    assert {entry["log_id"] for entry in answer} <= {session_folder(home / "data").name}
    assert all(entry["wall"]["duration_ns"] >= 0 for entry in answer)


def test_eventful_ones_only(home: Path, known: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert cycles("--data-dir", home / "data", "--eventful", "-n", 1000, "--json") == 0
    shown = [entry["cycle"]["sequence"] for entry in json.loads(capsys.readouterr().out)]
    happened = ("signals", "results", "fills", "risk", "strategies", "faults")
    assert shown == [cycle["sequence"] for cycle in known if any(cycle.get(name) for name in happened) or cycle["phase"] in (0, 1)]
    assert 0 < len(shown) < len(known)
    assert cycles("--data-dir", home / "data", "--eventful") == 0
    assert "fill sell" in capsys.readouterr().out


def test_a_session_by_the_beginning_of_its_id(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log_id = session_folder(home / "data").name
    assert cycles("--data-dir", home / "data", "--session", log_id[:6], "-n", 1) == 0
    assert cycles("--data-dir", home / "data", "--session", "zz", "-n", 1) == 2
    assert f"known: {log_id}; start one with: dudzian run --environment demo" in capsys.readouterr().err


def test_where_no_session_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cycles("--data-dir", tmp_path) == 2
    assert (
        capsys.readouterr().err
        == f"dudzian: no session of demo below {tmp_path}; known: none; start one with: dudzian run --environment demo\n"
    )
    assert list(tmp_path.iterdir()) == []


# -- what a line tells ---------------------------------------------------------------------------------------------


def happening(sequence: int, **members: Any) -> CycleRecord:
    return msgspec.structs.replace(quiet_cycle(sequence), **members)


def order(status: OrderStatus, code: str | None = None) -> OrderResult:
    return OrderResult(
        order_id="o", signal_id="s", strategy="trend", instrument=BTC, side=Side.BUY, status=status, quantity=Decimal(1), code=code
    )


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({}, "quiet"),
        (
            {
                "phase": 0,
                "inputs": (Command(1, "c1", "suspend", {"strategy": "trend"}),),
                "strategies": (StrategyChange(strategy="trend", change="suspended", reason="operator"),),
            },
            "command suspend strategy=trend; strategy trend suspended (operator)",
        ),
        (
            {"phase": 0, "inputs": (Command(1, "c2", "stop", {"reason": "operator", "close_positions": "yes"}),)},
            "command stop reason=operator close_positions=yes",
        ),
        (
            {"strategies": (StrategyChange(strategy="trend", change="quarantined", reason="faults"),)},
            "strategy trend quarantined (faults)",
        ),
        ({"results": (order(OrderStatus.CANCELLED, "stopped"),)}, f"order {BTC} cancelled stopped"),
        ({"results": (order(OrderStatus.ACCEPTED),)}, f"order {BTC} accepted"),
        ({"phase": 1, "inputs": (WarmUp(1, BTC, "1h", 0, 1, 1, "0" * 64),)}, "warm-up"),
        ({"phase": 1}, "revision"),
    ],
)
def test_nothing_that_happened_is_called_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], members: dict[str, Any], told: str
) -> None:
    write_session(tmp_path, [happening(1, **members)])
    assert cycles("--data-dir", tmp_path) == 0
    assert capsys.readouterr().out.partition("  equity 10000.50  ")[2] == f"{told}\n"


# -- a journal that is not as it was written -----------------------------------------------------------------------


def test_a_journal_that_is_gone_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_session(tmp_path, small_session())
    (path.parent / OBJECTS_FOLDER).mkdir()  # as every session has whose first line was written
    for spoil, found in ((lambda: path.write_bytes(b""), f"no whole line in {path.name}"), (path.unlink, "none")):
        spoil()
        for arguments in ((), ("--json",), ("--summary",)):
            assert cycles("--data-dir", tmp_path, *arguments) == 2
            answer = capsys.readouterr()
            expected = f"session {path.parent.name}: expected its journal as <date>-000001.jsonl in {path.parent}, found {found}; "
            assert (answer.out, answer.err) == ("", f"dudzian: {expected}--session shows another one\n")


@pytest.mark.parametrize("arguments", [(), ("--since", "1970-01-01"), ("--eventful",)])
@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (b'"price":"100.55"', b'"price":"100.54"', 4),
        (b'"equity":"10000.5"', b'"equity":"10000.6"', 5),
        (b'"started_at":0.5', b'"started_at":0.6', 6),
    ],
)
def test_a_changed_digit_is_warned_of_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], old: bytes, new: bytes, line: int
) -> None:
    path = write_session(tmp_path, small_session())
    assert cycles("--data-dir", tmp_path, *arguments) == 0
    assert capsys.readouterr().err == ""
    lines = path.read_bytes().splitlines(keepends=True)
    assert old in lines[line - 1]
    path.write_bytes(b"".join([*lines[: line - 1], lines[line - 1].replace(old, new), *lines[line:]]))
    assert cycles("--data-dir", tmp_path, *arguments) == 0
    answer = capsys.readouterr()
    assert answer.out.count("\n") >= 2
    assert answer.err.startswith(f"dudzian: line {line} of {path} is not what was written: ")
    assert answer.err.endswith(f"; run: dudzian verify-decision-log {path.parent}\n")
    assert answer.err.count("\n") == 1


def test_missing_lines_and_files_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_session(tmp_path, small_session())
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4] + lines[5:]))
    assert cycles("--data-dir", tmp_path) == 0
    assert capsys.readouterr().err.startswith(f"dudzian: line 5 of {path} is missing; run: ")
    path.write_bytes(b"".join(lines))
    split(path.parent, 3)
    path.unlink()
    assert cycles("--data-dir", tmp_path) == 0
    assert capsys.readouterr().err.startswith("dudzian: the first 1 of the session's files are missing ")


# -- by time -------------------------------------------------------------------------------------------------------


def sequences(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[int]:
    assert cycles("--json", *arguments) == 0
    return [entry["cycle"]["sequence"] for entry in json.loads(capsys.readouterr().out)]


def split(folder: Path, parts: int) -> None:
    """Make several segments of a session's one, as a longer session has them."""
    (path,) = segments(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    step = len(lines) // parts + 1
    for number in range(parts):
        path.with_name(f"{path.name[:10]}-{number + 1:06d}.jsonl").write_bytes(b"".join(lines[number * step : (number + 1) * step]))


def test_between_two_instants_both_included(home: Path, known: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    first, last = known[40], known[60]
    wanted = [each["sequence"] for each in known if first["instant"] <= each["instant"] <= last["instant"]]
    since, until = (datetime.fromtimestamp(each["instant"] // 10**9, UTC).isoformat() for each in (first, last))
    span = ("--data-dir", home / "data", "--since", since, "--until", until)
    assert len(wanted) > 20
    assert sequences(capsys, *span) == wanted
    assert sequences(capsys, *span, "--reverse") == wanted[::-1]
    assert sequences(capsys, *span, "-n", 3) == wanted[-3:]
    assert sequences(capsys, "--data-dir", home / "data", "--since", known[-1]["instant"] // 10**9 + 3600) == []


def test_a_session_of_several_segments_is_read_as_one(
    home: Path, known: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = session_folder(home / "data")
    copy = shutil.copytree(folder, tmp_path / folder.relative_to(home / "data"))
    split(copy, 5)
    assert len(segments(copy)) == 5
    for number in range(0, len(known), len(known) // 7):
        since = known[number]["instant"] / 10**9
        wanted = [each["sequence"] for each in known if each["instant"] >= known[number]["instant"]]
        assert sequences(capsys, "--data-dir", tmp_path, "--since", since) == wanted


def test_between_two_wall_times(home: Path, known: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert cycles("--data-dir", home / "data", "--json", "-n", len(known)) == 0
    walls = [entry["wall"] for entry in json.loads(capsys.readouterr().out)]
    ended = [round((wall["started_ns"] + wall["duration_ns"]) / 1e9 * 1e6) for wall in walls]
    wanted = [each["sequence"] for each, end in zip(known, ended, strict=True) if ended[10] <= end <= ended[20]]
    span = ("--since", ended[10] / 1e6, "--until", ended[20] / 1e6)
    assert sequences(capsys, "--data-dir", home / "data", "--by", "wall", *span) == wanted
    assert sequences(capsys, "--data-dir", home / "data", *span) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "yesterday"), "expected a time as 2024-01-31T12:00:00Z (UTC) or in epoch seconds, found 'yesterday'"),
        (("--until", "nan"), "expected a datetime or epoch seconds of the years 1 to 9999, found nan"),
        (("--since", "1e300"), "expected a datetime or epoch seconds of the years 1 to 9999, found 1e+300"),
        (("--since", "2024-02-02", "--until", "2024-02-01"), "expected --since before --until, found 2024-02-02 and 2024-02-01"),
        (("--by", "clock"), "by: expected instant or wall, found 'clock'"),
    ],
)
def test_a_time_that_is_none_is_refused(home: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str) -> None:
    assert cycles("--data-dir", home / "data", *arguments) == 2
    assert capsys.readouterr().err == f"dudzian: {said}\n"


# -- summary -------------------------------------------------------------------------------------------------------


class Embedded(NamedTuple):
    """A session that ran in this process, and the folder it left."""

    data: Path
    auto_trader: AutoTrader


@pytest.fixture(scope="module")
def run_once() -> dict[str, Embedded]:
    """Filled by the first test that needs it."""
    return {}


@pytest.fixture
def embedded(run_once: dict[str, Embedded], tmp_path_factory: pytest.TempPathFactory) -> Embedded:
    if not run_once:
        home = tmp_path_factory.mktemp("embedded")
        with bootstrap_environment(config=short_config(home), data_dir=home / "data") as session:
            session.auto_trader.set_controller_cycle_history_limit(None)
            session.advance(lambda _: False)
        run_once["run"] = Embedded(home / "data", session.auto_trader)
    return run_once["run"]


def test_a_summary_has_the_figures_that_auto_trader_has_inside(embedded: Embedded, capsys: pytest.CaptureFixture[str]) -> None:
    start = embedded.auto_trader.get_controller_cycle_history(limit=200)[0]
    spans: list[tuple[tuple[object, ...], dict[str, Any]]] = [
        ((), {}),
        (("--limit", 50), {"limit": 50}),
        (("--limit", 0), {"limit": 0}),
        (("--since", start["instant"] // 10**9), {"since": start["instant"] // 10**9}),
        (("--by", "wall"), {"by": "wall"}),
        (("--by", "wall", "--until", start["finished_at"]), {"by": "wall", "until": start["finished_at"]}),
    ]
    totals = []
    for arguments, span in spans:
        assert cycles("--data-dir", embedded.data, "--summary", "--json", *arguments) == 0
        outside = json.loads(capsys.readouterr().out)
        inside = embedded.auto_trader.summarize_controller_cycle_history(**span)
        assert len(outside.pop("log_id")) == 32
        assert outside == inside
        totals.append(inside["total"])
    assert totals[0] > totals[3] >= 200 > totals[1] == 50
    assert totals[2] == 0
    assert totals[4] == totals[0]


def test_a_list_has_the_cycles_that_auto_trader_has_inside(embedded: Embedded, capsys: pytest.CaptureFixture[str]) -> None:
    assert cycles("--data-dir", embedded.data, "--json", "-n", 100_000) == 0
    outside = [entry["cycle"] for entry in json.loads(capsys.readouterr().out)]
    inside = json.loads(msgspec.json.encode(embedded.auto_trader.get_controller_cycle_history()))
    assert [each["sequence"] for each in inside] == [each["sequence"] for each in outside]
    for name in ("signals", "results"):
        assert [each[name] for each in inside] == [each.get(name, []) for each in outside]


def test_a_summary_for_people(home: Path, known: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert cycles("--data-dir", home / "data", "--summary") == 0
    text = capsys.readouterr().out
    results = [result for cycle in known for result in cycle.get("results", [])]
    assert f"cycles       {len(known)}, number 1 to {len(known)}\n" in text
    assert f"orders       {len({each['order_id'] for each in results})}, in {len(results)} changes: accepted " in text
    assert text.splitlines()[2] == "instant      2024-02-01 00:00:00 to 2024-03-01 00:00:00 UTC"


def test_a_summary_of_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cycles("--data-dir", home / "data", "--summary", "--limit", 0) == 0
    assert capsys.readouterr().out.splitlines() == [f"session      {session_folder(home / 'data').name}", "cycles       0"]
    assert cycles("--data-dir", home / "data", "--limit", 0) == 0
    assert capsys.readouterr().out == ""
