"""Reads core.yaml and the files beside it into one tree; refuses what is no configuration by size, encoding or kind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG
from typing import Final

import msgspec

from dudzian_daemon.config.json_schema import OWN_FILES
from dudzian_daemon.config.places import ALERTS_FILE, CREDENTIALS_FOLDER, INSTRUMENTS_FILE
from dudzian_daemon.config.provenance import Document, Problem, Source
from dudzian_daemon.config.scan import Scanned, scan

MAX_BYTES: Final = 128 * 1024
#: Version of the file format this release reads.
FORMAT: Final = 1

_EXPECTED_MAIN: Final = "expected the main configuration file, named by --config or DUDZIAN_CONFIG"
_EXPECTED_BESIDE: Final = "it belongs beside the main configuration file"
_ROOT: Final = {list: "a list", type(None): "nothing"}


class ConfigFile(msgspec.Struct, frozen=True):
    """A file that was read: `path` as it was found, `size` in bytes."""

    path: str
    sha256: str
    size: int


class Reader:
    """Reads files one after the other and collects what is wrong with them; when `broken`, at least one has no usable tree."""

    def __init__(self) -> None:
        self.files: list[ConfigFile] = []
        self.names: list[str] = []
        self.problems: list[Problem] = []
        self.broken = False

    def read_all(self, main: Path) -> Document:
        """The tree of `main` with the instruments and credentials beside it; nothing is looked for beside a `main` that cannot be read."""
        core = self._read(main)
        if not self.files:
            return core
        for name in OWN_FILES:
            if name in core.tree:
                self.problems.append(core.problem((name,), "belongs in a file of its own, beside this one", at_key=True))
        instruments = self._read(main.parent / INSTRUMENTS_FILE)
        self._check_version(instruments)
        for key in instruments.tree:
            if key not in ("version", "instruments"):
                self.problems.append(instruments.problem((key,), "unknown key; known: version, instruments", at_key=True))
        _graft(core, ("instruments",), instruments, at=("instruments",))
        if (main.parent / ALERTS_FILE).exists():
            self._lay_alerts_over(core, self._read(main.parent / ALERTS_FILE))
        core.tree["credentials"] = {}
        for path in sorted((main.parent / CREDENTIALS_FOLDER).glob("*.yaml")):
            credential = self._read(path)
            self._check_version(credential)
            credential.tree.pop("version", None)
            _graft(core, ("credentials", path.stem), credential)
        return core

    def _lay_alerts_over(self, core: Document, own: Document) -> None:
        """Its channels replace those of the same name in `core`, one by one, and its other keys theirs."""
        self._check_version(own)
        for key in own.tree:
            if key not in ("version", "alerts"):
                self.problems.append(own.problem((key,), "unknown key; known: version, alerts", at_key=True))
        for place in _alert_places(own):
            depths = (place[:length] for length in range(1, len(place)))
            missing = next((depth for depth in depths if not isinstance(core.at(depth), dict)), place)
            _graft(core, missing, own, at=missing)

    def _read(self, path: Path) -> Document:
        name = str(path)
        self.names.append(name)
        text = self._text(path, name)
        scanned = Scanned() if text is None else scan(text, name)
        self.problems += scanned.problems
        if text is not None and not scanned.broken and not isinstance(scanned.tree, dict):
            found = _ROOT.get(type(scanned.tree), "a single value")
            self.problems.append(Problem(name, 1, 1, "", f"expected sections (key: value), found {found}"))
        if scanned.broken or not isinstance(scanned.tree, dict):
            self.broken = True
            scanned.tree = {}
        scanned.values.setdefault((), Source("file", name, 1, 1))
        return scanned

    def _text(self, path: Path, name: str) -> str | None:
        data = self._bytes(path, name)
        if data is None:
            return None
        self.files.append(ConfigFile(name, hashlib.sha256(data).hexdigest(), len(data)))
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            column = error.start - data.rfind(b"\n", 0, error.start)
            message = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
            self.problems.append(Problem(name, line, column, "", message))
            return None

    def _bytes(self, path: Path, name: str) -> bytes | None:
        message = ""
        try:
            if not S_ISREG(path.stat().st_mode):
                message = "expected a file, found a folder or device; name the file itself"
            else:
                with path.open("rb") as stream:
                    data = stream.read(MAX_BYTES + 1)
                if len(data) <= MAX_BYTES:
                    return data
                message = f"larger than {MAX_BYTES // 1024} KiB; this is no configuration"
        except FileNotFoundError:
            message = "no such file; " + (_EXPECTED_BESIDE if self.files else _EXPECTED_MAIN)
        except (OSError, ValueError) as error:
            message = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        self.problems.append(Problem(name, 0, 0, "", message))
        return None

    def _check_version(self, document: Document) -> None:
        version = document.tree.get("version", "nothing")
        if document.tree and (version != FORMAT or version is True):
            self.problems.append(document.problem(("version",), f"expected {FORMAT}, found {version}"))


def _alert_places(own: Document) -> Iterator[tuple[str, ...]]:
    """What alerts.yaml replaces one by one: each channel, and each other key of the section."""
    section = own.section("alerts")
    if not section:
        yield ("alerts",)
    for key, value in section.items():
        plugins = value if key == "channels" and isinstance(value, dict) else {}
        places = [(plugin, name) for plugin, names in plugins.items() for name in (names if isinstance(names, dict) else ())]
        yield from (("alerts", key, *place) for place in places)
        if not places:
            yield "alerts", key


def _graft(document: Document, place: tuple[str, ...], part: Document, *, at: tuple[str, ...] = ()) -> None:
    """Hang what stands at `at` in `part` into the tree at `place`, with its positions."""
    node = document.tree
    for name in place[:-1]:
        node = node[name]
    node[place[-1]] = part.at(at) or {}
    for mine, theirs in ((document.values, part.values), (document.keys, part.keys)):
        mine.update({(*place, *path[len(at) :]): source for path, source in theirs.items() if path[: len(at)] == at})
    for places in (document.values, document.keys):
        places.setdefault(place, part.values[()])
