"""The zone of the machine is nobody's business: the same decisions, and files of the same names, under every one of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.daemon_process import LAST_LINE, daemon, report, short_config

pytestmark = pytest.mark.integration

#: A quarter of an hour beside the others, the far ends of the day, a zone that turns its clocks, and one that is none.
ZONES = ("Asia/Kathmandu", "Pacific/Kiritimati", "America/Adak", "Europe/Warsaw", "Not/A_Zone:*")


def left(home: Path, zone: str) -> tuple[str, list[str], list[str]]:
    """Content chain, names of the files, and what the last ones tell of time."""
    with daemon(home, "--config", short_config(home), "--no-ui", "--speed", "max", env={"TZ": zone}) as child:
        ended = child.end()
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended
    data = home / "data"
    names = sorted(path.relative_to(data).as_posix() for path in data.glob("data/ledger/**/*.jsonl"))
    days = [path.read_text(encoding="utf-8") for path in sorted(data.glob("data/ledger/**/*.jsonl"))]
    told = [stamp for text in days for stamp in re.findall(r'"timestamp":"([^"]+)"', text)]
    assert names and told
    return report(data)["content_chain"], names, told


@pytest.fixture(scope="module")
def in_utc(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str], list[str]]:
    return left(tmp_path_factory.mktemp("utc"), "UTC")


@pytest.mark.parametrize("zone", ZONES)
def test_a_zone_changes_nothing(tmp_path: Path, in_utc: tuple[str, list[str], list[str]], zone: str) -> None:
    assert left(tmp_path, zone) == in_utc
