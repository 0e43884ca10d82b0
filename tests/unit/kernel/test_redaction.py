from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dudzian_daemon.kernel.redaction import MASK, clean, forget_secrets, is_secret_key, mask_text, register_environment, register_secret


@pytest.fixture(autouse=True)
def no_secrets_left() -> Iterator[None]:
    yield
    forget_secrets()


@pytest.mark.parametrize(
    "key",
    [
        *("password", "PASSWORD", "passphrase", "secret", "client_secret", "token", "botToken", "X-Auth-Token", "Authorization", "api_key"),
        *("apiKey", "X-MBX-APIKEY", "hmac_key", "signing_key", "risk_signing_key", "Set-Cookie", "cookie", "private-key"),
    ],
)
def test_keys_whose_values_are_secret(key: str) -> None:
    assert is_secret_key(key)
    assert clean({"outer": [{key: "value"}, {key: {"nested": 1}}, {key: 12345}]}) == {"outer": [{key: MASK}] * 3}
    assert clean({key: None}) == {key: None}


@pytest.mark.parametrize(
    "key",
    ["signing_key_id", "token_count", "tokens", "secretary", "keychain_key", "key", "apikeys_found", "cookies_sent", "has_password_file"],
)
def test_keys_whose_values_are_not(key: str) -> None:
    assert clean({key: "value"}) == {key: "value"}


SECRETS = st.one_of(st.text(min_size=4, max_size=40), st.binary(min_size=4, max_size=40))


@settings(max_examples=60)
@given(secret=SECRETS, before=st.binary(max_size=5), after=st.binary(max_size=5))
def test_a_registered_secret_is_found_in_every_spelling(secret: str | bytes, before: bytes, after: bytes) -> None:
    forget_secrets()
    register_secret(secret)
    raw = secret if isinstance(secret, bytes) else secret.encode()
    encoded = base64.b64encode(before + raw + after).decode()
    assert MASK in mask_text(encoded)
    assert mask_text(f"x{raw.hex()}y{raw.hex().upper()}z") == f"x{MASK}y{MASK}z"
    if isinstance(secret, str):
        assert secret not in mask_text(f"<{secret}|{secret}>")
        assert mask_text("a=" + quote_plus(secret)) == f"a={MASK}"
        assert mask_text(json.dumps([secret])) == f'["{MASK}"]'
        assert mask_text(repr([secret]))[2:-2] == MASK
        assert secret not in str(clean({"text": ["see", (secret,)], secret: 1, "error": ValueError(secret)}))
    else:
        assert mask_text(repr(secret))[2:-1] == MASK


def test_longer_secrets_are_masked_before_the_shorter_ones_they_contain() -> None:
    register_secret("hunter")
    register_secret("hunter22")
    assert mask_text("hunter22 hunter2 hunter") == f"{MASK} {MASK}2 {MASK}"


def test_basic_authorization_in_a_text_is_masked() -> None:
    register_secret("correct horse")
    header = base64.b64encode(b"operator:correct horse").decode()
    assert mask_text(f"Basic {header}") == f"Basic {header[:12]}{MASK}{header[-3:]}"


@pytest.mark.parametrize("secret", ["", "abc", b"\x00\x01"])
def test_what_is_too_short_to_be_told_from_text_is_refused(secret: str | bytes) -> None:
    with pytest.raises(ValueError, match="less than 4 characters"):
        register_secret(secret)


def test_objects_become_plain_json_types() -> None:
    register_secret("hunter22")
    value = {
        "path": Path("data") / "hunter22",
        "price": Decimal("1.50"),
        "set": {1},
        "big": 2**70,
        "float": 1.5,
        "none": None,
        3: True,
    }
    assert clean(value) == {"path": f"data/{MASK}", "price": "1.50", "set": [1], "big": str(2**70), "float": 1.5, "none": None, "3": True}


def test_cycles_end() -> None:
    knot: dict[str, object] = {}
    knot["self"] = knot
    assert "..." in json.dumps(clean(knot))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain żółć 東京 €", "plain żółć 東京 €"),
        ("two\nlines\tand tab", "two\nlines\tand tab"),
        ("\x1b[31mred\x1b[0m\r\x00\x7f", "\\x1b[31mred\\x1b[0m\\r\\x00\\x7f"),
        ("c1 \x9b31m \x85", "c1 \\x9b31m \\x85"),
        ("line\u2028paragraph\u2029", "line\\u2028paragraph\\u2029"),
        ("bidi \u202etxt\u2066", "bidi \\u202etxt\\u2066"),
        ("lone \ud800", "lone \\ud800"),
    ],
)
def test_control_characters_are_spelled_out(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned
    assert clean({text: [text]}) == {cleaned: [cleaned]}


def test_variables_that_hold_secrets_are_masked_by_their_names() -> None:
    register_environment(
        {"MY_SCHEDULER_TOKEN": "abcdefgh-1", "DECISION_KEY": "ijklmnop-2", "SOME_TOKEN": "1", "PATH": "/usr/bin/of-the-machine"}
    )
    assert mask_text("abcdefgh-1 ijklmnop-2 1 /usr/bin/of-the-machine") == f"{MASK} {MASK} 1 /usr/bin/of-the-machine"
