"""Any valid configuration survives being written and read; no damage to one ends in anything but problems with a place."""

from __future__ import annotations

import io
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from dudzian_daemon.config import universe
from dudzian_daemon.config.canonical import canonical, canonical_full, from_canonical
from dudzian_daemon.config.check import ConfigErrors
from dudzian_daemon.config.environment import Environment, Replay, ReplayWindow
from dudzian_daemon.config.fields import Granularity
from dudzian_daemon.config.load import load
from dudzian_daemon.config.paper import PaperOverride, PaperTrading
from dudzian_daemon.config.risk import InstrumentBucket, Risk, RiskProfile
from dudzian_daemon.config.runtime import Runtime, Schedule, Scheduler
from dudzian_daemon.config.schema import CoreConfig, Strategy

GRANULARITY: st.SearchStrategy[Granularity] = st.sampled_from(get_args(Granularity))
FRACTION = st.decimals(0, 1, places=6)
AMOUNT = st.decimals(0, 10**9, places=8)
STEP = st.decimals(Decimal("1e-8"), 10**6, places=8)
TEXT = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=20)
NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,12}", fullmatch=True)
SCALAR = st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9).map(lambda value: round(value, 6)) | TEXT
PROFILE = st.builds(
    RiskProfile,
    max_daily_loss_pct=FRACTION,
    max_position_pct=FRACTION,
    target_volatility=FRACTION,
    max_leverage=st.decimals(0, 100, places=2),
    stop_loss_atr_multiple=FRACTION,
    max_open_positions=st.integers(0, 100),
    hard_drawdown_pct=FRACTION,
)
RULES = st.builds(universe.VenueRules, symbol=st.just("AB"), tick_size=STEP, lot_size=STEP, min_quantity=AMOUNT, min_notional=AMOUNT)


@st.composite
def windows(draw: st.DrawFn, pairs: list[str]) -> ReplayWindow:
    start = draw(st.dates(date(2015, 1, 1), date(2030, 1, 1)))
    days = draw(st.integers(1, 3000))
    chosen = draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=2))
    return ReplayWindow(start=start, end=start + timedelta(days=days), instruments=tuple(chosen), granularity=draw(GRANULARITY))


@st.composite
def configurations(draw: st.DrawFn) -> CoreConfig:
    """A valid configuration with every kind of reference in it."""
    bases = draw(st.lists(st.sampled_from(["BTC", "ETH", "SOL", "X1", "ADA"]), min_size=1, max_size=3, unique=True))
    entries = {f"{base}_USDT": universe.InstrumentEntry(base=base, quote="USDT", venues={"v": draw(RULES)}) for base in bases}
    pairs, names = list(entries), draw(st.lists(NAME, min_size=5, max_size=5, unique=True))
    profile, strategy, bucket, scheduler, environment = names
    schedule = Schedule(
        strategy=strategy,
        instrument_bucket=bucket,
        risk_profile=profile,
        interval=draw(GRANULARITY),
        cadence_seconds=draw(st.integers(1, 86_400)),
    )
    paper = PaperTrading(
        initial_balances={"USDT": draw(AMOUNT)},
        position_size=draw(st.decimals("0.001", 1, places=3)),
        maker_fee=draw(st.decimals("-0.01", "0.1", places=4)),
    )
    return CoreConfig(
        version=1,
        default_environment=environment,
        environments={
            environment: Environment(
                description=draw(TEXT),
                mode="paper",
                exchange="v",
                candle_source="sample",
                risk_profile=profile,
                scheduler=scheduler,
                adapter_settings=draw(st.dictionaries(NAME.map("s_{}_".format), SCALAR, max_size=3)),
                replay=Replay(
                    speed=draw(st.integers(1, 10**9) | st.just("max")), windows=tuple(draw(st.lists(windows(pairs), max_size=2)))
                ),
                paper_trading=draw(st.none() | st.builds(PaperOverride, taker_fee=st.none() | FRACTION.map(lambda fee: fee / 10))),
            )
        },
        strategies={strategy: Strategy(plugin="p", parameters=draw(st.dictionaries(NAME.map("p_{}_".format), SCALAR, max_size=4)))},
        risk_profiles={profile: draw(PROFILE)},
        risk=Risk(
            instrument_buckets={
                bucket: InstrumentBucket(symbols=tuple(pairs), max_position_pct=draw(FRACTION), max_notional_usd=draw(AMOUNT))
            }
        ),
        paper_trading=paper,
        runtime=Runtime(multi_strategy_schedulers={scheduler: Scheduler(schedules={"s": schedule})}),
        instruments=entries,
    )


def as_json(tree: Any) -> str:
    """JSON is YAML; numbers stand in it without quotes."""
    return msgspec.json.Encoder(decimal_format="number").encode(tree).decode()


def as_yaml(tree: Any) -> str:
    """Block style; Decimals are quoted text."""
    stream = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False  # in a flow it writes a text such as `?0` without quotes, which it cannot read again
    writer.dump(msgspec.to_builtins(tree), stream)
    return stream.getvalue()


@pytest.mark.parametrize("written", [as_json, as_yaml])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(config=configurations())
def test_a_configuration_survives_being_written_and_read(tmp_path: Path, written: Any, config: CoreConfig) -> None:
    tree = msgspec.structs.asdict(config)
    del tree["credentials"]
    (tmp_path / "instruments.yaml").write_text(written({"version": 1, "instruments": tree.pop("instruments")}), encoding="utf-8")
    (tmp_path / "core.yaml").write_text(written(tree), encoding="utf-8")
    read = load(tmp_path / "core.yaml", env={}).config
    assert read == config
    assert from_canonical(canonical_full(config)) == config
    assert canonical(from_canonical(canonical(config))) == canonical(read)


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """`text` with a few lines dropped, doubled, swapped or shifted, and a few characters changed."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(0, 3))):
        at, other = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
        change = draw(st.sampled_from(["drop", "double", "swap", "shift", "retype"]))
        if change == "drop" and len(lines) > 1:
            del lines[at]
        elif change == "double":
            lines.insert(other, lines[at])
        elif change == "swap":
            lines[at], lines[other] = lines[other], lines[at]
        elif change == "shift":
            lines[at] = " " * draw(st.integers(0, 9)) + lines[at].lstrip()
        else:
            value = draw(
                st.sampled_from(
                    ["", "[]", "{}", "null", "true", "-1", "1e99", "x", "'x'", "[x, {y: 1}]", "2024-13-40", "🚀", "10000000000"]
                )
            )
            lines[at] = f"{lines[at].partition(':')[0]}: {value}"
    text = "\n".join(lines)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.text(max_size=3)) + text[at + draw(st.integers(0, 3)) :]
    return text


FILES = {name: (Path(__file__).parent / "sample" / name).read_text(encoding="utf-8") for name in ("core.yaml", "instruments.yaml")}


def check_damage(folder: Path, name: str, text: str) -> None:
    """Load with one file damaged: a configuration, or problems that name a file and a place or a key."""
    for file, intact in FILES.items():
        (folder / file).write_text(intact, encoding="utf-8")
    (folder / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        loaded = load(folder / "core.yaml", env={})
    except ConfigErrors as error:
        assert error.problems and error.exit_code in (2, 7)
        assert all(problem.file.startswith(str(folder)) and problem.message and "\n" not in problem.text for problem in error.problems)
        assert all(problem.line >= 1 and problem.column >= 1 for problem in error.problems)
    else:
        assert from_canonical(canonical_full(loaded.config)) == loaded.config


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data(), name=st.sampled_from(sorted(FILES)))
def test_damage_is_told_and_never_a_traceback(tmp_path: Path, data: st.DataObject, name: str) -> None:
    check_damage(tmp_path, name, data.draw(damaged(FILES[name])))


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(
    max_examples=10_000, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(data=st.data(), name=st.sampled_from(sorted(FILES)))
def test_damage_is_told_and_never_a_traceback_ten_thousand_times(tmp_path: Path, data: st.DataObject, name: str) -> None:
    """`pytest -m long tests/unit/config`, some five minutes."""
    check_damage(tmp_path, name, data.draw(damaged(FILES[name])))
