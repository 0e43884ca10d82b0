"""Takes the text of entries apart and tells, by spelling them anew, whether each is canonical JSON.

A text is what stands before a line's seal, `{"d":...,"w":...`: the brace that closes it is put behind it where it is read, many at once.

A cycle is read as a record of the members that cycles have, and spelled once: the bytes serve its content link too. What is no cycle
of these members, or is none at all, is read as whatever it holds.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec
from msgspec import UNSET

from dudzian_daemon.adapters.journal_format import encode

_D_NAME: Final = b'{"d":'
_W_NAME: Final = b',"w":'
_CYCLE: Final = _D_NAME + b'{"kind":"cycle",'
_QUIET: Final = _D_NAME + b'{"kind":"quiet","cycles":['
#: Closes a text and ends its line.
_CLOSE: Final = b"}\n"


#: Tuples, since an empty one, as most are, takes no memory.
Row: TypeAlias = tuple[Any, ...]
Rows: TypeAlias = tuple[Row, ...]
_ARRAYS: Final = (tuple, list)


class Cycle(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The members of a cycle, in their order, as the JSON values that they are: nothing is converted, so nothing is lost."""

    kind: Any
    sequence: Any
    instant: Any
    phase: Any
    due: Row
    inputs: Rows
    signals: Row
    verdicts: Row
    results: Row
    fills: Row
    positions: Row
    risk: Row
    strategies: Row
    faults: Row
    entries: Row
    cash: Any
    equity: Any
    books: Any

    @property
    def names_frame(self) -> bool:
        """Whether its inputs stand on the tape."""
        inputs: Any = self.inputs  # lists, or anything, where it was read as a dictionary
        if not isinstance(inputs, _ARRAYS) or len(inputs) != 1:
            return False
        return isinstance(inputs[0], _ARRAYS) and list(inputs[0][:1]) == ["frame"]


class Entry(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What a seal covers."""

    d: Any
    w: Any

    @property
    def kind(self) -> object:
        """What the entry says that it is; None if it says nothing."""
        return self.d.get("kind") if type(self.d) is dict else None


class Cycles(msgspec.Struct, gc=False):
    """An entry of the kind `cycle` with one cycle, or of the kind `quiet` with several: each of them and its canonical bytes."""

    kind: str
    cycles: list[Cycle]
    raws: list[bytes]
    w: Any


class _CycleEntry(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    d: Cycle
    w: Any


class _Group(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    kind: Any
    cycles: list[Cycle]


class _QuietEntry(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    d: _Group
    w: Any


_of_lines: Final = msgspec.json.Decoder(Entry).decode_lines
_of_cycle: Final = msgspec.json.Decoder(_CycleEntry).decode
_of_group: Final = msgspec.json.Decoder(_QuietEntry).decode
#: The spelling of many values, each with a newline.
spelled: Final = msgspec.json.Encoder().encode_lines


def d_bytes(text: bytes, w: Any) -> bytes:
    """Canonical bytes of `d` in the text of `d` and `w`."""
    return text[len(_D_NAME) : -(len(encode(w)) + len(_W_NAME))]


def closed(texts: list[bytes]) -> bytes:
    """The texts as lines of JSON, in one piece."""
    return _CLOSE.join([*texts, b""])


def cycle_of(value: Any) -> Cycle:
    """What has not just the members of a cycle, as one: those that it lacks are UNSET."""
    members = value if type(value) is dict else {}
    return Cycle(*(members.get(name, UNSET) for name in Cycle.__struct_fields__))


def read_entries(texts: list[bytes]) -> list[Entry]:
    """What the texts hold, up to the first that holds something else or is not spelled canonically: many at a time, of any kind.

    Spelled anew the values have no newline in them, so equal bytes mean that each text is the spelling of its own value.
    """
    joined = closed(texts)
    try:
        entries = _of_lines(joined)
        if spelled(entries) == joined:
            return entries
    except (ValueError, RecursionError):
        pass  # one of them is none, or nests too deeply: which one is found by halves
    if len(texts) <= 1:
        return []
    half = len(texts) // 2
    first = read_entries(texts[:half])
    return first if len(first) < half else first + read_entries(texts[half:])


def read_session(texts: list[bytes]) -> list[Entry | Cycles]:
    """As `read_entries`, for a session, whose entries mostly are cycles."""
    entries: list[Entry | Cycles] = []
    for text in texts:
        entry = _cycles(text)
        if entry is not None:
            entries.append(entry)
        elif others := read_entries([text]):
            entries += others
        else:
            break
    return entries


def _cycles(text: bytes) -> Cycles | None:
    """The cycles of an entry; None if it is none of cycles as they are written, or is not spelled canonically."""
    try:
        if text.startswith(_CYCLE):
            one = _of_cycle(text + b"}")
            raw = encode(one.d)
            if text == b"".join((_D_NAME, raw, _W_NAME, encode(one.w))):
                return Cycles("cycle", [one.d], [raw], one.w)
        elif text.startswith(_QUIET):
            group = _of_group(text + b"}")
            raws = [encode(cycle) for cycle in group.d.cycles]
            if text == b"".join((_QUIET, b",".join(raws), b"]}", _W_NAME, encode(group.w))):
                return Cycles("quiet", group.d.cycles, raws, group.w)
    except (ValueError, RecursionError):
        pass
    return None
