"""Heads: signed, read back, refused where a bit is wrong; keys that are made once and read by their owner alone."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import msgspec
import pytest

from dudzian_daemon.adapters.heads import (
    Head,
    HeadVerifier,
    SignedHead,
    encode_head,
    new_signer,
    read_heads,
    read_signer,
    read_verifier,
    sign_head,
    verify_head,
)
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_report import LogReport
from dudzian_daemon.adapters.log_sources import Source
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.domain.errors import ConfigError
from tests.unit.adapters.journal_samples import KEY, OTHER_KEY, small_session, write_session

HEAD = Head(log="a" * 32, line=7, sequence=5, hash="b" * 64, content="c" * 64, at=1_700_000_000_000_000_001)


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    private, public = tmp_path / "heads.key", tmp_path / "heads.pub"
    new_signer(private, public)
    return private, public


def test_both_ways_of_signing_and_bits_of_each_byte(keys: tuple[Path, Path], tmp_path: Path) -> None:
    by_public = sign_head(HEAD, read_signer(keys[0]))
    by: list[tuple[SignedHead, SigningKey | HeadVerifier]] = [(sign_head(HEAD, KEY), KEY), (by_public, read_verifier(keys[1]))]
    for signed, key in by:
        assert verify_head(signed, key)
        line = encode_head(signed)
        (tmp_path / "head.json").write_bytes(line)
        assert read_heads(tmp_path / "head.json") == [signed]
        for bit in range(0, (len(line) - 1) * 8, 5):
            spoiled = bytearray(line)
            spoiled[bit // 8] ^= 1 << bit % 8
            (tmp_path / "head.json").write_bytes(spoiled)
            try:
                (read,) = read_heads(tmp_path / "head.json")
            except (ConfigError, ValueError):
                continue
            assert not verify_head(read, key), bit


def test_a_head_is_of_one_key_and_one_algorithm(keys: tuple[Path, Path]) -> None:
    verifier = read_verifier(keys[1])
    signed = sign_head(HEAD, KEY)
    assert not verify_head(signed, OTHER_KEY)
    assert not verify_head(signed, verifier)
    assert not verify_head(msgspec.structs.replace(signed, alg="Ed25519"), KEY)
    assert not verify_head(sign_head(HEAD, read_signer(keys[0])), KEY)


def test_the_private_half_is_the_owners_and_nothing_is_written_over(keys: tuple[Path, Path]) -> None:
    private, public = keys
    assert [stat.S_IMODE(path.stat().st_mode) for path in keys] == [0o600, 0o644]
    before = private.read_bytes()
    with pytest.raises(ConfigError, match="never written over"):
        new_signer(private, public)
    assert private.read_bytes() == before
    private.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_signer(private)
    for wrong, read in ((public, read_signer), (private, read_verifier)):
        wrong.chmod(0o600)
        with pytest.raises(ConfigError, match="expected an Ed25519"):
            read(wrong)
    assert "PRIVATE" not in repr(read_signer(private))


@pytest.mark.parametrize("content", [b"", b"{}\n", b"[" * 10_000, b"\xff\n", b'{"head":1}\n'])
def test_what_is_no_head_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "head.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"head file {path}"):
        read_heads(path)


def test_what_a_crash_left_of_a_last_head_is_passed_over(tmp_path: Path) -> None:
    path, line = tmp_path / "heads.jsonl", encode_head(sign_head(HEAD, KEY))
    path.write_bytes(line + line[:50])
    assert read_heads(path) == [sign_head(HEAD, KEY)]
    path.write_bytes(line[:50] + b"\n" + line)
    with pytest.raises(ConfigError, match="line 1"):
        read_heads(path)


class TestCompleteness:
    @pytest.fixture
    def log(self, tmp_path: Path) -> bytes:
        return write_session(tmp_path / "root", small_session(), flush_every=1).read_bytes()

    def judge(self, log: bytes, *heads: SignedHead, key: SigningKey | None = KEY) -> LogReport:
        return verify_log(Source(label="log", stream=io.BytesIO(log)), Terms(key=lambda _: key, heads=heads))

    def head(self, log: bytes, lines: int) -> Head:
        report = self.judge(b"".join(log.splitlines(keepends=True)[:lines]))
        sequence = report.last_sequence or 0
        return Head(log=report.log_id, line=lines, sequence=sequence, hash=report.last_hash, content=report.content, at=0)

    def test_complete_up_to_a_head(self, log: bytes) -> None:
        report = self.judge(log, *(sign_head(self.head(log, lines), KEY) for lines in (2, 6)))
        assert (report.integrity, report.lacking) == ("intact", None)
        rest = report.entries - 6
        assert (
            report.proof
            == f"complete up to head 4 (line 6), seen at 1970-01-01T00:00:00.000000Z, {rest} lines after it rest on this machine"
        )

    def test_a_cut_log_lacks_what_was_seen(self, log: bytes) -> None:
        seen = sign_head(self.head(log, 6), KEY)
        report = self.judge(b"".join(log.splitlines(keepends=True)[:4]), seen)
        assert (report.integrity, report.proof) == ("intact", "refuted by a head")
        assert report.lacking is not None
        assert report.lacking.expected.startswith("line 6, of which a head was seen at ")

    def test_a_head_by_a_key_that_is_not_that_of_its_line(self, log: bytes) -> None:
        report = self.judge(log, sign_head(self.head(log, 6), SigningKey(id="other", secret=KEY.secret, source="test")))
        assert report.lacking is not None
        assert report.lacking.expected == "a head by the key of its line, risk-ci"

    def test_a_public_key_needs_no_secret_up_to_its_head(self, log: bytes, keys: tuple[Path, Path]) -> None:
        signer = read_signer(keys[0])
        count = len(log.splitlines())
        whole = self.judge(log, sign_head(self.head(log, count), signer), key=None)
        assert (whole.integrity, whole.by_head, whole.lacking) == ("intact", True, None)
        part = self.judge(log, sign_head(self.head(log, 6), signer), key=None)
        assert (part.integrity, part.reason, part.head and part.head.line) == ("key_missing", "risk-ci", 6)
        edited = log.replace(b'"price":"100.55"', b'"price":"100.54"', 1)
        refuted = self.judge(edited, sign_head(self.head(log, count), signer), key=None)
        assert refuted.integrity == "tampered" or refuted.lacking is not None
        assert self.judge(log, sign_head(self.head(log, count), KEY), key=None).integrity == "key_missing"
