"""`dudzian session head`: what it prints of a session of the daemon, and of none."""

from __future__ import annotations

import json
from pathlib import Path

from dudzian_daemon.adapters.heads import read_heads
from tests.integration.daemon_process import dudzian, journal_lines, session_folder, short_config


def test_the_newest_head_names_the_last_line_and_can_be_kept_elsewhere(tmp_path: Path) -> None:
    config, data = short_config(tmp_path), tmp_path / "data"
    assert dudzian(tmp_path, "run", "--data-dir", data, "--config", config, "--no-ui", "--speed", "max").code == 0
    place = ("--data-dir", data, "--config", config)
    told = dudzian(tmp_path, "session", "head", *place)
    folder, last = session_folder(data), journal_lines(data)[-1]
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith(f"session {folder.name}: line {last['s']['line']}, cycle {last['d']['sequence']}, seen at ")
    kept = tmp_path / "head.json"
    kept.write_text(dudzian(tmp_path, "session", "head", folder.name[:8], *place, "--json").out, encoding="utf-8")
    (signed,) = read_heads(kept)
    assert (signed.head.line, signed.head.content) == (last["s"]["line"], last["s"]["content"])
    assert json.loads(told.out.splitlines()[1])["head"]["line"] == last["s"]["line"]

    (folder / "heads.log").unlink()
    missing = dudzian(tmp_path, "session", "head", *place)
    assert (missing.code, missing.out) == (2, "")
    assert "found none: its first one comes after" in missing.err
    assert dudzian(tmp_path, "session", "head", "nowhere", *place).code == 2
