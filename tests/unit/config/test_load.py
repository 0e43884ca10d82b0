"""Loading: which file, which value wins, where it came from, and one clear line for files that are none."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from dudzian_daemon.config.check import ConfigErrors
from dudzian_daemon.config.files import MAX_BYTES
from dudzian_daemon.config.load import load
from dudzian_daemon.config.overlay import Flag
from dudzian_daemon.config.places import bundled
from dudzian_daemon.config.provenance import Problem, leaves

Problems = Callable[[Path], tuple[Problem, ...]]
Replaced = Callable[..., Path]
PORT = "runtime.metrics_service.port"


def texts(problems: tuple[Problem, ...], folder: Path) -> list[str]:
    return [problem.text.replace(f"{folder}/", "") for problem in problems]


def test_the_repositorys_configuration_is_valid() -> None:
    loaded = load(bundled("config") / "core.yaml", env={})
    assert loaded.warnings == ()
    assert loaded.config.environment_id("paper_binance") == "binance_paper"
    assert loaded.config.environment("paper_binance").risk_profile == "balanced"


def test_files_are_named_with_their_hash(folder: Path) -> None:
    loaded = load(folder / "core.yaml", env={})
    names = ["core.yaml", "instruments.yaml", "credentials/binance_paper.yaml"]
    assert [file.path for file in loaded.files] == [str(folder / name) for name in names]
    assert loaded.files[0].sha256 == sha256((folder / "core.yaml").read_bytes()).hexdigest()
    assert loaded.path == folder / "core.yaml"


def test_lookup_order(folder: Path, tmp_path: Path, isolated_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from platformdirs import user_config_path

    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    assert load(env={}).path == bundled("config") / "core.yaml"
    own = user_config_path("dudzian", appauthor=False)
    own.parent.mkdir(parents=True, exist_ok=True)
    own.symlink_to(folder, target_is_directory=True)
    assert load(env={}).path == own / "core.yaml"
    monkeypatch.chdir(tmp_path)
    assert load(env={}).path == Path("config/core.yaml")
    named = {"DUDZIAN_CONFIG": str(folder / "core.yaml")}
    assert load(env=named).path == folder / "core.yaml"
    assert load(Path("config") / "core.yaml", env={"DUDZIAN_CONFIG": "missing.yaml"}).path == Path("config/core.yaml")


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match=r"missing\.yaml: no such file"):
        load(env={"DUDZIAN_CONFIG": str(tmp_path / "missing.yaml")})


def test_flag_beats_variable_beats_file_beats_default(replaced: Replaced) -> None:
    env = {"dudzian__Runtime__Metrics_Service__port": "9200", "DUDZIAN__DEFAULT_ENVIRONMENT": "paper", "DUDZIAN_OTHER": "x"}
    flags = {PORT: Flag("--metrics-port", 9300)}
    bare = replaced("  metrics_service: {host: 127.0.0.1, port: 9108}\n", "")
    assert [load(bare, env={}).config.runtime.metrics_service.port, load(bare, env={}).sources[PORT].text] == [9108, "default"]
    main = replaced("  resource_limits:", "  metrics_service: {host: 127.0.0.1, port: 9109}\n  resource_limits:")
    by_file, by_env, by_flag = load(main, env={}), load(main, env=env), load(main, env=env, cli=flags)
    assert [loaded.config.runtime.metrics_service.port for loaded in (by_file, by_env, by_flag)] == [9109, 9200, 9300]
    line = main.read_text().splitlines().index("  metrics_service: {host: 127.0.0.1, port: 9109}") + 1
    assert by_file.sources[PORT].text == f"{main}:{line}:44"
    assert by_env.sources[PORT].text == "env dudzian__Runtime__Metrics_Service__port"
    assert by_flag.sources[PORT].text == "cli --metrics-port"
    assert by_env.config.environment_id() == "binance_paper"
    assert by_env.sources["default_environment"].kind == "env"


def test_every_value_has_a_source(folder: Path) -> None:
    loaded = load(folder / "core.yaml", env={"DUDZIAN__PAPER_TRADING__INITIAL_BALANCES": "{USDT: 5, PLN: 7}"})
    assert len(loaded.sources) == sum(1 for _ in leaves(loaded.config))
    assert loaded.sources["environments.demo.replay.windows[0].start"].text == f"{folder / 'core.yaml'}:21:19"
    assert loaded.sources["instruments.BTC_USDT.venues.binance.tick_size"].where == str(folder / "instruments.yaml")
    assert loaded.sources["credentials.binance_paper.permissions[0]"].where == str(folder / "credentials/binance_paper.yaml")
    assert {key: source.kind for key, source in loaded.sources.items() if key.startswith("paper_trading.initial")} == {
        "paper_trading.initial_balances.USDT": "env",
        "paper_trading.initial_balances.PLN": "env",
    }


def test_variables_find_keys_in_any_case_and_write_assets_in_capitals(folder: Path) -> None:
    env = {
        "DUDZIAN__INSTRUMENTS__BTC_USDT__VENUES__BINANCE__TICK_SIZE": "0.1",
        "DUDZIAN__PAPER_TRADING__INITIAL_BALANCES__PLN": "12.50",
        "DUDZIAN__ENVIRONMENTS__BINANCE_PAPER__ALIASES": "[p, q]",
    }
    config = load(folder / "core.yaml", env=env).config
    assert str(config.instrument("BTCUSDT", "binance").tick_size) == "0.1"
    assert {asset: str(amount) for asset, amount in (config.paper().initial_balances or {}).items()} == {"USDT": "10000", "PLN": "12.5"}
    assert config.environment_id("q") == "binance_paper"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DUDZIAN__RUNTIME__METRICS_SERVICE__PORT", "x", "{} runtime.metrics_service.port: expected an integer, found text 'x'"),
        ("DUDZIAN__RUNTIME__METRICS_SERVICE__PORT", "", "{} runtime.metrics_service.port: expected an integer, found nothing"),
        ("DUDZIAN__RUNTIME__METRICS_SERVICE__PROT", "1", "{} runtime.metrics_service.prot: unknown key; did you mean 'port'?"),
        ("DUDZIAN__RUNTIME__METRICS_HTTP__PORT", "1", "{} runtime.metrics_http: unknown key; it is called 'metrics_service' now"),
        ("DUDZIAN__DEFAULT_ENVIRONMENT__X", "1", "{} default_environment.x: default_environment holds a value, not a section"),
        (
            "DUDZIAN__LOGGING__LEVEL",
            "[",
            "{} logging.level: while parsing a flow node, expected the node content, but found '<stream end>'",
        ),
        (
            "DUDZIAN__PASSWORD",
            "hunter2",
            "{} password: a secret is written here; keep it in the keychain and write its name in keychain_key",
        ),
    ],
)
def test_a_wrong_variable_is_named(folder: Path, name: str, value: str, expected: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        load(folder / "core.yaml", env={name: value})
    assert str(caught.value) == expected.format(f"env {name}")


def test_a_wrong_flag_is_named(folder: Path) -> None:
    with pytest.raises(ConfigErrors, match=r"^cli --position-size paper_trading\.position_size: expected a number <= 1, found 1\.5$"):
        load(folder / "core.yaml", env={}, cli={"paper_trading.position_size": Flag("--position-size", 1.5)})


def test_input_paths_are_resolved_where_they_were_written(replaced: Replaced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = replaced("    signing_key_id: risk-ci\n", "    signing_key_id: risk-ci\n    signing_key_path: keys/risk.key\n")
    monkeypatch.chdir(tmp_path)
    here = load(Path("config/core.yaml"), env={})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    there = load(main, env={})
    assert here.config.risk.decision_log.signing_key_path == str(main.parent / "keys/risk.key")
    assert there.config.risk.decision_log == here.config.risk.decision_log
    assert there.sources["risk.decision_log.signing_key_path"].written == "keys/risk.key"
    variable = "DUDZIAN__RISK__DECISION_LOG__SIGNING_KEY_PATH"
    by_env = load(main, env={variable: "risk.key"})
    assert load(main, env={variable: "~/risk.key"}).config.risk.decision_log.signing_key_path == str(Path.home() / "risk.key")
    assert load(main, env={variable: "~nobody9/risk.key"}).config.risk.decision_log.signing_key_path == str(elsewhere / "~nobody9/risk.key")
    assert by_env.config.risk.decision_log.signing_key_path == str(elsewhere / "risk.key")
    assert by_env.config.environment("paper").data_cache_path == "var/data/binance_paper"


def write(data: bytes) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_bytes(data)

    return change


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Path.unlink, "core.yaml: no such file; expected the main configuration file, named by --config or DUDZIAN_CONFIG"),
        (make_folder, "core.yaml: expected a file, found a folder or device; name the file itself"),
        (write(b"# ok\nname: caf\xe9\n"), "core.yaml:2:10: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        (write(b"#" * (MAX_BYTES + 1)), "core.yaml: larger than 128 KiB; this is no configuration"),
        (write(b""), "core.yaml:1:1: expected sections (key: value), found nothing"),
        (write(b"- a\n"), "core.yaml:1:1: expected sections (key: value), found a list"),
        (write(b"word\n"), "core.yaml:1:1: expected sections (key: value), found a single value"),
        (write(b"version: 1\n\tdefault_environment: demo\n"), "core.yaml:2:1: a tab; YAML is indented and separated with spaces"),
    ],
)
def test_a_file_that_is_no_configuration(folder: Path, problems: Problems, change: Callable[[Path], None], expected: str) -> None:
    change(folder / "core.yaml")
    assert texts(problems(folder / "core.yaml"), folder) == [expected]


def test_a_path_below_a_file_cannot_be_read(folder: Path, problems: Problems) -> None:
    found = problems(folder / "core.yaml" / "core.yaml")
    assert found[0].text == f"{folder / 'core.yaml' / 'core.yaml'}: cannot be read: Not a directory"


def test_a_byte_order_mark_is_no_fault(folder: Path) -> None:
    main = folder / "core.yaml"
    main.write_bytes(b"\xef\xbb\xbf" + main.read_bytes())
    assert load(main, env={}).config.default_environment == "demo"


def test_the_files_beside_it_are_checked_too(folder: Path, problems: Problems, replaced: Replaced) -> None:
    replaced("version: 1\n", "version: 2\nassets: {}\n", "instruments.yaml")
    main = replaced("shutdown:", "instruments: {}\nshutdown:")
    replaced("version: 1\n", "", "credentials/binance_paper.yaml")
    line = main.read_text().splitlines().index("instruments: {}") + 1
    assert texts(problems(main), folder) == [
        f"core.yaml:{line}:1 instruments: belongs in a file of its own, beside this one",
        "instruments.yaml:3:10 version: expected 1, found 2",
        "instruments.yaml:4:1 assets: unknown key; known: version, instruments",
        "credentials/binance_paper.yaml:2:1 version: expected 1, found nothing",
    ]


def test_without_instruments_beside_it(folder: Path, problems: Problems) -> None:
    (folder / "instruments.yaml").unlink()
    assert texts(problems(folder / "core.yaml"), folder) == [
        "instruments.yaml: no such file; it belongs beside the main configuration file"
    ]
