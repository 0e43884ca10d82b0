"""Tampering with a real log: every class is found, nothing else is, and no bytes whatever raise.

Each spoiled log is also given to a second verifier that was written from the format's description.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dudzian_daemon.adapters.journal_format import LineSealer, encode, genesis
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_report import LogReport
from dudzian_daemon.adapters.log_sources import Source, find_logs
from dudzian_daemon.adapters.verify import Terms, verify_log
from tests.unit.adapters.journal_samples import KEY, OTHER_KEY, small_session, write_session
from tests.unit.adapters.stranger import Stranger

TERMS = Terms(key=lambda _: KEY)
ZERO = "0" * 64
Lines = list[bytes]


@cache
def sample(key: SigningKey | None = KEY, number: int = 0) -> bytes:
    """A small session's bytes; another `number` is another session of the same content."""
    with TemporaryDirectory() as folder:
        return write_session(Path(folder), small_session(), key).read_bytes()


def judge(log: bytes, terms: Terms = TERMS) -> LogReport:
    return verify_log(Source(label="log", stream=io.BytesIO(log)), terms)


def log_id(log: bytes) -> str:
    return str(msgspec.json.decode(log.split(b"\n")[0])["s"]["log"])


def changed(line: bytes, old: bytes, new: bytes, count: int = 1) -> bytes:
    assert old in line
    return line.replace(old, new, count)


def on_line(number: int, change: Callable[[bytes], bytes]) -> Callable[[Lines], Lines]:
    return lambda lines: [change(line) if at == number else line for at, line in enumerate(lines, start=1)]


def replaced(number: int, old: bytes, new: bytes, count: int = 1) -> Callable[[Lines], Lines]:
    return on_line(number, lambda line: changed(line, old, new, count))


def reordered(line: bytes) -> bytes:
    members = msgspec.json.decode(line)
    return encode({**members, "d": dict(reversed(members["d"].items()))}) + b"\n"


# A small session has seven lines: genesis, run, quiet cycles 1-3, cycle 4, quiet cycles 5-6, cycle 7, closed.
CLASSES: dict[str, Callable[[Lines], Lines]] = {
    "edit of a price": replaced(4, b'"price":"100.55"', b'"price":"100.54"'),
    "edit of a wall field": replaced(4, b'"started_at":0.5', b'"started_at":0.6'),
    "edit of a quiet cycle": replaced(3, b'"equity":"10000.5"', b'"equity":"10000.6"'),
    "edit of the configuration": replaced(2, b'"version":1', b'"version":2'),
    "edit of the last line": replaced(7, b"end_of_data", b"end_of_date"),
    "edit of the artifact": replaced(1, b'"artifact":"demo"', b'"artifact":"dame"'),
    "insert of a copy with the next number": lambda lines: [*lines[:4], changed(lines[3], b'"line":4', b'"line":5'), *lines[4:]],
    "insert of an empty line": lambda lines: [*lines[:4], b"\n", *lines[4:]],
    "delete of the first line": lambda lines: lines[1:],
    "delete of a line": lambda lines: lines[:3] + lines[4:],
    "delete of all but the last": lambda lines: lines[-1:],
    "swap": lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]],
    "duplicate": lambda lines: [*lines[:4], lines[3], *lines[4:]],
    "duplicate of the last line": lambda lines: [*lines, lines[-1]],
    "move to the end": lambda lines: lines[:2] + lines[3:] + lines[2:3],
    "splice from another log": lambda lines: lines[:3] + sample(number=1).splitlines(keepends=True)[3:4] + lines[4:],
    "continued by another log": lambda lines: lines + sample(number=1).splitlines(keepends=True),
    "head of another log": lambda lines: sample(number=1).splitlines(keepends=True)[:2] + lines[2:],
    "stripped MAC": on_line(4, lambda line: re.sub(rb',"mac":"[0-9a-f]{64}"', b"", line)),
    "MAC of another line": on_line(4, lambda line: line[:-68] + sample().splitlines()[4][-67:] + b"\n"),
    "stripped seal": on_line(4, lambda line: re.sub(rb',"s":.*', b"}", line)),
    "declared unsigned in one line": on_line(4, lambda line: changed(re.sub(rb',"mac":"\w+"', b"", line), b'"HMAC-SHA256"', b'"none"')),
    "stripped seals": lambda lines: [changed(re.sub(rb',"mac":"\w+"', b"", line), b'"HMAC-SHA256"', b'"none"') for line in lines],
    "other key id": replaced(4, b'"key":"risk-ci"', b'"key":"risk-cj"'),
    "other key id everywhere": lambda lines: [changed(line, b'"key":"risk-ci"', b'"key":"risk-cj"') for line in lines],
    "other content link": on_line(4, lambda line: re.sub(rb'"content":"\w{64}"', b'"content":"' + b"1" * 64 + b'"', line)),
    "space": replaced(4, b'{"d":', b'{"d": '),
    "space in the seal": replaced(4, b'"s":{', b'"s":{ '),
    "space at the end": replaced(4, b"}}\n", b"}} \n"),
    "carriage return": replaced(4, b"}}\n", b"}}\r\n"),
    "byte order mark": on_line(1, lambda line: b"\xef\xbb\xbf" + line),
    "key order": on_line(4, reordered),
    "shadow key, equal": replaced(4, b'"quantity":"0.125"', b'"quantity":"0.125","quantity":"0.125"'),
    "shadow key, first": replaced(4, b'"price":"100.55"', b'"price":"1","price":"100.55"'),
    "shadow member": replaced(4, b',"w":', b',"w":{},"w":'),
    "shadow seal": replaced(4, b'"s":{', b'"s":{"log":"0","log":"1"},"s":{'),
    "extra member": replaced(4, b',"w":', b',"x":1,"w":'),
    "escaped unicode": replaced(4, "ż".encode(), b"\\u017c"),
    "escaped slash": replaced(4, b"BTC/USDT", b"BTC\\/USDT"),
    "upper-case MAC": on_line(4, lambda line: line[:-67] + line[-67:-3].upper() + line[-3:]),
    "upper-case previous hash": on_line(4, lambda line: re.sub(rb'"prev":"(\w+)"', lambda found: found[0].upper(), line)),
    "float as 1E2": replaced(4, b"100.5]", b"1.005E2]"),
    "float with a zero more": replaced(4, b"100.5]", b"100.50]"),
    "integer as float": replaced(4, b'"line":4', b'"line":4.0'),
    "NUL inside": replaced(4, b'"trend"', b'"tre\0nd"'),
    "NUL line": lambda lines: [*lines[:4], b"\0" * 64 + b"\n", *lines[4:]],
    "NUL tail with newline": lambda lines: [*lines, b"\0" * 512 + b"\n"],
    "NUL tail": lambda lines: [*lines, b"\0" * 512],
    "half line in the middle": on_line(4, lambda line: line[: len(line) // 2]),
    "text at the end": lambda lines: [*lines, b"hello\n"],
    "not UTF-8": replaced(4, "ż".encode(), b"\xff"),
    "deep nesting": on_line(4, lambda line: b"[" * 100_000 + b"]" * 100_000 + b"\n"),
    "huge number": replaced(4, b"100.5]", b"1" * 5000 + b"]"),
}


def test_the_sample_is_intact_to_both_verifiers() -> None:
    report = judge(sample())
    assert (report.integrity, report.completeness, report.finding) == ("intact", "closed", None)
    assert (report.entries, report.cycles, report.signed, report.unsigned) == (7, 7, 7, 0)
    assert (report.first_sequence, report.last_sequence, report.key_id) == (1, 7, "risk-ci")
    assert report.kinds == {"genesis": 1, "run": 1, "quiet": 2, "cycle": 2, "closed": 1}
    assert Stranger(KEY.secret, log_id(sample())).accepts(sample())


@pytest.mark.parametrize("name", CLASSES)
def test_tampering_is_found_and_named(name: str) -> None:
    spoiled = b"".join(CLASSES[name](sample().splitlines(keepends=True)))
    assert spoiled != sample()
    report = judge(spoiled)
    assert report.integrity == "tampered"
    assert report.finding is not None
    assert report.finding.line >= 1
    assert report.finding.expected
    assert report.finding.found.isprintable()
    assert not Stranger(KEY.secret, log_id(sample())).accepts(spoiled)


@pytest.mark.parametrize(
    ("name", "line", "sequence", "expected", "found"),
    [
        ("edit of a price", 4, 4, "a line whose bytes fit its MAC", "MAC "),
        ("delete of a line", 4, 4, "line 4", "5"),
        ("swap", 4, 4, "line 4", "5"),
        ("splice from another log", 4, 4, "log id ", ""),
        ("stripped MAC", 4, 4, "a MAC", "none"),
        ("space in the seal", 4, 4, "the canonical form", "JSON that is not"),
        ("duplicate of the last line", 8, 8, "line 8", "7"),
        ("NUL tail", 8, 8, "the end of the log after its entry `closed`", "512 more bytes"),
        ("stripped seals", 1, 1, "a signed log", "one declared unsigned"),
    ],
)
def test_the_first_bad_entry_is_named(name: str, line: int, sequence: int, expected: str, found: str) -> None:
    finding = judge(b"".join(CLASSES[name](sample().splitlines(keepends=True)))).finding
    assert finding is not None
    assert (finding.file, finding.line, finding.sequence) == ("log", line, sequence)
    assert finding.expected.startswith(expected)
    assert finding.found.startswith(found)


@pytest.mark.parametrize("number", [1, 4, 7])
def test_every_single_bit_of_a_line_counts(number: int) -> None:
    log = sample()
    lines = log.splitlines(keepends=True)
    start = sum(map(len, lines[: number - 1]))
    passed = []
    for bit in range(start * 8, (start + len(lines[number - 1])) * 8):
        spoiled = bytearray(log)
        spoiled[bit // 8] ^= 1 << bit % 8
        report = judge(bytes(spoiled))
        if report.integrity == "intact" and not report.torn_bytes:
            passed.append(bit)
    assert passed == []


def test_a_report_never_tells_the_mac_that_would_fit() -> None:
    forged = b"".join(CLASSES["edit of a price"](sample().splitlines(keepends=True)))
    sealer = LineSealer(log_id(sample()), KEY, line=3, previous=msgspec.json.decode(forged.splitlines()[3])["s"]["prev"])
    members = msgspec.json.decode(forged.splitlines()[3])
    fitting = sealer.seal(encode(members["d"]), encode(members["w"]), members["s"]["content"])[-67:-3]
    assert fitting not in msgspec.json.encode(judge(forged))


def test_a_wrong_key_is_found_at_the_first_line() -> None:
    report = judge(sample(), Terms(key=lambda _: OTHER_KEY))
    assert report.finding is not None
    assert report.finding.line == 1


def test_without_its_key_a_log_is_not_judged() -> None:
    report = judge(sample(), Terms(key=lambda _: None))
    assert (report.integrity, report.reason, report.completeness) == ("key_missing", "risk-ci", "unknown")


def test_the_expected_key_id_is_enforced() -> None:
    assert judge(sample(), Terms(key=lambda _: KEY, expected_key_id="risk-ci")).integrity == "intact"
    report = judge(sample(), Terms(key=lambda _: KEY, expected_key_id="risk-prod"))
    assert (report.integrity, report.reason, report.finding) == ("other_key", "risk-ci", None)


@pytest.mark.parametrize(
    "content",
    [
        b"name:x:0:0:name:operator\nbin:x:1:1:bin:/bin:/usr/bin/nologin\n",
        b"{}\n",
        b'{"level":"info","event":"started"}\n' * 5,
        b"\x7fELF\x02\x01\x01\0\0" * 50,
        b"\n\n",
        b"\0" * 100,
        b"{",
    ],
)
def test_what_is_no_log_at_all_is_not_called_tampered(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    path.write_bytes(content)
    (source,) = find_logs(path)
    assert (verify_log(source, TERMS).integrity, judge(content).integrity) == ("not_a_log", "not_a_log")


def test_a_log_stays_one_whatever_became_of_its_first_line(tmp_path: Path) -> None:
    first, *rest = sample().splitlines(keepends=True)
    for spoiled in (b"hello\n", b"\n", first[1:], first[:-4] + b"\n", first.replace(b",", b", ")):
        report = judge(b"".join([spoiled, *rest]))
        assert (report.integrity, report.finding and report.finding.line) == ("tampered", 1)
    path = write_session(tmp_path, small_session())
    path.write_bytes(b"hello\n")
    assert [verify_log(source, TERMS).integrity for source in find_logs(path)] == ["tampered"]


@pytest.mark.parametrize("size", [1, 40, 300])
def test_a_torn_tail_is_no_tampering(size: int) -> None:
    lines = sample().splitlines(keepends=True)
    report = judge(b"".join(lines[:5]) + lines[5][:size])
    assert (report.integrity, report.completeness, report.torn_bytes) == ("intact", "torn", size)
    assert (report.entries, report.last_sequence) == (5, 6)


def test_a_whole_last_line_without_newline_is_torn() -> None:
    report = judge(sample()[:-1])
    assert (report.integrity, report.completeness, report.entries) == ("intact", "torn", 6)


def test_whole_lines_cut_off_the_end_need_a_head() -> None:
    report = judge(b"".join(sample().splitlines(keepends=True)[:-2]))
    assert (report.integrity, report.completeness, report.proof) == ("intact", "open", "unproven: no head")


@pytest.mark.parametrize("content", [b"", b'{"d":{"kind":"gen'])
def test_a_log_without_a_whole_line_is_unreadable(content: bytes) -> None:
    report = judge(content)
    assert report.integrity == "unreadable"
    assert "the log is empty" in report.reason


class TestUnsigned:
    terms = Terms(key=lambda _: None, allow_unsigned=True)

    def test_it_is_accepted_with_the_flag_only_and_counted(self) -> None:
        report = judge(sample(None), self.terms)
        assert (report.integrity, report.signed, report.unsigned, report.key_id) == ("intact", 0, 7, "")
        assert judge(sample(None)).integrity == "tampered"

    def test_the_flag_changes_nothing_for_a_signed_log(self) -> None:
        terms = Terms(key=lambda _: KEY, allow_unsigned=True)
        assert judge(sample(), terms).integrity == "intact"
        for name, spoil in CLASSES.items():
            assert judge(b"".join(spoil(sample().splitlines(keepends=True))), terms).integrity == "tampered", name

    @pytest.mark.parametrize("name", [name for name in CLASSES if not re.search("MAC|strip|key id|unsigned|head of|last line$", name)])
    def test_what_needs_no_key_is_still_found(self, name: str) -> None:
        lines = sample(None).splitlines(keepends=True)
        assert judge(b"".join(CLASSES[name](lines)), self.terms).integrity == "tampered"

    def test_only_a_key_protects_the_last_line(self) -> None:
        edited = b"".join(CLASSES["edit of the last line"](sample(None).splitlines(keepends=True)))
        assert judge(edited, self.terms).integrity == "intact"

    def test_a_signed_line_in_it_is_found(self) -> None:
        lines = sample(None).splitlines(keepends=True)
        lines[3] = changed(lines[3], b'"alg":"none"}}', b'"alg":"none","mac":"' + b"0" * 64 + b'"}}')
        assert judge(b"".join(lines), self.terms).integrity == "tampered"


def sealed(*entries: tuple[bytes, str], signed: bool = True) -> bytes:
    """A log whose seals fit, whatever is in it: what only the holder of the key could write."""
    sealer = LineSealer("a" * 32, KEY)
    first = sealer.seal(encode(genesis("demo", "0", signed=signed)), b"{}")
    return first + b"".join(sealer.seal(d, b"{}", content) for d, content in entries)


def test_a_gap_in_the_sequence_is_found_under_good_seals() -> None:
    finding = judge(sealed((b'{"kind":"cycle","sequence":2}', ZERO))).finding
    assert finding is not None
    assert (finding.expected, finding.found) == ("cycle 1", "cycle 2")


def test_a_broken_books_chain_is_found_under_good_seals() -> None:
    d = b'{"kind":"cycle","sequence":1,"results":[],"fills":[],"positions":[],"risk":[],"cash":"1","books":"' + b"0" * 64 + b'"}'
    finding = judge(sealed((d, ZERO))).finding
    assert finding is not None
    assert finding.expected.startswith("books hash ")


def test_a_wrong_content_link_is_found_under_good_seals() -> None:
    finding = judge(sealed((b'{"kind":"run"}', "1" * 64))).finding
    assert finding is not None
    assert (finding.expected, finding.found) == (f"content link {ZERO}", "1" * 64)


@pytest.mark.parametrize(
    "d",
    [
        b"[]",
        b"1",
        b"{}",
        b'{"kind":1}',
        b'{"kind":"genesis"}',
        b'{"kind":"quiet"}',
        b'{"kind":"quiet","cycles":[1,2]}',
        b'{"kind":"cycle"}',
    ],
)
def test_entries_that_make_no_sense_are_found_under_good_seals(d: bytes) -> None:
    assert judge(sealed((d, ZERO))).integrity == "tampered"


def test_the_declaration_of_the_first_line_must_agree_with_its_seal() -> None:
    assert judge(sealed(signed=False)).integrity == "tampered"


def test_a_later_format_is_unreadable_not_tampered() -> None:
    sealer = LineSealer("a" * 32, KEY)
    report = judge(sealer.seal(b'{"kind":"genesis","format":2,"signed":true}', b"{}"))
    assert report.integrity == "unreadable"
    assert "found 2" in report.reason


class TestFiles:
    def test_a_session_folder_a_journal_folder_and_a_file(self, tmp_path: Path) -> None:
        first = write_session(tmp_path, small_session())
        second = write_session(tmp_path, small_session(), end="stopped")
        assert [verify_log(source, TERMS).completeness for source in find_logs(first.parent)] == ["closed"]
        assert [verify_log(source, TERMS).completeness for source in find_logs(second)] == ["stopped"]
        reports = [verify_log(source, TERMS) for source in find_logs(tmp_path)]
        assert sorted(report.completeness for report in reports) == ["closed", "stopped"]
        assert {report.content for report in reports} == {reports[0].content}

    def test_a_log_in_the_folder_of_another_is_found(self, tmp_path: Path) -> None:
        first, second = write_session(tmp_path, small_session()), write_session(tmp_path, small_session())
        first.write_bytes(second.read_bytes())
        for place in (first, first.parent):
            (source,) = find_logs(place)
            finding = verify_log(source, TERMS).finding
            assert finding is not None
            assert (finding.line, finding.expected) == (1, f"log id {first.parent.name}")

    def test_a_session_without_its_file_is_unreadable(self, tmp_path: Path) -> None:
        path = write_session(tmp_path, small_session())
        path.unlink()
        assert [verify_log(source, TERMS).integrity for source in find_logs(tmp_path)] == ["unreadable"]

    def test_gzip_is_unpacked_and_a_damaged_one_found(self, tmp_path: Path) -> None:
        path = tmp_path / "archived.jsonl.gz"
        path.write_bytes(gzip.compress(sample()))
        (source,) = find_logs(path)
        assert verify_log(source, TERMS).completeness == "closed"
        whole = path.read_bytes()
        for damaged in (whole[: len(whole) // 2], whole[:-4] + b"\0\0\0\0", whole[:30] + b"\xff" + whole[31:]):
            path.write_bytes(damaged)
            assert verify_log(source, TERMS).integrity == "tampered"

    def test_several_segments_are_one_log(self, tmp_path: Path) -> None:
        path = write_session(tmp_path, small_session())
        lines = path.read_bytes().splitlines(keepends=True)
        second = path.with_name("2024-01-02-000002.jsonl")
        path.write_bytes(b"".join(lines[:3]))
        second.write_bytes(b"".join(lines[3:]))
        (source,) = find_logs(tmp_path)
        assert verify_log(source, TERMS).completeness == "closed"
        path.write_bytes(b"".join(lines[:3])[:-1])
        finding = verify_log(source, TERMS).finding
        assert finding is not None
        assert finding.file == str(second)
        path.unlink()
        assert [verify_log(source, TERMS).integrity for source in find_logs(tmp_path)] == ["tampered"]

    def test_an_object_that_is_not_what_its_name_says(self, tmp_path: Path) -> None:
        path = write_session(tmp_path, small_session())
        objects = path.parent / "objects"
        objects.mkdir()
        (objects / ("0" * 64)).write_bytes(b"rows")
        (source,) = find_logs(tmp_path)
        finding = verify_log(source, TERMS).finding
        assert finding is not None
        assert finding.file == str(objects / ("0" * 64))

    def test_a_fifo_or_a_folder_is_no_log(self, tmp_path: Path) -> None:
        if sys.platform != "win32":
            os.mkfifo(tmp_path / "fifo")
        for place in (tmp_path, tmp_path / "fifo"):
            assert verify_log(Source(label="x", files=(place,)), TERMS).integrity == "unreadable"
        assert verify_log(Source(label="x", files=(tmp_path / "missing",)), TERMS).integrity == "unreadable"

    def test_a_line_that_is_just_being_written_gets_its_end(self, tmp_path: Path) -> None:
        path = tmp_path / "live.jsonl"
        lines = sample().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:5]) + lines[5][:100])
        rest = [lines[5][100:200], lines[5][200:] + lines[6]]

        def more() -> None:
            with path.open("ab") as file:
                file.write(rest.pop(0) if rest else b"")

        (source,) = find_logs(path)
        assert verify_log(source, TERMS).completeness == "torn"
        report = verify_log(source, Terms(key=lambda _: KEY, pause=more))
        assert (report.integrity, report.completeness, report.entries) == ("intact", "closed", 7)


@given(st.binary(max_size=400), st.booleans())
def test_no_bytes_raise(content: bytes, after_a_good_start: bool) -> None:
    report = judge((sample() if after_a_good_start else b"") + content)
    assert report.integrity in (("tampered", "intact") if after_a_good_start else ("tampered", "unreadable", "not_a_log", "intact"))
    assert (report.integrity == "intact") == (after_a_good_start and content == b"")


@given(st.data())
def test_no_damage_raises_or_passes(data: st.DataObject) -> None:
    log = sample()
    start = data.draw(st.integers(0, len(log) - 1))
    end = data.draw(st.integers(start, min(len(log), start + 200)))
    put = data.draw(st.binary(max_size=50) | st.sampled_from([b"\n", b"{", b"}", b'"', b"null", b"[]", b"1e999", b"-0"]))
    spoiled = log[:start] + put + log[end:]
    report = judge(spoiled)
    cut_at_a_line_end = log.startswith(spoiled) and spoiled.endswith(b"\n")
    if spoiled != log and not cut_at_a_line_end:
        assert report.integrity != "intact" or report.torn_bytes


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_in_place_of_a_line_is_found(value: object) -> None:
    line = msgspec.json.encode(value)
    assert judge(line + b"\n").integrity in ("not_a_log", "tampered")
    assert judge(sample() + line + b"\n").integrity == "tampered"
    for member in (b'{"d":%b,"w":{},"s":{}}', b'{"d":{},"w":%b,"s":{"content":1}}', b'{"d":{},"w":{},"s":%b}'):
        assert judge(sample() + member.replace(b"%b", line) + b"\n").integrity == "tampered"
