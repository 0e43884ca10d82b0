"""Logs of a test are captured as parsed JSON lines, whether or not it looks at them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dudzian_daemon.kernel import logs

LogLines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def log_lines() -> Iterator[LogLines]:
    stream = io.StringIO()
    logs.configure("DEBUG", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logs.close()
    logs.forget_secrets()
