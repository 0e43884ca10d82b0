"""What a plugin imports from beside it: found, kept with its bytes, its own, and refused when it could be anybody's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dudzian_daemon.app.plugins.controller_modules import controllers_of
from dudzian_daemon.app.plugins.loader import load_plugin, make_strategy
from dudzian_daemon.domain.errors import PluginError
from tests.unit.app.plugins.test_plugins import GOOD, refusal, write

PARAMS = "import msgspec\nclass Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):\n    window: int = 3\n"


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.startswith("dudzian_plugins.")]:
        del sys.modules[name]


def beside(folder: Path, files: dict[str, str]) -> None:
    for name, source in files.items():
        path = folder / "strategies" / name
        for each in reversed(path.relative_to(folder).parents[:-1]):
            (folder / each).mkdir(exist_ok=True, mode=0o755)
        path.write_text(source, encoding="utf-8")
        path.chmod(0o644)


@pytest.mark.parametrize(
    ("statement", "files"),
    [
        ("from rules import NUMBER", {"rules.py": "NUMBER = 7\n"}),
        ("from .rules import NUMBER", {"rules.py": "NUMBER = 7\n"}),
        ("from . import rules\nNUMBER = rules.NUMBER", {"rules.py": "NUMBER = 7\n"}),
        ("import rules as r\nNUMBER = r.NUMBER", {"rules.py": "from one import NUMBER\n", "one.py": "NUMBER = 7\n"}),
        ("import deep.down.below\nNUMBER = deep.down.below.NUMBER", {"deep/down/below.py": "NUMBER = 7\n"}),
        ("from deep.down import below\nNUMBER = below.NUMBER", {"deep/__init__.py": "", "deep/down/below.py": "NUMBER = 7\n"}),
        (
            "from deep import NUMBER",
            {"deep/__init__.py": "from .a import NUMBER", "deep/a.py": "from ..b import NUMBER", "b.py": "NUMBER=7"},
        ),
        ("from rules import *", {"rules.py": "from other import *\n", "other.py": "NUMBER = 7\n"}),
        ("from rules import NUMBER", {"rules.py": "import other\nNUMBER = 7\n", "other.py": "import rules\n"}),
        ("from rules import NUMBER", {"rules.py": "from .example import legs_of\nNUMBER = legs_of()\n"}),
    ],
    ids=["name", "relative", "from dot", "of a module", "folders", "mixed", "package", "star", "circle", "back"],
)
def test_a_module_beside_the_plugin_is_found_and_kept(tmp_path: Path, statement: str, files: dict[str, str]) -> None:
    write(tmp_path, f"def legs_of():\n    return 7\n{statement}\n{GOOD.replace('legs = 1', 'legs = NUMBER')}")
    beside(tmp_path, files)
    found = load_plugin("strategies", "example", [tmp_path])
    assert found.plugin.legs == 7
    assert found.modules == {name: source.encode() for name, source in files.items()}
    assert found.facts.file == "example.py"
    assert found.objects == (found.source, *found.modules.values())
    assert "rules" not in sys.modules
    assert "deep" not in sys.modules


def test_a_plugin_alone_has_no_more_on_record_than_before(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    facts = load_plugin("strategies", "example", [tmp_path]).facts
    assert (facts.file, facts.modules) == ("", {})


def test_its_parameters_may_be_those_of_a_module_with_annotations_as_text(tmp_path: Path) -> None:
    own = GOOD.partition("class Params")[0] + "from rules import Params\n\nclass Example" + GOOD.partition("class Example")[2]
    write(tmp_path, own)
    beside(tmp_path, {"rules.py": f"from __future__ import annotations\n{PARAMS}"})
    assert make_strategy(load_plugin("strategies", "example", [tmp_path]), {"window": 5}).params.window == 5  # type: ignore[attr-defined] # the example's own


def test_two_plugins_do_not_share_what_lies_beside_them(tmp_path: Path) -> None:
    found = []
    for number, name in enumerate(("one", "other"), start=2):
        folder = tmp_path / name
        folder.mkdir(mode=0o755)
        write(folder, f"import rules\n{GOOD.replace('legs = 1', 'legs = rules.NUMBER')}", name)
        beside(folder, {"rules.py": f"NUMBER = {number}\n"})
        found.append(load_plugin("strategies", name, [folder]))
    assert [each.plugin.legs for each in found] == [2, 3]


def test_what_is_importable_anyway_is_not_replaced(tmp_path: Path) -> None:
    write(tmp_path, f"import json\n{GOOD}")
    beside(tmp_path, {"json.py": "raise AssertionError('it was run')\n"})
    assert load_plugin("strategies", "example", [tmp_path]).modules == {}


def test_what_was_not_imported_at_the_start_cannot_be_later(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("        return Params()", "        import rules\n        return Params()"))
    beside(tmp_path, {"rules.py": ""})
    strategy = make_strategy(load_plugin("strategies", "example", [tmp_path]), {})
    with pytest.raises(ImportError, match="rules lies beside the plugin and was not imported when that was loaded: import it at the top"):
        strategy.new_state()


@pytest.mark.parametrize(
    ("statement", "rules", "said"),
    [
        ("import rules", "def broken(:\n", "rules.py:1: invalid syntax"),
        ("import rules", "1 / 0\n", "ZeroDivisionError: division by zero"),
        ("from .missing import x", "", "ModuleNotFoundError: No module named 'missing' beside the plugin"),
        ("from ..rules import x", "", "ImportError: attempted relative import beyond the folder of the plugin"),
        ("from rules import missing", "", "ImportError: cannot import name 'missing' from 'dudzian_plugins.strategies.example:rules'"),
        ("import example", "", "ModuleNotFoundError: No module named 'example'"),
    ],
)
def test_what_is_wrong_with_it_is_one_line(tmp_path: Path, statement: str, rules: str, said: str) -> None:
    write(tmp_path, f"{statement}\n{GOOD}")
    beside(tmp_path, {"rules.py": rules})
    assert said in refusal(tmp_path)
    assert not [name for name in sys.modules if name.startswith("dudzian_plugins.strategies.example")]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions as POSIX has them")
@pytest.mark.parametrize("part", ["deep/rules.py", "deep"])
def test_what_anybody_may_write_is_not_run(tmp_path: Path, part: str) -> None:
    write(tmp_path, f"import deep.rules\n{GOOD}")
    beside(tmp_path, {"deep/rules.py": "raise AssertionError('it was run')\n"})
    guarded = tmp_path / "strategies" / part
    guarded.chmod(guarded.stat().st_mode | 0o002)
    assert refusal(tmp_path) == f"plugin strategies/example: {guarded} may be written by anybody; run: chmod o-w {guarded}"


def test_a_controller_module_takes_its_own_package_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    tmp_path.chmod(0o755)
    files = {
        "own_signals_x/__init__.py": "",
        "own_signals_x/daily.py": "from own_signals_x.rules import NUMBER\nfrom .more import ALSO\n"
        + GOOD.replace("legs = 1", "legs = NUMBER * ALSO").replace("PLUGIN = Example", "CONTROLLERS = {'trend': Example}"),
        "own_signals_x/rules.py": "import json\nNUMBER = 2\n",
        "own_signals_x/more.py": "ALSO = 3\n",
    }
    (tmp_path / "own_signals_x").mkdir(mode=0o755)
    for name, source in files.items():
        (tmp_path / name).write_text(source, encoding="utf-8")
        (tmp_path / name).chmod(0o644)
    found = controllers_of(["own_signals_x.daily"], ["trend"])["trend"]
    assert found.plugin.legs == 6
    assert (found.file, sorted(found.modules)) == ("own_signals_x/daily.py", sorted(set(files) - {"own_signals_x/daily.py"}))
    (tmp_path / "own_signals_x" / "rules.py").write_text("1 / 0\n", encoding="utf-8")
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        controllers_of(["own_signals_x.daily"], ["trend"])
