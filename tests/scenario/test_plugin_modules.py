"""A strategy of several files: all are on record, are what a re-execution runs, go into the evidence; one that changes is changed code."""

from __future__ import annotations

import json
import shutil
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest

from dudzian_daemon.adapters.journal_reader import sessions
from dudzian_daemon.adapters.verify import Terms
from dudzian_daemon.app.preparation import Prepared, RunOptions, prepare
from dudzian_daemon.app.recovery import pending_change, recover
from dudzian_daemon.app.reexecution.evidence_pack import pack
from dudzian_daemon.app.reexecution.recorded_log import LogOptions, find_recorded
from dudzian_daemon.app.reexecution.report import ReplayVerdict
from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.testing.clock import ManualClock
from tests.scenario.live_like import KEY, facts_of
from tests.scenario.recorded import play, replayed
from tests.scenario.test_reexecution import Home

STRATEGY = "demo_mean_reversion"


class Parts:
    """The bundled strategy, cut into a plugin file and a package beside it."""

    def __init__(self, home: Path) -> None:
        self.folder, self.data = home / "plugins", home / "data"
        self.rules = self.folder / "strategies" / "own" / "rules.py"
        self.rules.parent.mkdir(parents=True)
        self.write("own/rules.py", (bundled("plugins") / "strategies" / "mean_reversion.py").read_text(encoding="utf-8"))
        self.write("own_reversion.py", "from own.rules import PLUGIN\n\n__all__ = ['PLUGIN']\n")
        for each in (self.folder, self.rules.parent.parent, self.rules.parent):
            each.chmod(0o755)
        config = Home(home).config
        config.write_text(config.read_text(encoding="utf-8").replace("plugin: mean_reversion", "plugin: own_reversion"), encoding="utf-8")
        self.options = RunOptions(config=config, data_dir=self.data, plugins_dir=self.folder)

    def write(self, name: str, source: str) -> None:
        path = self.folder / "strategies" / name
        path.write_text(source, encoding="utf-8")
        path.chmod(0o644)

    @property
    def prepared(self) -> Prepared:
        """With the files as they are now."""
        return prepare(self.options, {})


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


def test_the_recorded_modules_are_executed_wherever_the_files_have_gone(parts: Parts, tmp_path: Path) -> None:
    source = parts.rules.read_bytes()
    folder = play(parts.prepared)
    (path,) = folder.glob("*.jsonl")
    run = next(line["d"] for line in map(json.loads, path.read_text(encoding="utf-8").splitlines()) if line["d"]["kind"] == "run")
    digest = sha256(source).hexdigest()
    assert run["plugins"][STRATEGY]["file"] == "own_reversion.py"
    assert run["plugins"][STRATEGY]["modules"] == {"own/rules.py": digest}
    assert (folder / "objects" / digest).read_bytes() == source

    parts.write("own/rules.py", "raise AssertionError('the file on disk was run')\n")
    report = replayed(folder)
    assert (report.verdict, report.compared) == (ReplayVerdict.EQUAL, report.cycles)

    pack(find_recorded(LogOptions(session=str(folder)), {}), Terms(key=lambda _: KEY), tmp_path / "e.tar.gz")
    shutil.rmtree(parts.folder)
    with tarfile.open(tmp_path / "e.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    root = tmp_path / f"evidence-{folder.name}"
    assert json.loads((root / "manifest.json").read_text())["runs"][0]["plugins"][STRATEGY]["modules"] == {"own/rules.py": digest}
    assert replayed(next(root.glob("data/journal/*/*"))).verdict is ReplayVerdict.EQUAL

    (folder / "objects" / digest).unlink()
    without = replayed(folder)
    assert (without.verdict, digest in without.reason) == (ReplayVerdict.TAMPERED, True)


def test_a_line_of_an_imported_module_that_was_changed_shows(parts: Parts) -> None:
    made = parts.prepared
    edited = parts.rules.read_text(encoding="utf-8").replace("abs(zscore) < p.entry_zscore", "abs(zscore) < p.entry_zscore + 0.2")
    folder = play(made)
    assert parts.rules.read_text(encoding="utf-8") != edited
    parts.write("own/rules.py", edited)
    assert replayed(play(parts.prepared)).content_chain != replayed(folder).content_chain


def test_a_changed_module_is_changed_code_which_has_to_be_accepted(parts: Parts) -> None:
    made = parts.prepared
    play(made, ticks=40)
    (session,) = sessions(parts.data, made.artifact)
    assert pending_change(session, KEY, facts_of(parts.prepared)) is None
    before = sha256(parts.rules.read_bytes()).hexdigest()[:12]
    parts.write("own/rules.py", parts.rules.read_text(encoding="utf-8") + "# one more line\n")
    now = sha256(parts.rules.read_bytes()).hexdigest()[:12]
    changed = parts.prepared
    with pytest.raises(ConfigError, match=f"plugin of {STRATEGY}: own/rules.py {before} -> own/rules.py {now}\\); go on with"):
        recover(changed, session, KEY, facts_of(changed), lambda _: False, ManualClock())
    found = recover(changed, session, KEY, facts_of(changed), lambda _: True, ManualClock())
    assert found.change == {"plugins": {STRATEGY: [f"own/rules.py {before}", f"own/rules.py {now}"]}}
