"""The bytes of a line, against the standard library's own HMAC and the command that the documentation gives."""

from __future__ import annotations

import hashlib
import hmac
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.adapters.journal_format import Hmac, LineSealer, decode, encode, segments, split
from tests.unit.adapters.journal_samples import KEY, small_session, write_session

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "journal.md"
ZERO = "0" * 64


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=300))
def test_the_prepared_hmac_is_the_standard_one(key: bytes, message: bytes) -> None:
    prepared = Hmac(key)
    for _ in range(2):
        assert prepared.hexdigest(message) == hmac.new(key, message, hashlib.sha256).hexdigest()


def test_a_line_is_spelled_as_documented() -> None:
    sealer = LineSealer("ab" * 16, KEY)
    first = sealer.seal(b'{"kind":"genesis"}', b"{}")
    body = b'{"d":{"kind":"genesis"},"w":{},"s":{"log":"%b","line":1,"prev":"%b","content":"%b","key":"risk-ci","alg":"HMAC-SHA256"' % (
        b"ab" * 16,
        ZERO.encode(),
        ZERO.encode(),
    )
    mac = hmac.new(KEY.secret, body, hashlib.sha256).hexdigest()
    assert first == body + f',"mac":"{mac}"}}}}\n'.encode()
    second = split(sealer.seal(b"{}", b"{}", "1" * 64)).s
    assert (second.line, second.prev, second.content) == (2, hashlib.sha256(first[:-1]).hexdigest(), "1" * 64)
    assert (sealer.line, sealer.signed) == (2, True)


def test_an_unsigned_line_has_no_mac() -> None:
    sealer = LineSealer("ab" * 16, None)
    seal = split(sealer.seal(b"{}", b"{}")).s
    assert (seal.alg, seal.key, seal.mac, sealer.signed) == ("none", "", "", False)


def test_a_sealer_can_be_resumed() -> None:
    whole = LineSealer("ab" * 16, KEY)
    whole.seal(b"{}", b"{}")
    resumed = LineSealer("ab" * 16, KEY, line=whole.line, previous=whole.previous)
    assert resumed.seal(b'{"a":1}', b"{}") == whole.seal(b'{"a":1}', b"{}")


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_and_text_have_the_documented_spelling(text: str, number: float) -> None:
    for value in (text, number):
        assert encode(decode(encode(value))) == encode(value)
    spelled = encode(number).decode()
    digits, _, exponent = spelled.partition("e")
    assert ("e" in spelled) == (number != 0 and not 1e-5 <= abs(number) < 1e16)
    assert re.fullmatch(r"(-?[1-9]\d*)?", exponent) is not None
    assert "." in digits or exponent
    assert float(spelled) == number
    assert len(digits.replace("-", "").replace(".", "").strip("0")) <= 17


@pytest.mark.skipif(shutil.which("openssl") is None or shutil.which("sed") is None, reason="needs openssl and sed")
def test_the_documented_command_recomputes_every_seal(tmp_path: Path) -> None:
    log = write_session(tmp_path, small_session())
    key = tmp_path / "key"
    key.write_text(KEY.secret.hex() + "\n", encoding="ascii")
    (command,) = re.findall(r"```sh\n(LC_ALL=C sed .*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for number, line in enumerate(log.read_bytes().splitlines(), start=1):
        environment = {"LOG": str(log), "KEY": str(key), "N": str(number), "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin"}
        printed = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=True).stdout
        assert printed.split()[-1] == split(line).s.mac


def test_segments_are_ordered_by_number_and_other_files_left_out(tmp_path: Path) -> None:
    names = ["2024-01-03-000002.jsonl", "2024-01-01-000010.jsonl.gz", "2024-01-05-000001.jsonl"]
    for name in [*names, "notes.jsonl", "2024-01-05-1.jsonl", "objects"]:
        (tmp_path / name).touch()
    assert [path.name for path in segments(tmp_path)] == [names[2], names[0], names[1]]


def test_what_is_no_line_is_refused() -> None:
    for text in (b"", b"[]", b'{"d":1,"w":2}', b'{"d":1,"w":2,"s":{},"x":1}', b"[" * 100_000, b"\xff"):
        with pytest.raises(ValueError, match=r"."):
            split(text)
