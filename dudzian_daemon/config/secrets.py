"""Finds secrets that were written where only their names belong. Never repeats what it found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from dudzian_daemon.config.provenance import Document, Path, Problem, leaves

_SECRET_KEY: Final = re.compile(r"(^|_)(secret|token|password|passwd|passphrase|(api|private|hmac)_?key|signing_key)s?(_value)?$", re.I)
#: Shorter values (a count of tokens, say) hide nothing.
_SHORTEST: Final = 4
#: Fields of the schema that name a secret kept elsewhere.
_REFERENCES: Final = frozenset({"keychain_key", "signing_key_id", "rbac_tokens", "token_id", "credential_purpose", "purpose"})
_ENCODED: Final = re.compile(r"[0-9a-fA-F]{32,}|(?=[^0-9]*[0-9])(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])[A-Za-z0-9+/_-]{24,}={0,2}")


def looks_secret(value: str) -> bool:
    """True for long hex or base64 text and for PEM blocks."""
    return "-----BEGIN" in value or _ENCODED.fullmatch(value.strip()) is not None


def secret_problems(document: Document) -> Iterator[Problem]:
    """A problem for every literal that looks like a secret, placed at its value."""
    for path, value in leaves(document.tree):
        if not isinstance(value, (str, int)) or isinstance(value, bool) or len(str(value)) < _SHORTEST:
            continue
        words = [part for part in path if isinstance(part, str)]
        if _names_secret(words):
            yield document.problem(path, "a secret is written here; keep it in the keychain and write its name in keychain_key")
        elif isinstance(value, str) and ("-----BEGIN" in value or (_is_reference(path, words) and looks_secret(value))):
            yield document.problem(path, "this looks like the secret itself; write the name of its keychain entry")


def _names_secret(words: list[str]) -> bool:
    return bool(words) and words[-1] not in _REFERENCES and _SECRET_KEY.search(words[-1]) is not None


def _is_reference(path: Path, words: list[str]) -> bool:
    return path[:1] == ("credentials",) or (bool(words) and words[-1] in _REFERENCES)
