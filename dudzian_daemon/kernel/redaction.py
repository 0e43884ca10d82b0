"""Masks secrets in what is logged, shown or sent: by the name of a key, and by registered values wherever they occur."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, quote_plus

MASK: Final = "***"
SHORTEST_SECRET: Final = 4
_DEEPEST: Final = 12
#: A key is secret if it is one of these words or ends with `_` and one of them, whatever its case, with `-` as `_`.
_SECRET_WORDS: Final = (
    "password passwd passphrase secret token authorization cookie api_key apikey api_secret hmac_key signing_key private_key secret_key"
)
_SECRET_KEY: Final = re.compile(rf"(.*_)?({'|'.join(_SECRET_WORDS.split())})")
#: Variables that hold a secret under a name that does not say so.
_SECRET_VARIABLES: Final = frozenset({"DECISION_KEY"})
#: Shorter values of variables (`SOME_TOKEN=1`) are no secrets, and masking them would mask half of every text.
_SHORTEST_OF_ENVIRONMENT: Final = 8
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_UNPRINTABLE: Final = re.compile(r"[^\n\t -~\u00a0-\U0010ffff]|[\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NEVER: Final = re.compile(r"(?!)")


class _Registry:
    """Registered values with their usual spellings, as one pattern."""

    def __init__(self) -> None:
        self.spellings: set[str] = set()
        self.pattern = _NEVER

    def add(self, spellings: Iterator[str]) -> None:
        self.spellings.update(each for each in spellings if len(each) >= SHORTEST_SECRET)
        longest_first = sorted(self.spellings, key=lambda each: (-len(each), each))
        self.pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else _NEVER


_registry: Final = _Registry()


def register_secret(value: str | bytes) -> None:
    """Mask `value` from now on in every string: as it is, percent-encoded, as JSON or Python text, in hex and in base64.

    Raises `ValueError` for less than four characters, which cannot be told from ordinary text.
    """
    if len(value) < SHORTEST_SECRET:
        msg = f"a secret of less than {SHORTEST_SECRET} characters cannot be masked"
        raise ValueError(msg)
    _registry.add(_spellings(value))


def register_environment(env: Mapping[str, str]) -> None:
    """Mask the values of all variables whose names say that they hold a secret (`CORE_SCHEDULER_TOKEN`, `DECISION_KEY`)."""
    for name, value in env.items():
        if len(value) >= _SHORTEST_OF_ENVIRONMENT and (is_secret_key(name) or name in _SECRET_VARIABLES):
            register_secret(value)


def forget_secrets() -> None:
    """Forget all registered values."""
    _registry.spellings.clear()
    _registry.pattern = _NEVER


def mask_text(text: str) -> str:
    """`text` with every registered value replaced by `***`."""
    return _registry.pattern.sub(MASK, text)


@lru_cache(maxsize=1024)
def is_secret_key(key: str) -> bool:
    """Whether the value under this key is to be masked whatever it is: `password`, `bot_token`, `X-Api-Key`, not `signing_key_id`."""
    return _SECRET_KEY.fullmatch(_CAMEL.sub("_", key).replace("-", "_").lower()) is not None


def clean(value: Any, *, depth: int = 0) -> Any:
    """A copy of `value` made of plain JSON types, with secrets masked and control characters spelled out.

    Newlines and tabs stay. Objects other than the JSON types become their text.
    """
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, str):
        return _clean_text(value)
    if depth == _DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        return {_clean_text(str(key)): _clean_member(str(key), member, depth) for key, member in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(member, depth=depth + 1) for member in value]
    return _clean_text(str(value))


def _clean_member(key: str, member: Any, depth: int) -> Any:
    if member is not None and not isinstance(member, bool) and is_secret_key(key):
        return MASK
    return clean(member, depth=depth + 1)


def _clean_text(text: str) -> str:
    text = mask_text(text)
    return text if text.isascii() and text.isprintable() else _UNPRINTABLE.sub(_spell_out, text)


def _spell_out(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _spellings(value: str | bytes) -> Iterator[str]:
    if isinstance(value, str):
        raw = value.encode("utf-8", "surrogateescape")
        yield from (value, quote(value, safe="", errors="replace"), quote_plus(value, errors="replace"))
        yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1])
    else:
        raw = value
        yield from (repr(value)[2:-1], raw.decode("utf-8", "replace"), raw.decode("latin-1"))
    yield from (raw.hex(), raw.hex().upper())
    for shift in range(3):
        yield from _in_base64(raw, shift)


def _in_base64(raw: bytes, shift: int) -> Iterator[str]:
    """What base64 makes of `raw` when `shift` bytes stand before it, without the characters that its neighbours decide."""
    text = base64.b64encode(bytes(shift) + raw).decode().rstrip("=")
    inner = text[(shift * 8 + 5) // 6 : -1 if (shift + len(raw)) % 3 else None]
    yield from (inner, inner.replace("+", "-").replace("/", "_"))
