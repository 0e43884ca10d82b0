"""The alert sink: nobody is told twice of the same by accident, nobody is forgotten, and a channel that fails is told of on the others."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from dudzian_daemon.adapters.files import os_errors
from dudzian_daemon.domain import events
from dudzian_daemon.domain.alert_text import headline, text
from dudzian_daemon.domain.alerts import MEANINGS, Alert, AlertCode, Severity, alert
from dudzian_daemon.domain.errors import AuthFailed, ConfigError, Offline, Permanent, Retryable
from dudzian_daemon.domain.market import DAY_NS, Gap, WarmUp
from dudzian_daemon.domain.orders import Intent, OrderResult, OrderStatus, Outcome, RefusalCode, Side, Signal, Verdict
from dudzian_daemon.domain.records import Difference, RiskChange, StrategyChange, StrategyFault
from dudzian_daemon.sinks.alerts.book import MOST_WAITING, AlertBook, Delivery, book_path, read_book
from dudzian_daemon.sinks.alerts.watch import NO_NEWS
from tests.unit.sinks.alert_bench import LOG_ID, Bench, ScriptedChannel

BTC = "binance:BTC/USDT"
TRIP = RiskChange(
    profile="balanced", change="tripped", state="reducing", rule="max_daily_loss_pct", limit=Decimal("150"), value=Decimal("171.5")
)


def verdict(code: RefusalCode = RefusalCode.OPEN_POSITIONS, group: str = "trend/BTC/1/0", signal: str = "s1") -> Verdict:
    return Verdict(
        group_id=group,
        signal_id=signal,
        profile="balanced",
        outcome=Outcome.REFUSED,
        code=code,
        rule="max_open_positions",
        limit=Decimal(5),
        value=Decimal(6),
        headroom=Decimal(-1),
        requested=Decimal(1),
        approved=Decimal(0),
    )


def result(status: OrderStatus, code: str, group: str = "trend/BTC/1/0") -> OrderResult:
    return OrderResult(
        order_id=f"{group}.0",
        signal_id="s1",
        strategy="trend",
        instrument=BTC,
        side=Side.BUY,
        status=status,
        quantity=Decimal("0.5"),
        code=code,
    )


SIGNAL = Signal(instrument=BTC, intent=Intent.ENTER, reason="breakout", id="s1", strategy="trend")


# -- what is told ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "code", "severity", "words"),
    [
        ({"risk": (TRIP,)}, "RISK-DAILY-LIMIT", "critical", "171.50 lost, limit 150.00"),
        (
            {"risk": (RiskChange(profile="*", change="kill_switch", state="halted", rule="kill_switch", limit=None, value=None),)},
            "KILL-SWITCH",
            "critical",
            "on",
        ),
        (
            {"risk": (RiskChange(profile="balanced", change="leg_failed", state="active", rule="order_group", limit=None, value=None),)},
            "LEG-FAILED",
            "error",
            "lost a leg",
        ),
        (
            {"signals": (SIGNAL,), "verdicts": (verdict(),), "results": (result(OrderStatus.REJECTED, "open_positions"),)},
            "RISK-REFUSED",
            "warning",
            "trend refused with open_positions under balanced",
        ),
        (
            {"signals": (SIGNAL,), "verdicts": (verdict(RefusalCode.STOP_TOO_TIGHT),)},
            "RISK-POLICY-BREACH",
            "warning",
            "trend refused with stop_too_tight",
        ),
        ({"results": (result(OrderStatus.REJECTED, "insufficient_cash"),)}, "EXECUTION-REJECTED", "critical", "insufficient_cash"),
        (
            {"strategies": (StrategyChange(strategy="trend", change="quarantined", reason="blocking"),)},
            "STRATEGY-QUARANTINED",
            "error",
            "trend",
        ),
        (
            {"faults": (StrategyFault(strategy="trend", unit="u", where="decide", error="ValueError"),)},
            "STRATEGY-FAULT",
            "warning",
            "decide",
        ),
        ({"inputs": (Gap(9, BTC, "1d", 0, DAY_NS),)}, "DATA-LAG", "critical", "missing for good"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_a_cycle_tells_what_an_operator_must_know(
    tmp_path: Path, parts: dict[str, Any], code: str, severity: str, words: str
) -> None:
    channel = ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": channel})
    async with bench.running():
        bench.cycle(7, **parts)
        await bench.until(lambda: bool(channel.taken))
    (told,) = channel.taken
    assert (told.code, told.severity, told.category) == (code, severity, MEANINGS[AlertCode(code)].category)
    assert words in told.title and told.action == MEANINGS[AlertCode(code)].action
    assert (told.log_id, told.sequence, told.runbook) == (LOG_ID, 7, f"docs/reference/alerts.md#{code.lower()}")
    assert told.footer == f"journal {LOG_ID} sequence 7 line 8 hash {7:064x}"


@pytest.mark.parametrize(
    ("message", "topic", "code"),
    [
        (events.SessionState(state="frozen", log_id=LOG_ID, instant=0, detail="no space left"), events.SESSION_STATE, "JOURNAL-STOPPED"),
        (events.UnitState(name="session", state="failed", detail="StorageError: EIO"), events.UNIT_STATE, "JOURNAL-STOPPED"),
        (events.UnitState(name="telemetry", state="failed", detail="Permanent: x"), events.UNIT_STATE, "UNIT-FAILED"),
        (
            events.SelfCheckFailed(
                log_id=LOG_ID, differences=(Difference(rule="R1", sequence=3, subject="cash", expected="1", found="2"),), file="f.json"
            ),
            events.SELF_CHECK,
            "SELF-CHECK",
        ),
        (
            events.SessionRecovered(log_id=LOG_ID, sequence=9, checkpoint_line=1, rerun_cycles=2, torn_bytes=3),
            events.SESSION_RECOVERED,
            "SESSION-RECOVERED",
        ),
    ],
)
async def test_a_message_of_the_daemon_is_told_too(tmp_path: Path, message: object, topic: str, code: str) -> None:
    channel = ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": channel})
    async with bench.running():
        bench.bus.publish(topic, message)
        await bench.until(lambda: bool(channel.taken))
    assert channel.codes == [code]


async def test_a_disk_that_takes_lines_again_closes_the_alert(tmp_path: Path) -> None:
    channel = ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": channel})
    async with bench.running():
        for state in ("frozen", "running"):
            bench.bus.publish(events.SESSION_STATE, events.SessionState(state=state, log_id=LOG_ID, instant=0, detail=state))
        await bench.until(lambda: len(channel.taken) == 2)
    assert channel.codes == ["JOURNAL-STOPPED", "-JOURNAL-STOPPED"]
    assert [(each.state, each.operator) for each in (await bench.kept()).alerts] == [("closed", "daemon")]


async def test_a_store_that_lacks_bars_is_told_and_closed_by_the_daemon(tmp_path: Path) -> None:
    channel = ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": channel})
    told = events.FeedAlert(code="DATA-LAG", subject="binance:BTC/USDT 1d", active=True, seconds=0.0, detail="1 candles", in_store=True)
    async with bench.running():
        bench.bus.publish(events.FEED_ALERT, msgspec.structs.replace(told, in_store=False))  # late is another matter than lacking
        bench.bus.publish(events.FEED_ALERT, told)
        await bench.until(lambda: len(channel.taken) == 2)
        bench.bus.publish(events.FEED_ALERT, msgspec.structs.replace(told, active=False))
        await bench.until(lambda: len(channel.taken) == 3)
    assert channel.codes == ["DATA-LAG", "DATA-LAG", "-DATA-LAG"]


async def test_a_risk_alert_that_is_over_stays_open_for_a_person(tmp_path: Path) -> None:
    channel = ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": channel})
    async with bench.running():
        bench.cycle(1, risk=(TRIP,))
        bench.cycle(2, risk=(RiskChange(profile="balanced", change="reset", state="active", rule=TRIP.rule, limit=None, value=None),))
        await bench.until(lambda: len(channel.taken) == 2)
    assert channel.codes == ["RISK-DAILY-LIMIT", "-RISK-DAILY-LIMIT"]
    assert [(each.state, each.operator) for each in (await bench.kept()).alerts] == [("open", "")]


async def test_the_gaps_between_two_windows_of_stored_candles_are_no_lag(tmp_path: Path) -> None:
    channel = ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": channel})
    async with bench.running():
        bench.cycle(1, inputs=(Gap(9, BTC, "1h", 0, DAY_NS), WarmUp(9, BTC, "1h", 0, DAY_NS, 24, "0" * 64)))
        bench.cycle(2, risk=(TRIP,))
        await bench.until(lambda: bool(channel.taken))
    assert channel.codes == ["RISK-DAILY-LIMIT"]


async def test_an_outage_and_its_end_come_from_the_feed_and_close_each_other(tmp_path: Path) -> None:
    channel = ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": channel})
    outage = events.FeedAlert(code="ADAPTER-OFFLINE", subject="kraken", active=True, seconds=301.0, detail="kraken: no answer for 301 s")
    async with bench.running():
        bench.bus.publish(events.FEED_ALERT, outage)
        bench.bus.publish(events.FEED_ALERT, msgspec.structs.replace(outage, code="DATA-LAG", subject=f"{BTC} 1d"))
        bench.bus.publish(events.FEED_ALERT, msgspec.structs.replace(outage, active=False, detail="kraken: over after 400 s"))
        await bench.until(lambda: len(channel.taken) == 3)
    assert sorted(channel.codes) == ["-ADAPTER-OFFLINE", "ADAPTER-OFFLINE", "DATA-LAG"]
    told = {f"{each.code} {each.resolved}": (each.severity, each.title, each.subject) for each in channel.taken}
    assert told["ADAPTER-OFFLINE False"] == ("critical", "kraken: no answer for 301 s", "kraken")
    assert told["ADAPTER-OFFLINE True"] == ("info", "kraken: over after 400 s", "kraken")
    assert {(each.alert.code, each.state) for each in (await bench.kept()).alerts} == {("ADAPTER-OFFLINE", "closed"), ("DATA-LAG", "open")}


async def test_what_is_no_news_is_not_told(tmp_path: Path) -> None:
    channel = ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": channel})
    async with bench.running():
        for sequence, code in enumerate(sorted(NO_NEWS), start=1):
            bench.cycle(sequence, signals=(SIGNAL,), verdicts=(verdict(code),))
        bench.cycle(len(NO_NEWS) + 1, risk=(TRIP,))
        await bench.until(lambda: bool(channel.taken))
    assert channel.codes == ["RISK-DAILY-LIMIT"]


def changed(change: str, rule: str, state: str = "active") -> RiskChange:
    return RiskChange(profile="*", change=change, state=state, rule=rule, limit=None, value=None)


def channel_has(channel: ScriptedChannel, count: int) -> bool:
    return len(channel.taken) == count


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ([("market_closed", BTC), ("market_open", BTC)], ["MARKET-CLOSED", "-MARKET-CLOSED"]),
        ([("market_unknown", "binance:XYZ/USDT")], ["MARKET-CLOSED"]),
        ([("release_refused", "same_day")], ["RISK-RELEASE-REFUSED"]),
        ([("state_unknown", "self_check"), ("released", "self_check")], ["RISK-STATE-UNKNOWN", "-RISK-STATE-UNKNOWN"]),
    ],
)
async def test_changes_of_the_gate_are_told(tmp_path: Path, changes: list[tuple[str, str]], codes: list[str]) -> None:
    channel = ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": channel})
    async with bench.running():
        for sequence, (change, rule) in enumerate(changes, start=1):
            bench.cycle(sequence, risk=(changed(change, rule),))
            await bench.until(partial(channel_has, channel, sequence))
    assert channel.codes == codes


def seen(line: int) -> events.SessionHead:
    return events.SessionHead(log_id=LOG_ID, line=line, sequence=line - 2, line_hash="1", content="2", at=3, signed=f'{{"head":{line}}}')


async def test_heads_go_to_their_channel_each_hour_and_at_the_end_if_there_are_new_ones(tmp_path: Path) -> None:
    kept, other = ScriptedChannel(), ScriptedChannel()
    bench = Bench(tmp_path, {"email:kept": kept, "file:a": other}, head_channel="email:kept", health_interval_seconds=1_000_000)
    async with bench.running():
        for line in (100, 200):
            bench.bus.publish(events.SESSION_HEAD, seen(line))
            await bench.clock.advance(10)
        await bench.later(3_600, lambda: len(kept.taken) == 1)
        await bench.clock.advance(3_600)
        assert len(kept.taken) == 1, "nothing new"
        bench.bus.publish(events.SESSION_HEAD, seen(300))
    assert kept.codes == ["JOURNAL-HEAD"] * 2
    assert [each.head for each in kept.taken] == ['{"head":200}', '{"head":300}']
    assert other.taken == []
    assert (await bench.kept()).alerts == []


async def test_an_alert_carries_the_newest_signed_head_where_there_is_room_for_it(tmp_path: Path) -> None:
    channel = ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": channel})
    async with bench.running():
        bench.bus.publish(events.SESSION_HEAD, seen(100))
        await bench.clock.advance(1)
        bench.cycle(1, risk=(TRIP,))
        await bench.until(lambda: bool(channel.taken))
    (told,) = channel.taken
    assert told.head == '{"head":100}'
    assert text(told).endswith('\n{"head":100}')
    assert text(told, most=4_096).endswith('\n{"head":100}')
    assert text(told, most=320).endswith(told.footer)


# -- throttle, routes, health ------------------------------------------------------------------------------------------


async def test_ten_equal_warnings_are_one_and_nine_held_back_and_then_one_that_says_so(tmp_path: Path) -> None:
    channel = ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": channel})
    async with bench.running():
        for sequence in range(1, 11):
            bench.cycle(sequence, signals=(SIGNAL,), verdicts=(verdict(group=f"trend/BTC/{sequence}/0"),))
        await bench.until(lambda: len(bench.outcomes("__suppressed__")) == 9 and bool(channel.taken))
        await bench.clock.advance(290)
        assert len(channel.taken) == 1
        await bench.later(11, lambda: len(channel.taken) == 2)
    assert channel.taken[1].body.startswith("9 more of these; the newest: group trend/BTC/10/0")
    assert [line["status"] for line in bench.audit()].count("SUPPRESSED") == 9
    assert [(each.count, each.state) for each in (await bench.kept()).alerts] == [(10, "open")]


async def test_critical_alerts_are_never_held_back(tmp_path: Path) -> None:
    channel = ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": channel})
    async with bench.running():
        for sequence in (1, 2, 3):
            bench.cycle(sequence, risk=(TRIP,))
        await bench.until(lambda: len(channel.taken) == 3)
    assert len({each.key for each in channel.taken}) == 3


async def test_severities_go_their_own_ways(tmp_path: Path) -> None:
    sms, mail = ScriptedChannel(), ScriptedChannel()
    routes = {Severity.CRITICAL: ["sms:a"], Severity.WARNING: ["email:b"], Severity.ERROR: []}
    bench = Bench(tmp_path, {"sms:a": sms, "email:b": mail}, routes=routes)
    async with bench.running():
        bench.cycle(1, risk=(TRIP,), verdicts=(verdict(),), signals=(SIGNAL,))
        bench.bus.publish(events.UNIT_STATE, events.UnitState(name="report", state="failed"))
        await bench.until(lambda: bool(sms.taken) and bool(mail.taken))
        await bench.clock.advance(1)
    assert (sms.codes, mail.codes) == (["RISK-DAILY-LIMIT"], ["RISK-REFUSED"])
    lines = {(line["code"], line["channel"], line["status"]) for line in bench.audit()}
    assert lines == {("RISK-DAILY-LIMIT", "sms:a", "OK"), ("RISK-REFUSED", "email:b", "OK"), ("UNIT-FAILED", "__none__", "NO_CHANNEL")}


async def test_a_health_report_comes_every_interval_and_tells_of_every_channel(tmp_path: Path) -> None:
    good, bad = ScriptedChannel(), ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": good, "sms:b": bad}, check_interval_seconds=3_000)
    async with bench.running():
        bench.cycle(41)
        bad.check_fault = bad.wrong = Retryable("the operator is away")
        await bench.later(3_000, lambda: "ALERT-CHANNEL-FAIL" in good.codes)
        await bench.later(600, lambda: "HEALTH" in good.codes)
        await bench.later(3_600, lambda: good.codes.count("HEALTH") == 2)
    (report, _) = [each for each in good.taken if each.code is AlertCode.HEALTH]
    assert report.title == "demo at cycle 41" and "file:a ok" in report.body and "sms:b error (the operator is away)" in report.body
    assert good.codes.count("ALERT-CHANNEL-FAIL") == 1


async def test_channels_are_checked_at_their_own_pace_and_a_report_tells_of_the_newest_check(tmp_path: Path) -> None:
    one, bad = ScriptedChannel(), ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": one, "sms:b": bad}, check_interval_seconds=120, health_interval_seconds=400)
    async with bench.running():
        bad.check_fault = bad.wrong = Retryable("the operator is away")
        await bench.later(120, lambda: "ALERT-CHANNEL-FAIL" in one.codes)
        assert "HEALTH" not in one.codes
        await bench.later(280, lambda: "HEALTH" in one.codes)
    (report,) = [each for each in one.taken if each.code is AlertCode.HEALTH]
    assert "sms:b error (the operator is away)" in report.body


def more_than(channel: ScriptedChannel, asked: int) -> bool:
    return channel.asked > asked


# -- a channel that fails ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Retryable("429"), AuthFailed("401"), OSError("a fault of the plugin"), KeyError("x")], ids=repr)
async def test_a_failing_channel_is_told_of_once_its_alerts_wait_and_come_when_it_is_back(tmp_path: Path, fault: Exception) -> None:
    sms, telegram = ScriptedChannel(), ScriptedChannel()
    sms.wrong = fault
    bench = Bench(tmp_path, {"sms:a": sms, "telegram:b": telegram}, routes={Severity.CRITICAL: ["sms:a"], Severity.WARNING: ["sms:a"]})
    async with bench.running():
        bench.cycle(1, risk=(TRIP,))
        await bench.until(lambda: telegram.codes == ["RISK-DAILY-LIMIT", "ALERT-CHANNEL-FAIL"])
        bench.cycle(2, signals=(SIGNAL,), verdicts=(verdict(),))
        await bench.until(lambda: telegram.codes == ["RISK-DAILY-LIMIT", "ALERT-CHANNEL-FAIL", "RISK-REFUSED"])
        for pause in (5, 10, 20):
            asked = sms.asked
            await bench.clock.advance(pause - 1)
            assert sms.asked == asked, "tried again before its pause was over"
            await bench.later(1, partial(more_than, sms, asked))
            await bench.clock.settle()
        sms.wrong = None
        await bench.later(40, lambda: bench.outcomes("sms:a").count("sent RISK-REFUSED") == 1)
        await bench.until(lambda: "-ALERT-CHANNEL-FAIL" in telegram.codes)
    assert sms.codes[:2] == ["RISK-DAILY-LIMIT", "RISK-REFUSED"], "the most severe first"
    assert [line["code"] for line in bench.audit() if line["code"] == "ALERT-CHANNEL-FAIL" and not line["resolved"]] == [
        "ALERT-CHANNEL-FAIL"
    ]
    assert [line["fallback"] for line in bench.audit() if line["channel"] == "telegram:b"][:3] == [True, False, True]
    assert (await bench.kept()).waiting == []


async def test_a_channel_that_hangs_fails_after_its_deadline_and_holds_nobody_up(tmp_path: Path) -> None:
    slow, quick = ScriptedChannel(), ScriptedChannel()
    slow.hanging = True
    bench = Bench(tmp_path, {"sms:slow": slow, "telegram:quick": quick})
    async with bench.running():
        bench.cycle(1, risk=(TRIP,))
        await bench.until(lambda: quick.codes == ["RISK-DAILY-LIMIT"])
        await bench.clock.advance(3.9)
        assert bench.outcomes("sms:slow") == []
        await bench.later(0.2, lambda: "ALERT-CHANNEL-FAIL" in quick.codes)
    assert "no answer within 4 s" in quick.taken[1].body
    assert [each.channel for each in (await bench.kept()).waiting] == ["sms:slow"]


async def test_what_waits_is_sent_after_a_restart_says_so_and_the_failure_is_not_told_again(tmp_path: Path) -> None:
    first, other = ScriptedChannel(), ScriptedChannel()
    first.wrong = Retryable("down")
    bench = Bench(tmp_path, {"sms:a": first, "file:b": other})
    async with bench.running():
        bench.cycle(1, risk=(TRIP,))
        await bench.until(lambda: "ALERT-CHANNEL-FAIL" in other.codes)

    still, other = ScriptedChannel(), ScriptedChannel()
    still.wrong, still.check_fault = Retryable("down"), Retryable("down")
    bench = Bench(tmp_path, {"sms:a": still, "file:b": other})
    async with bench.running():
        await bench.until(lambda: bench.outcomes("sms:a") == [] and still.asked == 1)
        await bench.clock.settle()
    assert other.codes == []

    back, other = ScriptedChannel(), ScriptedChannel()
    bench = Bench(tmp_path, {"sms:a": back, "file:b": other})
    async with bench.running():
        await bench.until(lambda: "-ALERT-CHANNEL-FAIL" in other.codes and "RISK-DAILY-LIMIT" in back.codes)
    sent = next(each for each in back.taken if each.code is AlertCode.RISK_DAILY_LIMIT)
    assert sent.key == f"{LOG_ID}:1:RISK-DAILY-LIMIT:balanced" and "after a restart" in sent.repeat
    assert (await bench.kept()).waiting == []


async def test_an_alert_that_is_refused_for_good_is_not_tried_again(tmp_path: Path) -> None:
    picky, other = ScriptedChannel(Permanent("400")), ScriptedChannel()
    bench = Bench(tmp_path, {"telegram:a": picky, "file:b": other}, routes={Severity.CRITICAL: ["telegram:a"]})
    async with bench.running():
        bench.cycle(1, risk=(TRIP,))
        await bench.until(lambda: "RISK-DAILY-LIMIT" in other.codes)
        await bench.clock.advance(1_000)
        assert picky.asked == 1
        bench.cycle(2, risk=(TRIP,))
        await bench.until(lambda: picky.codes == ["RISK-DAILY-LIMIT"])


async def test_offline_is_no_failure(tmp_path: Path) -> None:
    far, near = ScriptedChannel(), ScriptedChannel()
    far.wrong = Offline("not asked")
    bench = Bench(tmp_path, {"telegram:a": far, "file:b": near})
    async with bench.running():
        bench.cycle(1, risk=(TRIP,))
        await bench.until(lambda: "offline RISK-DAILY-LIMIT" in bench.outcomes("telegram:a") and bool(near.taken))
    assert near.codes == ["RISK-DAILY-LIMIT"]
    assert [line["status"] for line in bench.audit() if line["channel"] == "telegram:a"] == ["OFFLINE"]


async def test_a_channel_without_its_credential_is_told_of_at_the_start(tmp_path: Path) -> None:
    near = ScriptedChannel()
    bench = Bench(tmp_path, {"telegram:a": "expected the token of a bot, found none", "file:b": near})
    async with bench.running():
        await bench.until(lambda: near.codes == ["ALERT-CHANNEL-FAIL"])
    assert "found none" in near.taken[0].body


async def test_when_every_channel_fails_all_is_on_disk(tmp_path: Path) -> None:
    channels = {name: ScriptedChannel() for name in ("sms:a", "email:b")}
    for each in channels.values():
        each.wrong = Retryable("down")
    bench = Bench(tmp_path, dict(channels))
    async with bench.running():
        bench.cycle(1, risk=(TRIP,))
        await bench.until(lambda: len(bench.outcomes("sms:a")) >= 2 and len(bench.outcomes("email:b")) >= 2)
    waiting = sorted((each.channel, str(each.alert.code)) for each in (await bench.kept()).waiting)
    fails = [("email:b", "ALERT-CHANNEL-FAIL"), ("sms:a", "ALERT-CHANNEL-FAIL")]
    assert waiting == sorted([("email:b", "RISK-DAILY-LIMIT"), ("sms:a", "RISK-DAILY-LIMIT"), *fails])


# -- the disk, and people ----------------------------------------------------------------------------------------------


async def test_an_alert_is_on_disk_before_it_is_sent(tmp_path: Path) -> None:
    seen: list[int] = []

    class Watching(ScriptedChannel):
        async def send(self, alert: Alert) -> str:
            seen.append(len(await anyio.to_thread.run_sync(lambda: read_book(tmp_path).waiting)))
            return await super().send(alert)

    channel = Watching()
    bench = Bench(tmp_path, {"file:a": channel})
    async with bench.running():
        bench.cycle(1, risk=(TRIP,))
        await bench.until(lambda: bool(channel.taken))
    assert seen == [1]


async def test_a_disk_that_refuses_holds_no_alert_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        with os_errors(tmp_path):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("dudzian_daemon.sinks.alerts.book.write_atomic", full)
    monkeypatch.setattr("dudzian_daemon.sinks.alerts.audit.LineFile.append", full)
    monkeypatch.setattr("dudzian_daemon.sinks.alerts.audit.write_atomic", full)
    channel = ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": channel})
    async with bench.running():
        bench.bus.publish(events.SESSION_STATE, events.SessionState(state="frozen", log_id=LOG_ID, instant=0, detail="no space left"))
        await bench.until(lambda: channel.codes == ["JOURNAL-STOPPED"])


async def test_a_critical_alert_has_an_incident_file_that_tells_who_closed_it(tmp_path: Path) -> None:
    channel = ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": channel})
    async with bench.running():
        bench.cycle(1, risk=(TRIP,))
        await bench.until(lambda: bool(channel.taken))
        (tracked,) = bench.sink.book.open()
        bench.sink.change(tracked.id[:4], "acknowledged", operator="jan", note="looking")
        bench.sink.change(tracked.id, "closed", operator="eva", note="flat since 10:02")
        with pytest.raises(ConfigError, match="is closed already, by eva"):
            bench.sink.change(tracked.id, "closed", operator="jan", note="")
        with pytest.raises(ConfigError, match="found '', which none has"):
            bench.sink.change("", "closed", operator="jan", note="")
    (path,) = (tmp_path / "audit" / "incidents").glob(f"2024-01-01-RISK-DAILY-LIMIT-{tracked.id}.json")
    document = json.loads(path.read_text())
    assert (document["state"], document["operator"], document["note"]) == ("closed", "eva", "flat since 10:02")
    assert document["alert"]["context"]["value"] == "171.5"


async def test_an_unreadable_book_is_told_and_begun_anew(tmp_path: Path) -> None:
    book_path(tmp_path).parent.mkdir()
    book_path(tmp_path).write_text("{}[")
    channel = ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": channel})
    async with bench.running():
        bench.cycle(1, risk=(TRIP,))
        await bench.until(lambda: bool(channel.taken))
    assert len((await bench.kept()).alerts) == 1


async def test_the_audit_of_an_earlier_day_is_put_aside(tmp_path: Path) -> None:
    channel = ScriptedChannel()
    bench = Bench(tmp_path, {"file:a": channel})
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "alerts_audit.jsonl").write_text('{"old": true}\n')
    os.utime(logs / "alerts_audit.jsonl", (1_704_000_000, 1_704_000_000))
    async with bench.running():
        bench.cycle(1, risk=(TRIP,))
        await bench.until(lambda: bool(channel.taken))
    assert (logs / "alerts_audit-20231231.jsonl").read_text() == '{"old": true}\n'
    assert [line["code"] for line in bench.audit()] == ["RISK-DAILY-LIMIT"]


def test_beyond_the_bound_the_least_severe_and_oldest_is_given_up() -> None:
    book = AlertBook()
    for number in range(MOST_WAITING):
        severe = AlertCode.DATA_LAG if number % 2 else AlertCode.HEALTH
        assert book.wait(Delivery(alert=alert(severe, str(number)), channel="a:b")) is None
    given_up = book.wait(Delivery(alert=alert(AlertCode.RISK_REFUSED, "new"), channel="a:b"))
    assert given_up is not None and (given_up.alert.code, given_up.alert.title) == (AlertCode.HEALTH, "0")
    assert len(book.waiting) == MOST_WAITING


def test_a_text_that_is_cut_keeps_its_footer() -> None:
    long = alert(AlertCode.RISK_REFUSED, "title", "x" * 500)
    with_footer = Alert(**{name: getattr(long, name) for name in long.__struct_fields__} | {"footer": "journal abc", "action": ""})
    assert text(with_footer, most=100).endswith("x ...\n-- journal abc") and len(text(with_footer, most=100)) <= 100
    assert headline(alert(AlertCode.DATA_LAG, "back", resolved=True)) == "[RESOLVED] DATA-LAG: back"
