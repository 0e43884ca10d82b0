"""Three months of hours of the whole basket from a venue of which every other answer is wrong: the store equals the truth."""

from __future__ import annotations

from pathlib import Path

import pytest
import stamina

from dudzian_daemon.adapters.venue_calls import ATTEMPTS
from tests.scenario.faulty_venue import KINDS, Storm, ceiling, filled

pytestmark = pytest.mark.integration


def test_the_store_equals_the_truth_and_every_fault_is_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dudzian_daemon.adapters.ccxt_client.TIMEOUT_S", 5.0)  # one answer hangs; none that comes is too late
    with stamina.set_testing(True, attempts=ATTEMPTS, cap=True):
        found = filled(tmp_path, Storm(seed=6, share=0.5, retry_after_s=1), days=92)
    assert found.wrong == []
    assert found.rows >= 8 * 91 * 24
    assert (found.again_requests, found.again_equal) == (0, True)
    assert set(found.met) == set(KINDS)
    assert found.unlogged() == {}
    assert found.too_early() == []
    assert found.busiest_minute() <= ceiling()
