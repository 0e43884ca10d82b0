"""Structured logs: an event name and keys per line, as JSON or for people, with secrets masked. Knows no event.

Importing this costs little: structlog and orjson are loaded by `configure` or by the first logger.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO

from dudzian_daemon.kernel.clock import Clock, SystemClock, iso_utc
from dudzian_daemon.kernel.log_output import FILE_BYTES, FILES_KEPT, Output, RotatingFile, TextStream
from dudzian_daemon.kernel.redaction import clean, forget_secrets, register_secret

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["LogFile", "bind_cycle", "close", "configure", "forget_secrets", "logger", "lost_lines", "register_secret"]

Event = MutableMapping[str, Any]

_cycle: ContextVar[int | None] = ContextVar("cycle", default=None)
#: Texts of several lines; anything else is kept on one.
_TRACES: Final = ("exception", "stack")


class LogFile(NamedTuple):
    """A log file: JSON lines or lines for people, `size` bytes before it is rotated, `kept` predecessors."""

    path: Path
    json: bool = True
    size: int = FILE_BYTES
    kept: int = FILES_KEPT


class _Sink:
    """What structlog and stdlib logging both end in; before `configure` and after `close` that is stderr, in between it may be nothing."""

    def __init__(self) -> None:
        self.clock: Clock = SystemClock()
        self.outputs: list[Output] | None = None
        self._last_resort = Output(lambda event: _json_renderer()(event), TextStream(None), background=False)

    def write(self, event: dict[str, Any]) -> None:
        for output in (self._last_resort,) if self.outputs is None else self.outputs:
            output.put(event)

    debug = info = warning = error = critical = exception = msg = write


class _Bridge(logging.Handler):
    """Takes what libraries log with the standard library."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):  # the library's arguments do not fit its own format
            text = str(record.msg)
        event: Event = {"event": text, "level": record.levelname.lower(), "component": record.name, "exc_info": record.exc_info}
        _sink.write(_finish(event))


def configure(
    level: str = "INFO",
    *,
    json: bool = False,
    stream: TextIO | None = None,
    file: LogFile | Path | None = None,
    background: bool = False,
    quiet: bool = False,
    clock: Clock | None = None,
) -> None:
    """Log from `level` on to `stream` (default: stderr), for people if it is a terminal and `json` is false, and to `file`.

    `background` writes from a thread behind a bounded queue, so that neither a slow disk nor a stalled reader of the stream
    holds the loop. `quiet` leaves the stream out. May be called again. Raises `ValueError` for an unknown level, `OSError` if
    the file cannot be opened.
    """
    numeric = logging.getLevelNamesMapping().get(level.upper())
    if not numeric:
        msg = f"expected a log level (DEBUG, INFO, WARNING, ERROR, CRITICAL), found {level!r}"
        raise ValueError(msg)
    close()
    _sink.clock = clock or SystemClock()
    outputs = list[Output]()
    if file is not None:
        kept = file if isinstance(file, LogFile) else LogFile(file)
        target = RotatingFile(kept.path, size=kept.size, kept=kept.kept)
        outputs.append(Output(_json_renderer() if kept.json else _human_renderer(colours=False), target, background=background))
    if not quiet:
        screen = TextStream(stream)
        render = _json_renderer() if json or not screen.is_terminal() else _human_renderer(colours=not os.environ.get("NO_COLOR"))
        outputs.append(Output(render, screen, background=background))
    _sink.outputs = outputs
    _set_up_structlog(numeric)
    logging.getLogger().addHandler(_bridge)
    logging.getLogger().setLevel(max(numeric, logging.WARNING))
    logging.captureWarnings(capture=True)


def close() -> None:
    """Undo `configure`: write out what waits, close the outputs, leave the standard library's logging alone.

    Loggers stay usable: warnings and errors go to stderr.
    """
    if _sink.outputs is None:
        return
    _set_up_structlog(logging.WARNING)
    logging.getLogger().removeHandler(_bridge)
    logging.captureWarnings(capture=False)
    outputs, _sink.outputs = _sink.outputs, None
    for output in outputs:
        output.close()


def logger(name: str) -> FilteringBoundLogger:
    """The logger of a part of the daemon, `component` in its lines; it follows later calls of `configure` and `close`."""
    import structlog

    if not structlog.is_configured():
        _set_up_structlog(logging.WARNING)
    bound: FilteringBoundLogger = structlog.get_logger(component=name)
    return bound


def bind_cycle(sequence: int | None) -> None:
    """Stamp `cycle` on everything this task (and tasks it starts) logs from now on; None ends that."""
    _cycle.set(sequence)


def lost_lines() -> int:
    """Lines that could not be written since `configure`: a full or failing disk, a closed stream, a queue that overflowed."""
    return sum(output.lost for output in _sink.outputs or ())


def _set_up_structlog(level: int) -> None:
    import structlog

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, _hand_over],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_the_sink,
        cache_logger_on_first_use=False,
    )


def _the_sink(*_arguments: Any) -> _Sink:
    return _sink


def _hand_over(_logger: Any, _method: str, event: Event) -> tuple[tuple[dict[str, Any]], dict[str, Any]]:
    return (_finish(event),), {}


def _finish(event: Event) -> dict[str, Any]:
    """Time, level, event and cycle first, exceptions as text, everything masked and printable."""
    from structlog.processors import format_exc_info

    event = format_exc_info(None, "", event)
    head = {"timestamp": iso_utc(_sink.clock.wall_ns()), "level": event.pop("level", "info"), "event": event.pop("event", "")}
    cycle = _cycle.get()
    if cycle is not None:
        head["cycle"] = cycle
    finished: dict[str, Any] = clean({**head, **event})
    return finished


def _json_renderer() -> Callable[[dict[str, Any]], bytes]:
    import orjson  # here and not at the first line: an import needs descriptors, and there may be none left by then

    def render(event: dict[str, Any]) -> bytes:
        return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)

    return render


def _human_renderer(*, colours: bool) -> Callable[[dict[str, Any]], bytes]:
    from structlog.dev import ConsoleRenderer, plain_traceback

    console = ConsoleRenderer(colors=colours, exception_formatter=plain_traceback)

    def render(event: dict[str, Any]) -> bytes:
        single = {key: text.replace("\n", "\\n") if isinstance(text, str) and key not in _TRACES else text for key, text in event.items()}
        return f"{console(None, '', single)}\n".encode()

    return render


_sink: Final = _Sink()
_bridge: Final = _Bridge()
atexit.register(close)
