"""Whether a line of a log is, byte for byte, what the holder of its key would have written there, and what is wrong if not.

The road of an intact line is short, since a long log is judged line by line: its seal is compared as text with the one that is due,
its MAC and its raw hash are made anew, and `d` and `w` are spelled anew. Only a line that fails is taken apart to name the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Final, Generic, NoReturn, TypeVar

import msgspec

from dudzian_daemon.adapters.journal_format import ALGORITHM, UNSIGNED, Hmac, Line, decode, encode, split
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.trading.content import ORIGIN

#: What a seal ends with: in a signed log the MAC, `,"mac":"`, 64 digits, `"}}`; in an unsigned one only `}}`.
_MAC_END: Final = re.compile(rb',"mac":"[0-9a-f]{64}"\}\}')
_MAC_NAME: Final = ',"mac":"'
_MAC_BYTES: Final = 75
_UNSIGNED_END: Final = b"}}"
_LINK_BYTES: Final = 64
_SHOWN: Final = 100


class Mismatch(Exception):
    """What was expected of a log, and what it has instead."""

    def __init__(self, expected: str, found: object) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = shown(found)


def shown(found: object) -> str:
    """Text for people of something that comes from the file: short, and without control characters for their terminal."""
    text = found if isinstance(found, str) and found.isprintable() else repr(found)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def taken_apart(line: bytes) -> Line:
    """The members of a line; raises `Mismatch` if it has others."""
    try:
        return split(line)
    except ValueError as error:
        raise Mismatch("one JSON object with the members d, w, s and nothing else", f"other text ({error})") from None


E = TypeVar("E")


class Proven(msgspec.Struct, Generic[E], frozen=True, gc=False):
    """Lines in a row that are what was written; item n of each list is of line n of them.

    `texts` are what stands before the seals: `d` and `w` as canonical JSON, but for the brace that would close it. `contents` are the
    links that the seals claim, `hashes` the raw hashes.
    """

    entries: list[E]
    texts: list[bytes]
    contents: list[str]
    hashes: list[str]


class LineProof:
    """Follows the lines of one log. Without a key a signed log is followed too: all but its MACs is proven then."""

    __slots__ = ("_mac", "_seal_end", "_seal_head", "_signed", "key_id", "line", "log_id", "previous")

    def __init__(self, log_id: str, *, signed: bool) -> None:
        self.log_id = log_id
        self.line = 0
        self.previous = ORIGIN
        self._signed = signed
        self._seal_head = f',"s":{{"log":"{log_id}","line":'
        self.hand_over("", None)

    def hand_over(self, key_id: str, key: SigningKey | None) -> None:
        """The lines that follow are sealed by this key."""
        self.key_id = key_id
        self._mac = Hmac(key.secret) if key is not None and self._signed else None
        algorithm = f'{ALGORITHM}"{_MAC_NAME}' if self._signed else f'{UNSIGNED}"'
        self._seal_end = f'","key":{encode(key_id).decode()},"alg":"{algorithm}'

    def go_back(self, lines: int, previous: str) -> None:
        """The last `lines` that were proven are not taken; `previous` is the raw hash of the line before them."""
        self.line -= lines
        self.previous = previous

    def prove(self, lines: list[bytes], read: Callable[[list[bytes]], list[E]], link: str = "") -> Proven[E]:
        """The next lines, given without newlines, up to the first that is not what is due. Raises `Mismatch` if that is the first.

        `read` is what takes their texts apart; `link` the content link that all of them should claim, if that is known.
        """
        texts, contents, hashes = self._fitting(lines, link)
        if link and not texts:  # another link is no matter of the seal
            texts, contents, hashes = self._fitting(lines[:1], "")
        entries = read(texts)
        count = len(entries)
        if not count:
            self._name_difference(lines[0])
        self.line += count
        self.previous = hashes[count - 1]
        return Proven(entries, texts[:count], contents[:count], hashes[:count])

    def _fitting(self, lines: list[bytes], link: str) -> tuple[list[bytes], list[str], list[str]]:
        """Texts, links and hashes of lines whose seals and MACs fit, spelled canonically or not. Every microsecond here counts."""
        previous, head, seal_end, mac = self.previous, self._seal_head, self._seal_end, self._mac
        end_bytes = _MAC_BYTES if self._signed else len(_UNSIGNED_END)
        link_end = end_bytes + len(seal_end) - (len(_MAC_NAME) if self._signed else 0)
        link_begin = link_end + _LINK_BYTES
        texts: list[bytes] = []
        contents: list[str] = []
        hashes: list[str] = []
        for number, line in enumerate(lines, self.line + 1):
            content = link or line[-link_begin:-link_end].decode("latin-1")
            if mac is None:
                end = self._claimed_end(line)
            else:  # as `mac.hexdigest`, without the call
                inner, outer = mac.inner.copy(), mac.outer.copy()
                inner.update(line[:-end_bytes])
                outer.update(inner.digest())
                end = outer.hexdigest() + '"}}'
            text = line.removesuffix(f'{head}{number},"prev":"{previous}","content":"{content}{seal_end}{end}'.encode("latin-1"))
            if len(text) == len(line):
                break
            previous = sha256(line).hexdigest()
            texts.append(text)
            contents.append(content)
            hashes.append(previous)
        return texts, contents, hashes

    def _claimed_end(self, line: bytes) -> str:
        """How a line ends that has no MAC, or one that cannot be proven."""
        if not self._signed:
            return _UNSIGNED_END.decode()
        end = line[-_MAC_BYTES:]
        return end[len(_MAC_NAME) :].decode("latin-1") if _MAC_END.fullmatch(end) else ""

    def _name_difference(self, line: bytes) -> NoReturn:
        """Raise what is wrong with a line that is not the one due, the plainest reason first."""
        seal = taken_apart(line).s
        expectations = (
            ("log id", self.log_id, seal.log),
            ("line", self.line + 1, seal.line),
            ("hash of the line before", self.previous, seal.prev),
            ("key id", self.key_id, seal.key),
            ("algorithm", ALGORITHM if self._signed else UNSIGNED, seal.alg),
        )
        for name, expected, found in expectations:
            if expected != found:
                raise Mismatch(f"{name} {expected}", found)
        if bool(seal.mac) != self._signed:
            raise Mismatch("a MAC" if self._signed else "no MAC in an unsigned log", seal.mac or "none")
        if self._mac is not None and not self._is_respelled(line):
            raise Mismatch(f"a line whose bytes fit its MAC under the given key {self.key_id}", f"MAC {seal.mac}, which does not fit")
        raise Mismatch("the canonical form", "JSON that is not spelled canonically")

    def _is_respelled(self, line: bytes) -> bool:
        """Whether the line's canonical spelling would be the one that was written."""
        try:
            canonical = encode(decode(line))
        except (ValueError, RecursionError):
            return True  # not JSON of one spelling at all: members of a line were found in it, so its numbers or text are odd
        body, end = canonical[:-_MAC_BYTES], canonical[-_MAC_BYTES:]
        return self._mac is None or end == f'{_MAC_NAME}{self._mac.hexdigest(body)}"}}}}'.encode()
