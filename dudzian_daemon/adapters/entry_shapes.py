"""Reads the entries of a projection as records of the members that entries of their kind have, in half the time of dictionaries.

Which members those are is learned from the log itself. That cannot make a wrong entry right: an entry counts as read if the record, spelled
anew, gives its very bytes, and what does not is read as whatever it holds (docs/decisions/0013-shapes-of-entries.md).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any, Final

from msgspec import defstruct
from msgspec.json import Decoder

from dudzian_daemon.adapters.entry_reading import Entry, closed, read_entries, spelled

_MOST_KINDS: Final = 32


class Shapes:
    """What is known of the kinds of one log. Those of `never` are not learned: their entries are of interest one by one."""

    def __init__(self, never: frozenset[str]) -> None:
        self._never = never
        self._members: dict[str, tuple[str, ...]] = {}
        self._kinds: dict[type, str] = {}
        self._read: Callable[[bytes], list[Any]] | None = None
        self._learning = True

    def read(self, texts: list[bytes]) -> list[Any]:
        """What the texts hold, up to the first that holds something else or is not spelled canonically: all records, or each an `Entry`."""
        if self._read is not None:
            joined = closed(texts)
            try:
                records = self._read(joined)
                if spelled(records) == joined:
                    return records
            except (ValueError, RecursionError):
                pass  # a kind or members that are not known, or no entry at all
        entries = read_entries(texts)
        if self._learning:
            self._learn(entries)
        return entries

    def kinds(self, entries: list[Any]) -> list[str]:
        """The kinds of entries if they are records, else none."""
        try:
            return [self._kinds[type(entry.d)] for entry in entries]
        except KeyError:
            return []

    def _learn(self, entries: list[Entry]) -> None:
        for d in (entry.d for entry in entries):
            if type(d) is not dict or next(iter(d), "") != "kind" or type(d["kind"]) is not str or d["kind"] in self._never:
                continue
            self._learning &= self._members.setdefault(d["kind"], tuple(d)) == tuple(d) and all(map(str.isidentifier, (d["kind"], *d)))
        self._learning &= len(self._members) <= _MOST_KINDS
        self._kinds, self._read = {}, None  # where a kind has sometimes these and sometimes other members, records do not pay
        if self._learning and self._members:
            self._kinds = {_record(kind, members): kind for kind, members in self._members.items()}
            entry = defstruct("EntryOfRecord", [("d", reduce(or_, self._kinds)), ("w", Any)], forbid_unknown_fields=True, gc=False)
            self._read = Decoder(entry).decode_lines


def _record(kind: str, members: tuple[str, ...]) -> type:
    """A record of these members, which may have any JSON values."""
    names = {f"member_{number}": member for number, member in enumerate(members[1:])}
    fields = [(name, Any) for name in names]
    return defstruct("Record", fields, rename=names, tag_field="kind", tag=kind, forbid_unknown_fields=True, gc=False)
