"""Loading a plugin: whatever is wrong with the file is one line that names it, from whatever place it comes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from dudzian_daemon.app.plugins.loader import load_plugin, make_strategy, require_startable
from dudzian_daemon.app.plugins.places import plugin_folders, user_folder
from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.errors import ConfigError, PluginError
from dudzian_daemon.testing.market import instrument, schedule

GOOD = """
import msgspec

class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    window: int = 3

class Example:
    Params = Params
    legs = 1
    takes_quotes = False
    def __init__(self, params):
        if params.window < 1:
            raise ValueError(f"expected a window of at least 1, found {params.window}")
        self.params = params
    def series(self, instruments, granularity):
        return ()
    def new_state(self):
        return Params()
    def on_candle(self, state, candle):
        return None
    def on_gap(self, state, series, start, end):
        return True
    def decide(self, state, view):
        return ()

PLUGIN = Example
"""


def write(folder: Path, source: str, name: str = "example") -> Path:
    (folder / "strategies").mkdir(exist_ok=True, mode=0o755)
    path = folder / "strategies" / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    path.chmod(0o644)
    return path


def refusal(folder: Path, name: str = "example") -> str:
    with pytest.raises(PluginError) as caught:
        load_plugin("strategies", name, [folder])
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_plugin_is_loaded_with_its_source(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    found = load_plugin("strategies", "example", [tmp_path / "elsewhere", tmp_path])
    assert (found.path, found.source, found.plugin.__module__) == (path, path.read_bytes(), "dudzian_plugins.strategies.example")
    assert make_strategy(found, {"window": 5}).params.window == 5  # type: ignore[attr-defined] # the example's own


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def broken(:\n    pass\n", "example.py:1: invalid syntax"),
        ("x = 1\n", "expected `PLUGIN = <its class>` at the end, found no PLUGIN"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("PLUGIN = 5\n", "PLUGIN: expected a class, found 5"),
        (
            GOOD.replace(", forbid_unknown_fields=True", ""),
            "Params: expected a msgspec.Struct with frozen=True and forbid_unknown_fields=True, found no forbid_unknown_fields",
        ),
        (GOOD.replace("    Params = Params", "    Params = dict"), "Params: expected a msgspec.Struct"),
        (GOOD.replace("legs = 1", "legs = 0"), "legs: expected how many instruments a unit trades, 1 or more, found 0"),
        (GOOD.replace("takes_quotes = False", "takes_quotes = 'no'"), "takes_quotes: expected True or False, found 'no'"),
        (GOOD.replace("def decide", "def decided"), "decide: expected a method (self, state, view), found none"),
        (GOOD.replace("state, candle", "candle"), "on_candle: expected a method (self, state, candle), found another: too many positional"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("import surely_not_installed\n", "ModuleNotFoundError: No module named 'surely_not_installed'"),
        ("raise RuntimeError('two\\nlines')\n", "RuntimeError: two"),
    ],
    ids=[
        *("syntax", "no PLUGIN", "exits", "no class", "open Params", "no Params", "no legs", "quotes", "no decide", "arguments"),
        *("raises", "import", "two lines"),
    ],
)
def test_a_file_that_does_not_load(tmp_path: Path, source: str, said: str) -> None:
    path = write(tmp_path, source)
    text = refusal(tmp_path)
    assert text.startswith(f"plugin strategies/example: {path}")
    assert said in text
    assert "dudzian_plugins.strategies.example" not in sys.modules


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    write(tmp_path, "")
    (tmp_path / "strategies" / "example.py").write_bytes(b"x = '\xff'\0\n")
    assert str(tmp_path) in refusal(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions as POSIX has them")
@pytest.mark.parametrize("part", ["file", "kind", "folder"])
def test_what_anybody_may_write_is_not_run(tmp_path: Path, part: str) -> None:
    path = write(tmp_path, "raise AssertionError('it was run')\n")
    guarded = {"file": path, "kind": path.parent, "folder": tmp_path}[part]
    guarded.chmod(guarded.stat().st_mode | 0o002)
    assert refusal(tmp_path) == f"plugin strategies/example: {guarded} may be written by anybody; run: chmod o-w {guarded}"


def test_a_name_that_is_not_there_comes_with_a_suggestion(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    assert refusal(tmp_path, "exmaple").endswith("did you mean 'example'?")
    assert refusal(tmp_path, "zzz").endswith("known: example")


@pytest.mark.parametrize("name", ["../example", "strategies/example", "", "a b", "example.py"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    write(tmp_path, GOOD)
    assert "expected a name in lower_snake_case" in refusal(tmp_path / "strategies" / "..", name)


def test_two_of_one_name_are_none(tmp_path: Path) -> None:
    one, other = (tmp_path / "one", tmp_path / "other")
    for folder in (one, other):
        folder.mkdir(mode=0o755)
        write(folder, "raise AssertionError('it was run')\n")
    with pytest.raises(PluginError) as caught:
        load_plugin("strategies", "example", [one, other])
    assert str(caught.value) == (
        f"plugin strategies/example: there are 2 of this name: {one / 'strategies' / 'example.py'} (user) and "
        f"{other / 'strategies' / 'example.py'} (user); rename all but one, and `plugin:` in the configuration where it is meant"
    )


def test_a_name_of_the_bundled_folder_is_taken_and_only_for_who_asks(tmp_path: Path) -> None:
    path = write(tmp_path, "raise AssertionError('it was run')\n", "daily_trend")
    folders = plugin_folders(tmp_path, {})
    with pytest.raises(PluginError) as caught:
        load_plugin("strategies", "daily_trend", folders)
    shipped = bundled("plugins") / "strategies" / "daily_trend.py"
    assert str(caught.value) == (
        f"plugin strategies/daily_trend: there are 2 of this name: {shipped} (bundled) and {path} (user); rename {path}, "
        "and `plugin:` in the configuration where it is meant"
    )
    assert load_plugin("strategies", "mean_reversion", folders).name == "mean_reversion"


def test_a_file_whose_name_is_none(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "Bad-Name")
    assert refusal(tmp_path, "Bad-Name") == (
        "plugin strategies/Bad-Name: expected a name in lower_snake_case (small letters, digits and _, a letter first), "
        "found 'Bad-Name'; rename the file to bad_name.py"
    )
    assert "Bad-Name" not in refusal(tmp_path, "bad_name")


def test_what_runs_is_what_is_recorded_not_old_byte_code(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    load_plugin("strategies", "example", [tmp_path])
    stamp = path.stat()
    path.write_text(GOOD.replace("window: int = 3", "window: int = 4"), encoding="utf-8")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # as long as before and no younger: byte code would be taken for current
    found = load_plugin("strategies", "example", [tmp_path])
    assert make_strategy(found, {}).params.window == 4  # type: ignore[attr-defined] # the example's own
    assert found.digest == sha256(path.read_bytes()).hexdigest()
    assert not list(tmp_path.rglob("__pycache__"))


# -- installed packages ------------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Path]]:
    """Installs a distribution with one entry point; returns the folder of its modules."""

    def install(name: str, value: str) -> Path:
        site = tmp_path / "site"
        modules = site / "tried_signals"
        modules.mkdir(parents=True, mode=0o755)
        (modules / "__init__.py").write_text("")
        (modules / "example.py").write_text(GOOD)
        (modules / "example.py").chmod(0o644)
        facts = site / "tried_signals-1.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: tried-signals\nVersion: 1\n")
        (facts / "entry_points.txt").write_text(f"[dudzian.strategies]\n{name} = {value}\n")
        monkeypatch.syspath_prepend(site)
        return modules

    yield install
    for loaded in [name for name in sys.modules if name.partition(".")[0] == "tried_signals"]:
        del sys.modules[loaded]


def test_an_entry_point_is_a_plugin_too(tmp_path: Path, package: Callable[[str, str], Path]) -> None:
    modules = package("example", "tried_signals.example")
    found = load_plugin("strategies", "example", [])
    assert (found.path, found.plugin.__module__) == (modules / "example.py", "dudzian_plugins.strategies.example")
    (tmp_path / "own").mkdir(mode=0o755)
    write(tmp_path / "own", GOOD)
    assert "there are 2 of this name" in refusal(tmp_path / "own")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("other", "tried_signals.example", "expected a module called other and nothing behind it"),
        ("example", "tried_signals.example:PLUGIN", "expected a module called example and nothing behind it"),
        ("missing", "tried_signals.missing", "there is no Python file of that name to import"),
        ("missing", "tried_nowhere.missing", "ModuleNotFoundError: No module named 'tried_nowhere'"),
    ],
)
def test_an_entry_point_that_leads_nowhere(package: Callable[[str, str], Path], name: str, value: str, said: str) -> None:
    package(name, value)
    with pytest.raises(PluginError) as caught:
        load_plugin("strategies", name, [])
    assert str(caught.value) == f"plugin strategies/{name}: entry point {value!r} of package tried-signals: {said}"


# -- the user's own folder ---------------------------------------------------------------------------------------------


def test_the_users_folder_is_found_by_option_variable_and_default(tmp_path: Path, isolated_environment: Path) -> None:
    shipped = bundled("plugins")
    assert plugin_folders(None, {}) == [shipped]
    own = user_folder(None, {})
    own.mkdir(parents=True)
    assert plugin_folders(None, {}) == [shipped, own]
    assert plugin_folders(None, {"DUDZIAN_PLUGINS_DIR": str(tmp_path)}) == [shipped, tmp_path]
    assert plugin_folders(isolated_environment, {"DUDZIAN_PLUGINS_DIR": str(tmp_path)}) == [shipped, isolated_environment]
    assert plugin_folders(shipped, {}) == [shipped]


def test_a_folder_that_was_named_must_be_there(tmp_path: Path) -> None:
    for option, env, named in [
        (tmp_path / "no", {}, "--plugins-dir"),
        (None, {"DUDZIAN_PLUGINS_DIR": str(tmp_path / "no")}, "DUDZIAN_PLUGINS_DIR"),
    ]:
        with pytest.raises(ConfigError, match=f"^{named}: expected a folder with strategies, alerts, exchanges in it, found none at"):
            plugin_folders(option, env)


# -- before a run ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("return ()\n    def new", "raise ValueError('needs 1d candles')\n    def new", "schedule 'plan': needs 1d candles"),
        ("return ()\n    def new", "return 1 / 0\n    def new", "schedule 'plan': ZeroDivisionError: division by zero"),
        ("return ()\n    def new", "return ()\n    def new", "series: expected a tuple of SeriesNeed, found ()"),
        ("return ()\n    def new", "raise SystemExit(3)\n    def new", "schedule 'plan': SystemExit: 3"),
    ],
)
def test_a_strategy_that_cannot_say_what_it_needs(tmp_path: Path, old: str, new: str, said: str) -> None:
    write(tmp_path, GOOD.replace(old, new))
    source = load_plugin("strategies", "example", [tmp_path])
    plan = schedule("plan", [instrument()])
    with pytest.raises(PluginError) as caught:
        require_startable(source, make_strategy(source, {}), plan)
    assert str(caught.value) == f"plugin strategies/example: {said}"


def test_a_constructor_that_raises_anything(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("self.params = params", "raise KeyError('mine')"))
    source = load_plugin("strategies", "example", [tmp_path])
    with pytest.raises(PluginError, match="plugin strategies/example: KeyError: 'mine'"):
        make_strategy(source, {})


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"window": "three"}, "Expected `int`, got `str` - at `$.window`"),
        ({"windw": 3}, "unknown field `windw`"),
        ({"window": 0}, "expected a window of at least 1, found 0"),
    ],
)
def test_parameters_that_do_not_fit(tmp_path: Path, parameters: dict[str, object], said: str) -> None:
    write(tmp_path, GOOD)
    source = load_plugin("strategies", "example", [tmp_path])
    with pytest.raises(PluginError, match="plugin strategies/example: ") as caught:
        make_strategy(source, parameters)
    assert said in str(caught.value)
