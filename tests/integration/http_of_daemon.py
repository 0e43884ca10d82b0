"""A daemon asked by HTTP: its port, its figures, its kill switch."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from threading import Event
from typing import Any

from dudzian_daemon.kernel.clock import SECOND_NS, SystemClock
from dudzian_daemon.services.inbox import read_reply
from tests.integration.daemon_process import PATIENCE_S

TOKEN = "a token of more than sixteen characters"
VARIABLE = "DUDZIAN_KILL_SWITCH_TOKEN"


def port(home: Path) -> int:
    return int((home / "data" / "run" / "metrics.port").read_text())


def post(port: int, token: str | None = TOKEN, **headers: str) -> tuple[int, dict[str, Any]]:
    """What `POST /kill-switch` is answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    authorization = {} if token is None else {"Authorization": f"Bearer {token}"}
    connection.request("POST", "/kill-switch", headers={**authorization, **headers})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, json.loads(content) if response.headers.get_content_type() == "application/json" else {}


def pressed(home: Path) -> dict[str, Any]:
    """The reply to `POST /kill-switch` with the token. On a machine that is busy 202 comes before it: the command is in the inbox."""
    status, answer = post(port(home))
    assert (status in (200, 202), answer["accepted"]) == (True, True), (status, answer)
    clock = SystemClock()
    until_ns = clock.monotonic_ns() + round(PATIENCE_S * SECOND_NS)
    while (reply := read_reply(home / "data", answer["id"])) is None:
        assert clock.monotonic_ns() < until_ns, answer
        Event().wait(0.01)
    assert reply.accepted, reply
    return {**answer, "sequence": reply.sequence}


def scrape(port: int) -> dict[str, float]:
    """The figures, by name and labels as they are written."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return {name: float(figure) for name, _, figure in (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))}
