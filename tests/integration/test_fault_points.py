"""The fault walk of the [long] checks leaves no point out: each that the product names is passed by one of its scenarios."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.long.fault_walk import scenarios

PRODUCT = Path(__file__).resolve().parents[2] / "dudzian_daemon"
#: A point, or the prefix of some: `fault_point("manifest.commit")`, `faults="tape"`.
#: Passed by a process that is told to stop, which no scenario is; nothing is written there.
ASKED = "stop.asked"
NAMED = re.compile(r'fault_point\("([\w.]+)"|\bfaults(?:: str)? = "(\w+)"|\bfaults="(\w+)"')


@pytest.mark.integration
def test_every_named_point_is_walked(tmp_path: Path) -> None:
    texts = [path.read_text(encoding="utf-8") for path in PRODUCT.rglob("*.py")]
    named = {point or f"{default or prefix}." for text in texts for point, default, prefix in NAMED.findall(text)}
    assert {"manifest.commit", "archive.unlink", "tape.", "files.", "journal.", "ledger."} <= named
    walked = {point for _, points, _ in scenarios(tmp_path) for point in points}
    assert {point for point in named if not any(each.startswith(point) for each in walked)} == {ASKED}
