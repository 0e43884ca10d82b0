"""The scan of one YAML file: values from their text, positions, and what is refused before anything is built."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.config.scan import MAX_DEPTH, scan


def messages(text: str) -> list[str]:
    return [problem.text for problem in scan(text, "f").problems]


def test_numbers_are_made_from_their_text() -> None:
    tree = scan("a: 0.1\nb: 0.10\nc: -1e-8\nd: 175000\ne: 12345678901234567890.123456789\n", "f").tree
    assert tree == {
        "a": Decimal("0.1"),
        "b": Decimal("0.10"),
        "c": Decimal("-1e-8"),
        "d": 175000,
        "e": Decimal("12345678901234567890.123456789"),
    }
    assert str(tree["b"]) == "0.10" and type(tree["d"]) is int


def test_words_dates_and_quotes_stay_text() -> None:
    tree = scan("a: yes\nb: 2020-10-15\nc: '0.1'\nd: on\ne: true\nf: null\ng:\nh: 12:30:45\n", "f").tree
    assert tree == {"a": "yes", "b": "2020-10-15", "c": "0.1", "d": "on", "e": True, "f": None, "g": None, "h": "12:30:45"}


def test_every_key_and_value_knows_its_place() -> None:
    scanned = scan("a:\n  b: [x, {c: 1}]\nd:\n", "f")
    places = {path: (source.line, source.column) for path, source in scanned.values.items()}
    assert places == {
        (): (1, 1),
        ("a",): (2, 3),
        ("a", "b"): (2, 6),
        ("a", "b", 0): (2, 7),
        ("a", "b", 1): (2, 10),
        ("a", "b", 1, "c"): (2, 14),
        ("d",): (3, 1),
    }
    assert (scanned.keys["a", "b"].line, scanned.keys["a", "b"].column) == (2, 3)


def test_all_duplicate_keys_are_found_and_the_first_value_stays() -> None:
    scanned = scan("a: 1\nb: {x: 1, x: 2}\na: {y: 1, y: 2}\na: 3\n", "f")
    assert scanned.tree == {"a": 1, "b": {"x": 1}}
    assert [(problem.line, problem.key, problem.message.split(";")[0]) for problem in scanned.problems] == [
        (2, "b.x", "duplicate key"),
        (3, "a", "duplicate key"),
        (3, "a.y", "duplicate key"),
        (4, "a", "duplicate key"),
    ]
    assert scanned.problems[-1].message == "duplicate key; first written on line 1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &x 1\n", "f:1:4 a: an anchor (&x); anchors and aliases are not allowed"),
        ("a: 1\nb: *x\n", "f:2:4 b: an alias (*x); write the value out"),
        ("a: !!python/object:os.system x\n", "f:1:4 a: a tag (!); tags are not allowed, quote a value to make it text"),
        ("a: ! x\n", "f:1:4 a: a tag (!); tags are not allowed, quote a value to make it text"),
        ("%YAML 1.1\n---\na: yes\n", "f:2:1: a % directive stands before the document; remove it"),
        ("a: 1\n---\nb: 1\n", "f:2:1: a second document (---) begins; expected one document per file"),
        ("? [a]\n: 1\n", "f:1:3: expected a word as the key, found a mapping or list"),
        ("a:\n\tb: 1\n", "f:2:1: a tab; YAML is indented and separated with spaces"),
        ("a: \x01\n", "f:1:4: a control character (U+0001) is not allowed"),
        ("a: [1\n", "f:2:1: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"),
        ("a: b: c\n", "f:1:5: mapping values are not allowed here"),
        ('a: "\\UFFFFFFFF"\n', "f:1:1: not readable as YAML after this place"),
    ],
)
def test_what_a_configuration_has_no_need_of_is_refused(text: str, expected: str) -> None:
    assert messages(text) == [expected]


@pytest.mark.parametrize("number", ["1_000", "0x10", "0o17", "010", "+5", ".5", "5.", ".inf", "-.INF", ".nan", "1e999", "1" * 40])
def test_numbers_in_other_spellings_are_refused(number: str) -> None:
    assert messages(f"a: {number}\n") == [f"f:1:4 a: expected a plain decimal number, found {number}; quote it if it is text"]


def test_nesting_ends_at_the_limit() -> None:
    assert messages("[" * MAX_DEPTH + "]" * MAX_DEPTH) == []
    deep = scan("[" * 5000, "f")
    assert deep.broken and [problem.message for problem in deep.problems] == [f"nested deeper than {MAX_DEPTH} levels"]


@given(st.text(alphabet=st.sampled_from("ab:,- \n\t[]{}#&*!|>'\"%@`?\\0x1U.\r\x07\ufeff\x85"), max_size=60))
def test_no_text_raises(text: str) -> None:
    scanned = scan(text, "f")
    assert not scanned.broken or scanned.problems
