"""A real daemon whose channels are out: what it trades is the same, what it had to tell is on disk, and the next run tells it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemon_process import LASTING, cycles, daemon, dudzian, journal_lines, short_config

pytestmark = pytest.mark.integration

TOKEN = "canary-token-of-a-webhook-0123456789"


class Desk(ThreadingHTTPServer):
    """Takes what a webhook posts; while `hanging`, it answers nobody."""

    daemon_threads = True

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.go_on = threading.Event()
        super().__init__(("127.0.0.1", 0), _Answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class _Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Desk)
        self.server.go_on.wait()
        self.server.taken.append(json.loads(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@contextmanager
def desk() -> Iterator[Desk]:
    with Desk() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()


def alerts_yaml(config: Path, url: str) -> None:
    channel = f"{{timeout_seconds: 60, credential_env: DESK_TOKEN, parameters: {{url: '{url}'}}}}"
    text = f"version: 1\nalerts:\n  channels:\n    webhook: {{desk: {channel}}}\n"
    (config.parent / "alerts.yaml").write_text(text + "  routes: {critical: ['webhook:desk'], warning: ['webhook:desk', 'file:local']}\n")


def audit(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "data" / "logs" / "alerts_audit.jsonl").read_text(encoding="utf-8").splitlines()]


CHANNELS = (
    "alert_channels: [file:local]\n    replay:\n      speed: 160000\n      windows",
    "alert_channels: [file:local, 'webhook:desk']\n    replay:\n      speed: 160000\n      windows",
)
TIGHT = ("    max_daily_loss_pct: 0.015", "    max_daily_loss_pct: 0.0001")


def test_a_channel_that_hangs_changes_no_decision_and_what_waits_is_sent_by_the_next_run(tmp_path: Path) -> None:
    plain, watched = tmp_path / "plain", tmp_path / "watched"
    config = short_config(plain, tight=TIGHT)
    ended = dudzian(plain, "run", "--config", config, "--data-dir", plain / "data", "--speed", "max", "--no-ui")
    assert ended.code == 0, ended.err
    with desk() as server:
        config = short_config(watched, tight=TIGHT, channels=CHANNELS)
        alerts_yaml(config, server.url)
        arguments = ("--config", config, "--data-dir", watched / "data", "--speed", "max", "--no-ui")
        env = {"DESK_TOKEN": TOKEN}
        ended = dudzian(watched, "run", *arguments, env=env)
        assert (ended.code, ended.last_line) == (0, "Shutdown complete"), ended.err
        assert cycles(journal_lines(watched / "data")) == cycles(journal_lines(plain / "data"))
        book = json.loads((watched / "data" / "run" / "alerts.json").read_text(encoding="utf-8"))
        waiting = [each["alert"]["code"] for each in book["waiting"] if each["channel"] == "webhook:desk"]
        assert "RISK-DAILY-LIMIT" in waiting and server.taken == []

        server.go_on.set()
        ended = dudzian(watched, "run", *arguments, env=env)
        assert ended.code == 0, ended.err
    sent = [each["code"] for each in server.taken]
    assert sorted(waiting) == sorted(each["code"] for each in server.taken if "after a restart" in each.get("repeat", ""))
    first = next(each for each in server.taken if each["code"] == "RISK-DAILY-LIMIT")
    assert first["key"].endswith(f":{first['sequence']}:RISK-DAILY-LIMIT:balanced") and first["footer"].startswith(
        f"journal {first['log_id']} "
    )
    assert "RISK-DAILY-LIMIT" in sent
    assert [line for line in audit(watched) if line["status"] == "OK" and line["channel"] == "webhook:desk"]
    assert list((watched / "data" / "audit" / "incidents").glob("*-RISK-DAILY-LIMIT-*.json"))
    everything = b"".join(path.read_bytes() for path in (watched / "data").rglob("*") if path.is_file()).decode("utf-8", "replace")
    assert TOKEN not in everything + ended.out + ended.err


def test_a_critical_alert_is_acknowledged_in_a_running_daemon(tmp_path: Path) -> None:
    config = short_config(tmp_path, tight=TIGHT, lasting=LASTING)
    data = ("--data-dir", tmp_path / "data")
    with daemon(tmp_path, "--config", config, "--speed", "100000", "--no-ui", faults="") as running:
        running.wait_for_line("paper only")
        alert_id = ""
        while not alert_id:
            listed = dudzian(tmp_path, "alerts", "list", "--json", *data)
            document = json.loads(listed.out)
            alert_id = next((each["id"] for each in document["alerts"] if each["alert"]["code"] == "RISK-DAILY-LIMIT"), "")
        done = dudzian(tmp_path, "alerts", "close", alert_id[:6], "--operator", "jan", "--note", "flat", *data)
        assert (done.code, done.out) == (0, f"alert {alert_id} closed by jan\n"), done.err
        again = dudzian(tmp_path, "alerts", "ack", alert_id, *data)
        assert (again.code, "is closed already, by jan" in again.err) == (2, True)
        dudzian(tmp_path, "stop", *data)
        running.end()
    (incident,) = (tmp_path / "data" / "audit" / "incidents").glob(f"*-{alert_id}.json")
    assert json.loads(incident.read_text())["note"] == "flat"
