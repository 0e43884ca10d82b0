"""`dudzian replay` and `dudzian evidence pack`: what they take and print, and their exit codes, on a session of the daemon."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import signal
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from dudzian_daemon.adapters.chained_log import ChainedLog
from dudzian_daemon.adapters.keychain import SigningKey, read_key_file
from dudzian_daemon.cli.main import main
from tests.integration.daemon_process import (
    SHORT_WINDOWS,
    cycles,
    daemon,
    dudzian,
    journal_bytes,
    journal_file,
    journal_lines,
    session_folder,
    short_config,
)
from tests.scenario.recorded import resealed
from tests.scenario.verdicts import STANDALONE

WINDOW = "        - {start: 2024-02-10, end: 2024-02-12, instruments: [ETH_USDT]}"


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    def call(*arguments: object) -> Done:
        code: object = 0
        try:
            main([*map(str, arguments)])
        except SystemExit as ended:
            code = ended.code or 0
        captured = capsys.readouterr()
        assert isinstance(code, int)
        assert "Traceback" not in captured.err
        return Done(code, captured.out, captured.err)

    return call


class Played:
    """A home in which the daemon has played one session to its end."""

    def __init__(self, home: Path) -> None:
        self.config = short_config(home, window=(SHORT_WINDOWS, WINDOW))
        self.data = home / "data"
        with daemon(home, "--config", self.config, "--speed", "max", "--no-ui") as child:
            assert child.end().code == 0
        self.folder = session_folder(self.data)
        self.count = len(cycles(journal_lines(self.data)))
        (self.key_file,) = home.rglob("*.key")

    @property
    def key(self) -> tuple[object, ...]:
        """Flags that give the key."""
        return ("--hmac-key-file", self.key_file)

    @property
    def signer(self) -> SigningKey:
        """The key itself."""
        return SigningKey(id="risk-ci", secret=read_key_file(self.key_file), source="test")


@pytest.fixture(scope="module")
def homes() -> list[Played]:
    """Filled by the first test that needs it: one session is enough for all."""
    return []


@pytest.fixture
def played(homes: list[Played], tmp_path_factory: pytest.TempPathFactory) -> Played:
    if not homes:
        homes.append(Played(tmp_path_factory.mktemp("replay")))
    return homes[0]


# -- replay ------------------------------------------------------------------------------------------------------------


def test_without_verify_it_tells_what_the_session_did_and_needs_no_key(run: Callable[..., Done], played: Played) -> None:
    done = run("replay", "--data-dir", played.data, "--config", played.config)
    assert (done.code, done.err) == (0, "")
    head, first = done.out.splitlines()[:2]
    assert head == f"log           {played.folder}: {len(journal_lines(played.data))} lines, closed; not proved, see --verify"
    assert first.startswith("run 1         from cycle 1 on, dudzian ")
    told = run("replay", played.folder, "--json").document
    (report,) = played.data.glob("data/reports/sessions/*.json")
    assert told["report"] == json.loads(report.read_text(encoding="utf-8"))  # what the daemon itself said of it
    assert (told["schema"], told["commands"]) == ("dudzian.session_summary/1", {"end_of_data": 1})


def test_equal_is_0(run: Callable[..., Done], played: Played) -> None:
    done = run("replay", "--verify", *played.key, "--data-dir", played.data, "--config", played.config)
    lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert lines[:2] == [f"session       {played.folder.name} (closed), {played.folder}", "seals         intact, signed by risk-ci"]
    assert lines[2].endswith(f"demo: equal, {played.count} of {played.count} cycles")
    assert re.match(
        rf"re-executed   {played.count} of {played.count} cycles and \d+ checkpoint\(s\), 2\.0 days in [\d.]+ s: [\d,]+ times", lines[3]
    )
    assert lines[4].startswith("verdict       equal, content chain ")
    told = run("replay", played.folder, "--verify", *played.key, "--json").document
    assert (told["schema"], told["verdict"], told["compared"], told["difference"]) == ("dudzian.replay/1", "equal", played.count, None)
    assert told["market_seconds"] > 50 * told["seconds"]


@pytest.mark.parametrize("spelling", ["id", "beginning", "folder", "file", "artifact", "newest", "data folder"])
def test_a_session_is_found_by(run: Callable[..., Done], played: Played, spelling: str) -> None:
    names = {"id": played.folder.name, "beginning": played.folder.name[:7], "folder": played.folder, "artifact": "demo", "newest": "newest"}
    names |= {"file": journal_file(played.data), "data folder": played.data}
    done = run("replay", names[spelling], "--json", "--data-dir", played.data)
    assert (done.code, done.document["log_id"]) == (0, played.folder.name)


def test_a_packed_copy_of_its_file_is_read(run: Callable[..., Done], played: Played, tmp_path: Path) -> None:
    shutil.copytree(played.folder / "objects", tmp_path / "objects")
    copy = tmp_path / "copy.jsonl.gz"
    copy.write_bytes(gzip.compress(journal_bytes(played.data)))
    assert run("replay", copy, "--verify", *played.key).code == 0


def test_what_is_no_session_is_2_in_one_line(run: Callable[..., Done], played: Played, tmp_path: Path) -> None:
    done = run("replay", "zz", "--data-dir", played.data)
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f"found no session for 'zz' below {played.data / 'data/journal'}; known: {played.folder.name} (demo)\n")
    assert run("replay", "--data-dir", tmp_path).code == 2
    projection = played.data / "logs" / "decision_journal" / "demo.jsonl"
    assert run("replay", projection).code == run("replay", projection, "--verify", *played.key).code == 2
    (tmp_path / "text.jsonl").write_text("{}\n")
    done = run("replay", tmp_path / "text.jsonl")
    assert (done.code, done.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("kept", [1, 2, None])
def test_a_session_without_a_cycle_has_nothing_to_replay(
    run: Callable[..., Done], played: Played, tmp_path: Path, kept: int | None
) -> None:
    """Stopped, or killed, before its first cycle: intact, as the verifiers say; and a loop over sessions goes on."""
    folder = shutil.copytree(played.folder, tmp_path / played.folder.name)
    (folder / "heads.log").unlink()  # they tell of more
    (path,) = folder.glob("*.jsonl")
    if kept is None:
        log = ChainedLog.resume(first_lines(path, 2), played.signer)
        log.append(b'{"kind":"closed","reason":"test"}', b"{}")
        log.commit_now()
        log.release()
    else:
        first_lines(path, kept)
    assert run("verify-decision-log", folder, *played.key).code == 0
    assert STANDALONE.verify(folder, played.signer.secret)[0] == 0
    done = run("replay", folder, "--verify", *played.key)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "verdict       nothing to replay: 0 cycles"
    told = run("replay", folder, "--verify", *played.key, "--json").document
    assert (told["verdict"], told["cycles"], len(told["runs"])) == ("nothing_to_replay", 0, 0 if kept == 1 else 1)
    path.write_bytes(path.read_bytes().replace(b"demo", b"demp", 1))
    assert run("replay", folder, "--verify", *played.key).code == 1


def first_lines(path: Path, count: int) -> Path:
    """The log, cut to its first lines."""
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:count]))
    return path


def test_without_its_key_it_says_so(run: Callable[..., Done], played: Played) -> None:
    done = run("replay", played.folder, "--verify")
    assert done.code == 3
    assert done.out.endswith("verdict       key missing: signed by key risk-ci, which is not on this machine; give it by --hmac-key-file\n")


def test_a_log_of_another_key_than_the_expected_one_is_not_executed(run: Callable[..., Done], played: Played) -> None:
    done = run("replay", played.folder, "--verify", "--expected-key-id", "risk-other", *played.key)
    assert done.code == 2
    assert done.out.endswith("verdict       other key: signed by key risk-ci, which is not the expected one; it was not judged\n")
    told = run("replay", played.folder, "--verify", "--expected-key-id", "risk-other", *played.key, "--json").document
    assert (told["verdict"], told["compared"]) == ("other_key", 0)


def test_what_is_no_log_is_not_executed(run: Callable[..., Done], played: Played, tmp_path: Path) -> None:
    (tmp_path / "text.jsonl").write_text('{"some": "text"}\n', encoding="utf-8")
    done = run("replay", tmp_path / "text.jsonl", "--verify", *played.key)
    assert (done.code, "verdict       unreadable: " in done.out) == (2, True)


def test_a_byte_that_was_changed_is_found_before_anything_is_executed(run: Callable[..., Done], played: Played, tmp_path: Path) -> None:
    folder = shutil.copytree(played.folder, tmp_path / played.folder.name)
    (path,) = folder.glob("*.jsonl")
    path.write_bytes(path.read_bytes().replace(b'"kind":"cycle"', b'"kind":"cycla"', 1))
    done = run("replay", folder, "--verify", *played.key)
    assert (done.code, "verdict       tampered: " in done.out, "re-executed" in done.out) == (1, True, False)


def test_a_difference_is_1_and_names_both_values(run: Callable[..., Done], played: Played, tmp_path: Path) -> None:
    key = SigningKey(id="risk-ci", secret=read_key_file(played.key_file), source="test")

    def change(d: dict[str, Any]) -> dict[str, Any]:
        if d["kind"] != "run":
            return d
        return {**d, "config": {**d["config"], "paper_trading": {**d["config"]["paper_trading"], "taker_fee": "0.0007"}}}

    folder = resealed(played.folder, tmp_path, change, key)
    done = run("replay", folder, "--verify", *played.key)
    assert done.code == 1
    named = next(line for line in done.out.splitlines() if "fills[0].fee:" in line)
    assert named.startswith('              fills[0].fee: recorded "')
    assert ", replayed " in named
    told = run("replay", folder, "--verify", *played.key, "--json").document
    assert (told["verdict"], told["difference"]["sequence"]) == ("differs", told["compared"] + 1)


def test_a_run_of_another_package_is_skipped_only_when_that_is_allowed(run: Callable[..., Done], played: Played, tmp_path: Path) -> None:
    key = SigningKey(id="risk-ci", secret=read_key_file(played.key_file), source="test")
    other = {"version": "0.0.9", "sha256": "ab" * 32}
    folder = resealed(played.folder, tmp_path, lambda d: {**d, "package": other} if d["kind"] == "run" else d, key)
    done = run("replay", folder, "--verify", *played.key)
    assert (done.code, f"not re-executed: needs dudzian 0.0.9, package {'ab' * 32}" in done.out) == (1, True)
    assert run("replay", folder, "--verify", *played.key, "--allow-skipped").code == 0


@pytest.mark.integration
def test_a_session_with_an_operator_in_it_that_a_service_manager_stopped_midway_is_equal(run: Callable[..., Done], tmp_path: Path) -> None:
    config = short_config(tmp_path)
    where = ("--data-dir", tmp_path / "data")
    with daemon(tmp_path, "--config", config, "--speed", 20_000) as child:
        child.wait_for_line("fill ")
        assert dudzian(tmp_path, "strategy", "suspend", "core_daily_trend", *where).code == 0
        assert dudzian(tmp_path, "risk", "kill-switch", "on", *where).code == 0
        assert dudzian(tmp_path, "strategy", "resume", "core_daily_trend", *where).code == 0
        child.send(signal.SIGTERM)
        assert child.end().code == 0
    made = cycles(journal_lines(tmp_path / "data"))
    named = [item[3] for cycle in made for item in cycle["inputs"] if item[0] == "command"]
    assert named[:3] == ["suspend", "kill_switch", "resume"]
    (key_file,) = tmp_path.rglob("*.key")
    told = run("replay", *where, "--verify", "--hmac-key-file", key_file, "--json").document
    assert (told["verdict"], told["compared"]) == ("equal", len(made))
    assert told["completeness"] != "closed"


@pytest.mark.integration
def test_a_session_that_was_killed_and_went_on_under_other_rules_is_equal_run_by_run(run: Callable[..., Done], tmp_path: Path) -> None:
    config = short_config(tmp_path)
    with daemon(tmp_path, "--config", config, "--speed", 20_000) as child:
        child.wait_for_line("fill ")
        psutil.Process(child.pid).kill()
        assert child.end().code != 0
    config.write_text(config.read_text().replace("taker_fee: 0.0006", "taker_fee: 0.0009"))
    with daemon(tmp_path, "--config", config, "--speed", "max", "--no-ui", "--accept-change") as child:
        assert child.end().code == 0
    (key_file,) = tmp_path.rglob("*.key")
    told = run("replay", "--data-dir", tmp_path / "data", "--verify", "--hmac-key-file", key_file, "--json").document
    assert (told["verdict"], told["completeness"]) == ("equal", "closed")
    assert [each["verdict"] for each in told["runs"]] == ["equal", "equal"]
    assert all(each["compared"] for each in told["runs"])
    assert told["compared"] == told["cycles"] == len(cycles(journal_lines(tmp_path / "data")))


# -- evidence ----------------------------------------------------------------------------------------------------------


def test_a_pack_proves_itself_in_another_place(run: Callable[..., Done], played: Played, tmp_path: Path) -> None:
    pack = tmp_path / "evidence.tar.gz"
    done = run("evidence", "pack", "newest", "-o", pack, *played.key, "--data-dir", played.data, "--config", played.config)
    assert (done.code, done.err) == (0, "")
    assert pack.stat().st_mode & 0o777 == 0o600
    with tarfile.open(pack) as archive:
        archive.extractall(tmp_path, filter="data")
    root = tmp_path / f"evidence-{played.folder.name}"
    manifest = json.loads((root / "manifest.json").read_text())
    assert {each["path"]: each["sha256"] for each in manifest["files"]} == {
        str(path.relative_to(root)): sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    assert manifest["last_hash"] == sha256(journal_bytes(played.data).splitlines()[-1]).hexdigest()
    assert (manifest["schema"], manifest["seals"], manifest["runs"][0]["config"]) == ("dudzian.evidence/1", "intact", "config-1.json")
    assert read_key_file(played.key_file).hex().encode() not in b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())
    assert not any(str(played.data) in path.read_text(errors="replace") for path in root.glob("*.*"))
    assert run("verify-decision-log", root, *played.key).code == 0
    assert run("replay", root, "--verify", *played.key).code == 0
    assert f"dudzian {manifest['packed_by']}" in (root / "README.md").read_text()


def test_equal_sessions_make_equal_packs_and_the_key_is_not_needed(run: Callable[..., Done], played: Played, tmp_path: Path) -> None:
    one, other = tmp_path / "one.tar.gz", tmp_path / "other.tar.gz"
    for pack in (one, other):
        done = run("evidence", "pack", played.folder, "-o", pack)
        assert (done.code, "seals not proved here: key risk-ci is not on this machine" in done.out) == (0, True)
    assert one.read_bytes() == other.read_bytes()


def test_an_open_session_is_packed_up_to_its_last_whole_line(run: Callable[..., Done], played: Played, tmp_path: Path) -> None:
    folder = shutil.copytree(played.folder, tmp_path / "open" / played.folder.name)
    (folder / "heads.log").unlink()  # they tell of more than there will be
    (path,) = folder.glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    whole = len(lines) // 2
    path.write_bytes(b"".join(lines[:whole]) + lines[whole][:50])
    manifest = run("evidence", "pack", folder, "-o", tmp_path / "e.tar.gz", *played.key, "--json").document
    assert (manifest["lines"], manifest["last_hash"]) == (whole, sha256(lines[whole - 1][:-1]).hexdigest())
    with tarfile.open(tmp_path / "e.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    assert run("replay", tmp_path / f"evidence-{folder.name}", "--verify", *played.key).code == 0


def test_a_session_that_was_cut_back_below_its_own_heads_is_neither_executed_nor_packed(
    run: Callable[..., Done], played: Played, tmp_path: Path
) -> None:
    folder = shutil.copytree(played.folder, tmp_path / played.folder.name)
    (path,) = folder.glob("*.jsonl")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-5]))
    replayed = run("replay", folder, "--verify", *played.key)
    assert (replayed.code, "tampered: incomplete: " in replayed.out, "re-executed" in replayed.out) == (1, True, False)
    packed = run("evidence", "pack", folder, "-o", tmp_path / "e.tar.gz", *played.key)
    assert (packed.code, "lacks what a head says" in packed.err, (tmp_path / "e.tar.gz").exists()) == (1, True, False)
    verified = run("verify-decision-log", folder, *played.key)
    assert (verified.code, verified.out.startswith("INCOMPLETE: ")) == (1, True)


def test_a_journal_that_is_not_intact_is_not_packed(run: Callable[..., Done], played: Played, tmp_path: Path) -> None:
    folder = shutil.copytree(played.folder, tmp_path / played.folder.name)
    (path,) = folder.glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:5], *lines[6:]]))
    done = run("evidence", "pack", folder, "-o", tmp_path / "e.tar.gz", *played.key)
    assert (done.code, "line 6" in done.err, done.err.count("\n")) == (1, True, 1)
    assert list(tmp_path.glob("*e.tar.gz*")) == []
