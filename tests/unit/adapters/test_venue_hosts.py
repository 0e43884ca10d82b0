"""Which hosts a venue's client may reach."""

from __future__ import annotations

import pytest

from dudzian_daemon.adapters.venue_hosts import host_rules
from dudzian_daemon.domain.errors import ConfigError, Permanent
from dudzian_daemon.domain.venues import VenueProfile

PROFILE = VenueProfile(
    name="binance",
    hosts=("data-api.binance.vision", "api.binance.com"),
    stream_hosts=("data-stream.binance.vision",),
    granularities=("1h",),
    candles_per_call=1000,
    weight_limit=6000,
)


def test_without_settings_the_venues_own_hosts_are_allowed_over_tls() -> None:
    rules = host_rules(PROFILE)
    rules.require("https://data-api.binance.vision/api/v3/klines?symbol=X")
    rules.require("wss://data-stream.binance.vision/ws")
    rules.require("wss://data-stream.binance.vision:9443/ws")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/",
        "https://fapi.binance.com/fapi/v1",
        "http://data-api.binance.vision/",
        "https://data-api.binance.vision:8443/",
        "https://data-api.binance.vision.example.org/",
        "https://data-api.binance.vision@example.org/",
        "http://127.0.0.1:9200/",
        "https://[::1]/",
        "file:///etc/passwd",
        "",
    ],
)
def test_every_other_host_is_refused(url: str) -> None:
    with pytest.raises(Permanent, match="binance: "):
        host_rules(PROFILE).require(url)


def test_a_configured_loopback_is_the_only_host_there_is() -> None:
    rules = host_rules(PROFILE, "http://127.0.0.1:9200")
    assert rules.moved("https://data-api.binance.vision/api/v3") == "http://127.0.0.1:9200/api/v3"
    assert rules.moved("wss://data-stream.binance.vision/ws") == "ws://127.0.0.1:9200/ws"
    for url in (
        "https://data-api.binance.vision/",
        "http://127.0.0.1:9201/",
        "wss://data-stream.binance.vision/ws",
        "http://127.0.0.2:9200/",
    ):
        assert rules.problem(url)
    rules.require("http://127.0.0.1:9200/api/v3/klines")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "https://example.org",
        "http://api.binance.com",
        "ftp://127.0.0.1",
        "127.0.0.1:9200",
        "http://127.0.0.1:9200/api",
        "http://user:secret@127.0.0.1:9200",
        "http://127.0.0.1:port",
        "http://0.0.0.0:9200",
        "http://10.0.0.5:9200",
    ],
)
def test_another_address_refuses_to_start(url: str) -> None:
    with pytest.raises(ConfigError, match=r"binance: adapter_settings\.base_url: expected"):
        host_rules(PROFILE, url)


def test_a_stream_address_is_held_to_the_same() -> None:
    with pytest.raises(ConfigError, match=r"adapter_settings\.ws_url"):
        host_rules(PROFILE, "", "wss://stream.example.org")
    rules = host_rules(PROFILE, "", "ws://localhost:9300")
    assert rules.moved("wss://data-stream.binance.vision/ws") == "ws://localhost:9300/ws"
    rules.require("https://data-api.binance.vision/")


def test_a_table_of_urls_is_judged_as_a_whole() -> None:
    rules = host_rules(PROFILE)
    with pytest.raises(ConfigError, match=r"ws\.spot: host 'evil\.example'.*private: host 'evil\.example'"):
        rules.require_all(
            {"public": "https://api.binance.com/api", "ws": {"spot": "wss://evil.example/ws"}, "private": "https://evil.example"}
        )
