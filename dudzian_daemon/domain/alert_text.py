"""An alert as text for people: its headline, and all of it, cut to what a channel takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dudzian_daemon.domain.alerts import Alert

#: Texts of fewer characters do without the signed head.
HEAD_FITS: Final = 1_000


def headline(each: Alert) -> str:
    """The first line of the text, and the subject of a mail."""
    state = "RESOLVED" if each.resolved else each.severity.upper()
    return f"[{state}] {each.code}: {each.title}"


def text(each: Alert, *, most: int | None = None) -> str:
    """The alert as text for people; with `most`, cut to so many characters, the footer kept and, where it fits, the signed head."""
    tail = "\n".join(_tail(each, with_head=most is None or most >= HEAD_FITS))
    head = "\n".join(line for line in (headline(each), each.body) if line)
    if most is not None and len(head) + len(tail) + 1 > most:
        head = f"{head[: max(0, most - len(tail) - 5)]} ..."
    return "\n".join(part for part in (head, tail) if part)[:most]


def _tail(each: Alert, *, with_head: bool) -> Iterator[str]:
    if each.action:
        yield f"Do: {each.action.replace('`', '')}"
    if each.runbook:
        yield f"More: {each.runbook}"
    if each.repeat:
        yield f"Repeat: {each.repeat}"
    if each.footer:
        yield f"-- {each.footer}"
    if each.head and with_head:
        yield each.head
