"""`dudzian verify-decision-log`: what it takes, what it prints, and its exit codes."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dudzian_daemon.adapters.chained_log import ChainedLog, new_log_id
from dudzian_daemon.adapters.journal_format import encode, genesis
from dudzian_daemon.adapters.keychain import signing_key
from dudzian_daemon.adapters.log_segments import files_here
from dudzian_daemon.cli.main import main
from tests.integration.daemon_process import SHORT_WINDOWS, daemon, short_config
from tests.unit.adapters.journal_samples import KEY, OTHER_KEY, small_session, write_session

KEY_TEXT = KEY.secret.hex()


class Done(NamedTuple):
    """Exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    def run(*arguments: object) -> Done:
        with pytest.raises(SystemExit) as ended:
            main(["verify-decision-log", *map(str, arguments)])
        captured = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        assert "Traceback" not in captured.err
        return Done(code, captured.out, captured.err)

    return run


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "hmac.key"
    path.write_text(KEY_TEXT + "\n", encoding="ascii")
    path.chmod(0o600)
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_session(tmp_path / "root", small_session())


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"price":"100.55"', b'"price":"100.54"', 1))


def test_an_intact_log(verify: Callable[..., Done], log: Path, key_file: Path) -> None:
    done = verify(log, "--hmac-key-file", key_file, "--expected-key-id", "risk-ci")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"intact: {log}: 7 entries, 7 signed by risk-ci, 7 cycles, sequence 1..7\n  content chain ")
    assert done.out.endswith("ends with `closed`; completeness unproven: no head\n")


@pytest.mark.parametrize("place", [".", "..", "../.."])
def test_a_session_or_journal_folder(verify: Callable[..., Done], log: Path, key_file: Path, place: str) -> None:
    assert verify((log.parent / place).resolve(), "--hmac-key-file", key_file).code == 0
    assert verify("--log", (log.parent / place).resolve(), "--hmac-key-file", key_file).code == 0


def test_one_changed_byte(verify: Callable[..., Done], log: Path, key_file: Path) -> None:
    spoil(log)
    done = verify(log, "--hmac-key-file", key_file, "--quiet")
    assert done.code == 1
    assert done.out.startswith(f"TAMPERED at {log} line 4 (sequence 4): expected a line whose bytes fit its MAC")


def test_one_bad_log_of_several_decides(verify: Callable[..., Done], log: Path, key_file: Path, tmp_path: Path) -> None:
    other = write_session(tmp_path / "root", small_session())
    with other.open("ab") as file:
        file.write(b"{")
    open_one = write_session(tmp_path / "root", small_session(), end=None)
    with open_one.open("ab") as file:
        file.write(b"{")
    (tmp_path / "root" / "empty.jsonl").touch()
    assert verify(open_one, "--hmac-key-file", key_file).code == 4
    assert verify(tmp_path / "root" / "empty.jsonl", "--hmac-key-file", key_file).code == 2
    done = verify(tmp_path / "root", "--hmac-key-file", key_file)
    assert done.code == 1
    assert [line.split(":")[0].split(" ")[0] for line in done.out.splitlines() if not line.startswith(" ")].count("intact") == 1


def test_a_torn_tail(verify: Callable[..., Done], tmp_path: Path, key_file: Path) -> None:
    log = write_session(tmp_path / "root", small_session(), end=None)
    with log.open("ab") as file:
        file.write(b'{"d":{"kind"')
    done = verify(log, "--hmac-key-file", key_file)
    assert done.code == 4
    assert done.out.startswith("torn tail: ")
    assert "intact up to line 6, then 12 bytes" in done.out


def test_json_and_report_file(verify: Callable[..., Done], log: Path, key_file: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = verify(log, "--hmac-key-file", key_file, "--json", "--report-output", report)
    assert done.document["verdict"] == "intact"
    assert done.document["exit_code"] == 0
    assert done.document["logs"][0]["last_sequence"] == 7
    assert json.loads(report.read_bytes()) == done.document
    assert KEY_TEXT not in done.out
    spoil(log)
    done = verify(log, "--hmac-key-file", key_file, "--json")
    assert (done.code, done.document["verdict"], done.document["logs"][0]["finding"]["line"]) == (1, "tampered", 4)


def test_quiet_says_nothing_about_an_intact_log(verify: Callable[..., Done], log: Path, key_file: Path) -> None:
    assert verify(log, "--hmac-key-file", key_file, "--quiet") == (0, "", "")


class TestKeys:
    def test_on_the_command_line_with_a_warning(self, verify: Callable[..., Done], log: Path) -> None:
        done = verify("--log", log, "--hmac-key", KEY_TEXT)
        assert done.code == 0
        assert "can be seen by other users" in done.err
        assert KEY_TEXT not in done.err + done.out

    def test_from_a_named_variable(self, verify: Callable[..., Done], log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OUR_KEY", KEY_TEXT)
        assert verify(log, "--hmac-key-env", "OUR_KEY").code == 0
        assert verify(log, "--hmac-key-env", "THEIR_KEY").code == 3

    @pytest.mark.parametrize("name", ["DECISION_LOG_HMAC_KEY", "DECISION_KEY"])
    def test_from_where_the_daemon_takes_it(
        self, verify: Callable[..., Done], log: Path, monkeypatch: pytest.MonkeyPatch, name: str, isolated_environment: Path
    ) -> None:
        done = verify(log)
        assert done.code == 3
        assert "signed by key risk-ci, which is not on this machine" in done.out
        assert list(isolated_environment.rglob("*.key")) == []
        monkeypatch.setenv(name, KEY_TEXT)
        assert verify(log).code == 0

    def test_a_missing_file(self, verify: Callable[..., Done], log: Path, tmp_path: Path) -> None:
        assert verify(log, "--hmac-key-file", tmp_path / "none").code == 3

    def test_a_file_that_others_can_read_is_said(self, verify: Callable[..., Done], log: Path, key_file: Path) -> None:
        key_file.chmod(0o644)
        done = verify(log, "--hmac-key-file", key_file)
        assert (done.code, f"run: chmod 600 {key_file}" in done.err) == (0, True)

    def test_another_key_or_key_id(self, verify: Callable[..., Done], log: Path) -> None:
        assert verify(log, "--hmac-key", OTHER_KEY.secret.hex()).code == 1
        done = verify(log, "--hmac-key", KEY_TEXT, "--expected-key-id", "risk-prod")
        assert done.code == 2
        assert done.out == f"other key: {log} is signed by key risk-ci, which is not the expected one; it was not judged\n"
        done = verify(log, "--hmac-key", KEY_TEXT, "--expected-key-id", "risk-prod", "--json")
        assert (done.code, done.document["verdict"]) == (2, "other_key")

    def test_another_key_id_on_one_line_is_tampering(self, verify: Callable[..., Done], log: Path) -> None:
        lines = log.read_bytes().splitlines(keepends=True)
        log.write_bytes(b"".join([*lines[:3], lines[3].replace(b'"key":"risk-ci"', b'"key":"risk-cj"'), *lines[4:]]))
        done = verify(log, "--hmac-key", KEY_TEXT, "--expected-key-id", "risk-ci")
        assert (done.code, "line 4 (sequence 4): expected key id risk-ci, found risk-cj" in done.out) == (1, True)


class TestUsage:
    def test_two_logs_or_two_keys(self, verify: Callable[..., Done], log: Path, key_file: Path) -> None:
        assert verify(log, "--log", log, "--hmac-key-file", key_file).code == 2
        assert verify(log, "--hmac-key", KEY_TEXT, "--hmac-key-file", key_file).code == 2

    def test_text_that_is_no_key(self, verify: Callable[..., Done], log: Path) -> None:
        done = verify(log, "--hmac-key", "hunter2")
        assert done.code == 2
        assert "hunter2" not in done.err + done.out

    @pytest.mark.parametrize("place", ["missing", "."])
    def test_no_log_there(self, verify: Callable[..., Done], tmp_path: Path, place: str) -> None:
        assert verify(tmp_path / place, "--hmac-key", KEY_TEXT).code == 2

    def test_a_file_that_is_no_log(self, verify: Callable[..., Done], tmp_path: Path) -> None:
        path = tmp_path / "accounts"
        path.write_text("operator:x:0:0:operator\nanalyst:x:1:1:analyst\n", encoding="ascii")
        done = verify(path, "--hmac-key", KEY_TEXT)
        expected = "expected lines of a journal or decision log (members d, w and s), found none"
        assert (done.code, done.out) == (2, f"not a decision log: {path}: {expected}\n")
        assert verify(path, "--hmac-key", KEY_TEXT, "--json").document["verdict"] == "not_a_log"

    def test_an_unknown_option(self, verify: Callable[..., Done]) -> None:
        assert verify("--no-such-option").code == 2


def test_unsigned_needs_its_flag(verify: Callable[..., Done], tmp_path: Path) -> None:
    log = write_session(tmp_path / "root", small_session(), None)
    assert verify(log).code == 1
    done = verify(log, "--allow-unsigned")
    assert done.code == 0
    assert "7 UNSIGNED" in done.out


@pytest.mark.parametrize("packed", [False, True])
def test_stdin(verify: Callable[..., Done], log: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    content = log.read_bytes()
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(content) if packed else content)))
    monkeypatch.setattr(sys, "stdin", stdin)
    done = verify("-", "--hmac-key-file", key_file)
    assert done.code == 0
    assert done.out.startswith("intact: stdin: 7 entries")


class TestWithoutPath:
    @pytest.fixture
    def data_dir(self, tmp_path: Path) -> Path:
        key = signing_key("risk-ci", env={})
        root = tmp_path / "data_dir"
        write_session(root, small_session(), OTHER_KEY, end="stopped")
        write_session(root, small_session(), key, artifact="paper_binance")
        folder = root / "logs" / "decision_journal"
        folder.mkdir(parents=True)
        decisions = ChainedLog.create(folder / "paper_binance.jsonl", new_log_id(), key)
        decisions.append(encode(genesis("paper_binance", "0", signed=True, projection=True)), b"{}")
        decisions.commit_now()
        decisions.release()
        return root

    def test_it_takes_the_sessions_of_the_environment_and_its_decision_log(self, verify: Callable[..., Done], data_dir: Path) -> None:
        done = verify("--environment", "binance_paper", "--data-dir", data_dir)
        assert done.code == 0
        *logs, last = [line for line in done.out.splitlines() if not line.startswith(" ")]
        assert [line.split(": ")[0] for line in logs] == ["intact", "intact"]
        assert "decision log of paper_binance" in done.out
        assert last == "checked 2 logs, 1 of them sessions: 2 intact; entries 8 signed, 0 unsigned"
        spoil(next((data_dir / "data" / "journal" / "paper_binance").glob("*/*.jsonl")))
        assert verify("--environment", "paper", "--data-dir", data_dir).code == 1

    def test_an_older_session_counts_as_the_newest_does(self, verify: Callable[..., Done], data_dir: Path) -> None:
        key = signing_key("risk-ci", env={})
        older = [write_session(data_dir, small_session(), key, artifact="paper_binance") for _ in range(5)]
        where = ("--environment", "binance_paper", "--data-dir", data_dir)
        done = verify(*where)
        *described, last = [line for line in done.out.splitlines() if not line.startswith(" ")]
        assert last == "checked 7 logs, 6 of them sessions: 7 intact; entries 43 signed, 0 unsigned"
        assert len(described) == 2
        spoil(older[2])
        done = verify(*where)
        *described, last = [line for line in done.out.splitlines() if not line.startswith(" ")]
        assert (done.code, last.split(";")[0]) == (1, "checked 7 logs, 6 of them sessions: 1 tampered, 6 intact")
        assert [line for line in described if line.startswith(f"TAMPERED at {older[2]} line 4 (sequence 4): ")]
        assert verify(*where, "--quiet").out.count("\n") == 1
        document = verify(*where, "--json").document
        assert (document["verdict"], document["counts"], len(document["logs"])) == ("tampered", {"intact": 6, "tampered": 1}, 7)

    def test_what_a_daemon_left_is_told_as_it_is(
        self, verify: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two sessions of one home: both are closed, and the decision log that they share says nothing else of them."""
        config = short_config(tmp_path, window=(SHORT_WINDOWS, "        - {start: 2024-02-10, end: 2024-02-11, instruments: [ETH_USDT]}"))
        for _ in range(2):
            with daemon(tmp_path, "--config", config, "--speed", "max", "--no-ui") as child:
                assert child.end().code == 0
        monkeypatch.setenv("DUDZIAN_KEY_FILE", str(next(tmp_path.rglob("*.key"))))
        done = verify("--data-dir", tmp_path / "data", "--config", config)
        assert (done.code, done.out.count("ends with `closed`"), done.out.count("may be resumed")) == (0, 2, 0)
        assert "\nchecked 3 logs, 2 of them sessions: 3 intact; " in done.out
        files = files_here(tmp_path / "data" / "logs" / "decision_journal" / "demo.jsonl")
        decisions = [json.loads(line)["d"] for path in files for line in path.read_text(encoding="utf-8").splitlines()]
        ends = [entry for entry in decisions if entry["kind"] == "stopped"]
        assert {end["session"] for end in ends} == {path.name for path in tmp_path.glob("data/data/journal/demo/*")}
        oldest = min(tmp_path.glob("data/data/journal/demo/*/*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
        content = bytearray(oldest.read_bytes())
        content[len(content) // 2] ^= 1
        oldest.write_bytes(content)
        done = verify("--data-dir", tmp_path / "data", "--config", config)
        assert (done.code, f"TAMPERED at {oldest} line " in done.out) == (1, True)

    def test_a_decision_log_between_two_sessions_does_not_speak_of_them(self, verify: Callable[..., Done], data_dir: Path) -> None:
        path = data_dir / "logs" / "decision_journal" / "paper_binance.jsonl"
        decisions = ChainedLog.resume(path, signing_key("risk-ci", env={}))
        decisions.append(b'{"kind":"stopped","session":"%b","sequence":7}' % (b"a" * 32), b"{}")
        decisions.commit_now()
        decisions.release()
        done = verify(path)
        assert done.code == 0
        assert "its last writer has ended as it should; the next session goes on in it" in done.out
        assert "may be resumed" not in done.out

    def test_a_path_below_the_data_folder_will_do(self, verify: Callable[..., Done], data_dir: Path) -> None:
        done = verify("logs/decision_journal/paper_binance.jsonl", "--data-dir", data_dir)
        assert done.code == 0

    def test_no_session_is_said_with_what_to_do(self, verify: Callable[..., Done], tmp_path: Path) -> None:
        done = verify("--data-dir", tmp_path)
        assert done.code == 2
        assert "start one: dudzian run --environment demo" in done.err


class TestHeads:
    """What an auditor keeps elsewhere, made and compared by commands alone."""

    @pytest.fixture
    def run(self, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
        def call(*arguments: object) -> Done:
            with pytest.raises(SystemExit) as ended:
                main([*map(str, arguments)])
            captured = capsys.readouterr()
            assert "Traceback" not in captured.err
            return Done(int(ended.value.code or 0), captured.out, captured.err)

        return call

    def test_made_signed_and_compared(self, run: Callable[..., Done], log: Path, key_file: Path, tmp_path: Path) -> None:
        private, public, head = tmp_path / "heads.key", tmp_path / "heads.pub", tmp_path / "head.json"
        assert run("heads", "keygen", "-o", private).code == 0
        assert run("heads", "keygen", "-o", private).code == 2
        signed = run("heads", "sign", log.parent, "--signing-key", private, "--hmac-key-file", key_file)
        assert (signed.code, signed.err) == (0, "")
        head.write_text(signed.out, encoding="ascii")
        verified = ("verify-decision-log", log.parent, "--head", head)
        assert run(*verified, "--public-key", public).code == 0
        assert "completeness complete up to head 7 (line 7)" in run(*verified, "--public-key", public).out
        unproved = run(*verified)
        assert (unproved.code, "give its public key by --public-key" in unproved.err) == (2, True)
        assert run("verify-decision-log", log.parent, "--public-key", public).code == 3, "no head beside it is by that key"
        log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-2]))
        cut = run(*verified, "--public-key", public, "--json", "--hmac-key-file", key_file)
        assert (cut.code, cut.document["verdict"], cut.document["logs"][0]["integrity"]) == (1, "incomplete", "intact")

    def test_a_log_that_is_not_intact_or_has_no_key_gets_none(self, run: Callable[..., Done], log: Path, key_file: Path) -> None:
        assert run("heads", "sign", log.parent).code == 3
        spoil(log)
        done = run("heads", "sign", log.parent, "--hmac-key-file", key_file)
        assert (done.code, done.out, "no head was made" in done.err) == (1, "", True)

    def test_a_whole_log_that_is_gone(self, run: Callable[..., Done], log: Path, key_file: Path, tmp_path: Path) -> None:
        head = tmp_path / "head.json"
        head.write_text(run("heads", "sign", log.parent, "--hmac-key-file", key_file).out, encoding="ascii")
        other = write_session(tmp_path / "root", small_session())
        log.unlink()
        log.parent.rmdir()
        done = run("verify-decision-log", tmp_path / "root", "--head", head, "--hmac-key-file", key_file)
        assert (done.code, f"expected the log {log.parent.name}, of which a head" in done.out) == (1, True)
        assert run("verify-decision-log", other, "--hmac-key-file", key_file).code == 0
