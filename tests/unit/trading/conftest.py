"""Every test of the core runs as a session does: under the context that refuses to round."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dudzian_daemon.domain.money import exact_money


@pytest.fixture(autouse=True)
def money_is_exact() -> Iterator[None]:
    with exact_money():
        yield
