"""Stacks and exceptions as bounded, masked text for logs and wall fields. It knows no plugin."""

from __future__ import annotations

import sys
import traceback
from typing import Final

import msgspec

from dudzian_daemon.kernel.redaction import clean

#: What is kept of a text and of a stack, in characters; of a longer stack its end, where things went wrong.
LONGEST_TEXT: Final = 1_000
LONGEST_STACK: Final = 8_000


class Told(msgspec.Struct, frozen=True):
    """An exception for people: `text` is its class and message, `stack` where it came from, newest call last."""

    text: str
    stack: str


def told(error: BaseException) -> Told:
    """The exception as text, whatever its own methods do."""
    described = traceback.TracebackException.from_exception(error, limit=-32)
    text = "".join(described.format_exception_only()).strip()
    return Told(_masked(text)[:LONGEST_TEXT], _masked("".join(described.stack.format()))[-LONGEST_STACK:])


def stack_of(thread_id: int) -> str:
    """What a thread of this process is doing now: its twelve newest calls, the newest last; empty if it has ended."""
    frame = sys._current_frames().get(thread_id)
    return "" if frame is None else _masked("".join(traceback.format_stack(frame, limit=12)))[-LONGEST_STACK:]


def _masked(text: str) -> str:
    return str(clean(text))
