"""What HTTP answers mean: which are tried again, and when."""

from __future__ import annotations

import pytest

from dudzian_daemon.adapters.venue_answers import BadAnswer, Throttled, VenueDown, decoded, judge_status, retry_after_s, used_weight
from dudzian_daemon.domain.errors import Permanent

NOW_S = 1_700_000_000.0
JSON = {"Content-Type": "application/json;charset=UTF-8"}


@pytest.mark.parametrize("status", [500, 502, 503, 504, 507, 520, 408])
def test_faults_of_the_venue_may_pass(status: int) -> None:
    with pytest.raises(VenueDown, match=f"binance /x: HTTP {status}"):
        judge_status(status, JSON, "binance /x", NOW_S)


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 451])
def test_a_refusal_without_json_will_not_change(status: int) -> None:
    with pytest.raises(Permanent, match=f"HTTP {status}"):
        judge_status(status, {"Content-Type": "text/html"}, "binance /x", NOW_S)


def test_a_refusal_in_json_is_for_the_venues_client_to_read() -> None:
    judge_status(400, JSON, "binance /x", NOW_S)


@pytest.mark.parametrize(
    ("status", "headers", "pause_s"),
    [
        (429, {"retry-after": "7"}, 7.0),
        (418, {"Retry-After": "1800"}, 1800.0),
        (429, {"Retry-After": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        (429, {"Retry-After": "soon"}, 60.0),
        (429, {}, 60.0),
        (418, {}, 120.0),
        (429, {"Retry-After": "-5"}, 0.0),
        (418, {"Retry-After": "999999999"}, 259_200.0),
        (429, {"Retry-After": "nan"}, 60.0),
    ],
)
def test_a_limit_says_how_long_to_wait(status: int, headers: dict[str, str], pause_s: float) -> None:
    with pytest.raises(Throttled) as told:
        judge_status(status, headers, "binance /x", NOW_S)
    assert told.value.pause_s == pause_s


def test_success_says_nothing() -> None:
    judge_status(200, {}, "binance /x", NOW_S)


@pytest.mark.parametrize("text", ["", "null", "7", '"text"', "<html></html>", '[[1,"2"', "[NaN]", "[Infinity]", '{"a":1}}', "\x00\xff"])
def test_what_is_no_json_object_or_list_is_a_bad_answer(text: str) -> None:
    with pytest.raises(BadAnswer):
        decoded(text, "binance")


def test_objects_and_lists_are_read() -> None:
    assert decoded('{"a":[1]}', "binance") == {"a": [1]}
    assert decoded("[]", "binance") == []


def test_headers_are_found_in_any_case() -> None:
    assert used_weight({"X-MBX-USED-WEIGHT-1M": "4200"}, "x-mbx-used-weight-1m") == 4200
    assert used_weight({"X-MBX-USED-WEIGHT-1M": "many"}, "x-mbx-used-weight-1m") is None
    assert used_weight({"Other": "1"}, "") is None
    assert retry_after_s({"RETRY-AFTER": "3"}, NOW_S) == 3.0
