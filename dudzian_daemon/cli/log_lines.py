"""Log lines of a command that tells its findings itself: shown where a person asks for them, nowhere otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from dudzian_daemon.kernel import logs

Verbose = Annotated[bool, typer.Option("--verbose", help="Log lines on stderr too, such as every request that failed.")]


@contextmanager
def log_lines(*, shown: bool) -> Iterator[None]:
    """While the block runs, log to stderr, or to nobody."""
    logs.configure("INFO", quiet=not shown)
    try:
        yield
    finally:
        logs.close()
