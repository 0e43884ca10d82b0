"""`--watch`: what a command shows, told again whenever it has become something else, until Ctrl-C or until the daemon has ended."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Annotated, Final, NoReturn

import msgspec
import typer

from dudzian_daemon.cli.output import emit_json, emit_line, emit_text, nobody_reads, note
from dudzian_daemon.domain.errors import ConfigError, Retryable

Watch = Annotated[bool, typer.Option("--watch", help="Again whenever there is something new, until Ctrl-C.")]
Interval = Annotated[float, typer.Option("--interval", metavar="SECONDS", help="With --watch: from one look to the next, 0.05 to 3600.")]
#: As often as a daemon writes its snapshot.
EVERY: Final = 0.5
_LEAST, _MOST = 0.05, 3_600.0
_CLEAR: Final = "\x1b[H\x1b[2J"


class Seen(msgspec.Struct, frozen=True):
    """One look: whether a daemon runs, what is told as JSON (each a line while it is watched), the same for people.

    A look that differs in `written_at` alone has found nothing new.
    """

    running: bool
    documents: list[object]
    text: str

    @property
    def news(self) -> object:
        """What is compared with the look before."""
        parts = [each | {"written_at": None} if isinstance(each, dict) else each for each in self.documents]
        return self.running, parts


def show(look: Callable[[], Seen], *, watch: bool, interval: float, as_json: bool) -> NoReturn:
    """Tell it once and exit 0 while a daemon runs, else 1; or watch it. Raises what the look raises, `ConfigError` for the interval."""
    if watch:
        follow(look, interval, as_json=as_json)
    seen = look()
    if as_json:
        emit_json(seen.documents[0])
    else:
        emit_text(seen.text)
    raise typer.Exit(0 if seen.running else 1)


def follow(look: Callable[[], Seen], interval: float, *, as_json: bool, adding: bool = False) -> NoReturn:
    """Tell what each look finds that the one before did not; exit 0 after Ctrl-C or with nobody reading, 1 once the daemon has ended.

    `adding` is for looks that find only what is new: nothing is cleared before it. Where no daemon runs, one is waited for.
    """
    if not _LEAST <= interval <= _MOST:  # also nan
        msg = f"--interval: expected seconds from {_LEAST:g} to {_MOST:,.0f}, found {interval:g}"
        raise ConfigError(msg)
    import anyio

    signal.signal(signal.SIGINT, _end)
    try:
        anyio.run(_told_until_its_end, look, interval, as_json, adding)
    except BrokenPipeError:  # `... --watch | head`
        nobody_reads()
        raise typer.Exit(0) from None
    note("the daemon has ended")
    raise typer.Exit(1)


async def _told_until_its_end(look: Callable[[], Seen], interval: float, as_json: bool, adding: bool) -> None:
    import anyio.to_thread

    from dudzian_daemon.kernel.clock import SystemClock

    clock, told, ran, waiting = SystemClock(), None, False, ""
    while True:
        try:
            seen = await anyio.to_thread.run_sync(look)
        except Retryable as error:  # it is starting, or busy
            waiting = _once(str(error), waiting)
        else:
            if seen.news != told:
                _tell(seen, as_json=as_json, clear=not adding)
            told = None if adding else seen.news
            if ran and not seen.running:
                return
            ran = seen.running
            waiting = "" if ran else _once("no daemon runs there; waiting for one (Ctrl-C ends)", waiting)
        await clock.sleep(interval)


def _once(text: str, said: str) -> str:
    if text != said:
        note(text)
    return text


def _tell(seen: Seen, *, as_json: bool, clear: bool) -> None:
    if as_json:
        for document in seen.documents:
            emit_line(document)
    elif seen.text:
        screen = clear and _on_a_screen()
        parted = clear and not screen
        emit_text((_CLEAR if screen else "") + seen.text + ("\n" if parted else ""))
    sys.stdout.flush()


def _on_a_screen() -> bool:
    """Whether stdout is a terminal that may be cleared: a console of old Windows would show the codes."""
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "dumb") == "dumb" or sys.platform == "win32"
    return sys.stdout.isatty() and not plain


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    """Ctrl-C, however often: everything that was told is flushed already."""
    os._exit(0)
