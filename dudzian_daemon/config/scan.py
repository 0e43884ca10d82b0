"""From the text of one YAML file to plain values with positions, refusing what a configuration has no need of.

Works on the parser's events, so that nothing is built from what is refused (depth, aliases, tags) and all duplicate
keys are found. Numbers are made from their text: integers as int, others as Decimal, never through float.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.reader import ReaderError

from dudzian_daemon.config.provenance import Document, Kind, Path, Problem, Source, key_text

MAX_DEPTH: Final = 16

_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,29})(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?")
_TAG_PREFIX: Final = "tag:yaml.org,2002:"


class Scanned(Document):
    """A scanned file; when `broken`, the tree is incomplete and only `problems` are worth telling."""

    def __init__(self) -> None:
        super().__init__(None, {}, {})
        self.problems: list[Problem] = []
        self.broken = False


def scan(text: str, name: str, *, kind: Kind = "file") -> Scanned:
    """Read YAML `text`; `name` is the file, variable or flag it came from. Never raises: see `problems` and `broken`."""
    scanned = Scanned()
    builder = _Builder(scanned, name, kind)
    yaml = YAML(typ="safe", pure=True)
    try:
        for event in yaml.parse(text):
            builder.feed(event, yaml.resolver)
    except _StopScan:
        scanned.broken = True
    except YAMLError as error:
        scanned.broken = True
        line, column, message = _explain(error, text)
        scanned.problems.append(Problem(builder.name, line, column, "", message))
    except (ValueError, OverflowError, IndexError, AttributeError, TypeError, AssertionError):  # the parser's own faults on rare input
        scanned.broken = True
        line, column = builder.last
        scanned.problems.append(Problem(builder.name, line, column, "", "not readable as YAML after this place"))
    return scanned


class _StopScan(Exception):
    """Stops the scan: what follows is not looked at."""


class _Frame:
    """A mapping or list being filled; `key` is the mapping's key that waits for its value."""

    def __init__(self, container: dict[str, Any] | list[Any], path: Path, *, recorded: bool) -> None:
        self.container = container
        self.path = path
        self.recorded = recorded
        self.key: str | None = None
        self.duplicate = False

    @property
    def next_path(self) -> Path:
        """Where the next value goes."""
        return (*self.path, len(self.container) if isinstance(self.container, list) else self.key or "")


class _Builder:
    """Turns events into the tree of `scanned`."""

    def __init__(self, scanned: Scanned, name: str, kind: Kind) -> None:
        self.scanned = scanned
        self.where = name
        self.kind = kind
        self.name = name if kind == "file" else f"{kind} {name}"
        self.frames: list[_Frame] = []
        self.last = (1, 1)
        self.documents = 0

    def feed(self, event: Event, resolver: Any) -> None:
        """Take the next event of the parser."""
        self.last = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, DocumentStartEvent):
            self._start_document(event)
        elif isinstance(event, CollectionEndEvent):
            self.frames.pop()
        elif isinstance(event, NodeEvent):
            self._refuse_extras(event)
            if isinstance(event, ScalarEvent):
                self._scalar(event, resolver)
            elif isinstance(event, CollectionStartEvent):
                self._start_collection(event)
            else:
                self._value(None)

    def _start_document(self, event: DocumentStartEvent) -> None:
        self.documents += 1
        if self.documents > 1:
            self._problem("a second document (---) begins; expected one document per file")
            raise _StopScan
        if event.version or event.tags:
            self._problem("a % directive stands before the document; remove it")

    def _refuse_extras(self, event: NodeEvent) -> None:
        if isinstance(event, AliasEvent):
            self._problem(f"an alias (*{event.anchor}); write the value out")
        elif event.anchor:
            self._problem(f"an anchor (&{event.anchor}); anchors and aliases are not allowed")
        if isinstance(event, (ScalarEvent, CollectionStartEvent)) and event.ctag is not None:
            self._problem("a tag (!); tags are not allowed, quote a value to make it text")

    def _scalar(self, event: ScalarEvent, resolver: Any) -> None:
        frame = self.frames[-1] if self.frames else None
        if frame and isinstance(frame.container, dict) and frame.key is None:
            self._key(frame, str(event.value))
            return
        if event.value == "" and frame and frame.key is not None:  # an omitted value has the position of what follows it
            place = self.scanned.keys.get(frame.next_path)
            self.last = (place.line, place.column) if place else self.last
        tag = str(resolver.resolve(ScalarNode, event.value, event.implicit) or "") if event.style is None and event.ctag is None else ""
        self._value(self._constant(tag.removeprefix(_TAG_PREFIX), event.value))

    def _constant(self, tag: str, text: str) -> Any:
        if tag == "null":
            return None
        if tag == "bool":
            return text.lower() == "true"
        if tag not in ("int", "float"):
            return text
        if not _NUMBER.fullmatch(text):
            self._problem(f"expected a plain decimal number, found {text[:40]}; quote it if it is text")
            return None
        return Decimal(text) if "." in text or "e" in text.lower() else int(text)

    def _key(self, frame: _Frame, key: str) -> None:
        frame.key = key
        first = self.scanned.keys.get((*frame.path, key))
        frame.duplicate = key in frame.container
        if frame.duplicate:
            written = f"; first written on line {first.line}" if first else ""
            self._problem(f"duplicate key{written}")
        elif frame.recorded:
            self.scanned.keys[(*frame.path, key)] = self._source()

    def _start_collection(self, event: CollectionStartEvent) -> None:
        frame = self.frames[-1] if self.frames else None
        if frame and isinstance(frame.container, dict) and frame.key is None:
            self._problem("expected a word as the key, found a mapping or list")
            raise _StopScan
        if len(self.frames) >= MAX_DEPTH:
            self._problem(f"nested deeper than {MAX_DEPTH} levels")
            raise _StopScan
        path = frame.next_path if frame else ()
        recorded = frame is None or (frame.recorded and not frame.duplicate)
        container: dict[str, Any] | list[Any] = {} if isinstance(event, MappingStartEvent) else []
        self._value(container)
        self.frames.append(_Frame(container, path, recorded=recorded))

    def _value(self, value: Any) -> None:
        if not self.frames:
            self.scanned.tree = value
            self.scanned.values[()] = self._source()
            return
        frame = self.frames[-1]
        if frame.recorded and not frame.duplicate:
            self.scanned.values[frame.next_path] = self._source()
        if isinstance(frame.container, list):
            frame.container.append(value)
        else:
            if not frame.duplicate:
                frame.container[str(frame.key)] = value
            frame.key = None

    def _source(self) -> Source:
        return Source(self.kind, self.where, *self.last) if self.kind == "file" else Source(self.kind, self.where)

    def _problem(self, message: str) -> None:
        path = self.frames[-1].next_path if self.frames else ()
        self.scanned.problems.append(Problem(self.name, *self.last, key_text(path), message))


def _explain(error: YAMLError, text: str) -> tuple[int, int, str]:
    """Line, column and one line of explanation of a syntax error."""
    if isinstance(error, ReaderError):
        before = text[: error.position]
        return before.count("\n") + 1, len(before) - before.rfind("\n"), f"a control character (U+{error.character:04X}) is not allowed"
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return 1, 1, " ".join(str(error).split())
    mark = error.problem_mark
    if text[mark.index : mark.index + 1] == "\t":
        return mark.line + 1, mark.column + 1, "a tab; YAML is indented and separated with spaces"
    words = [part for part in (error.context, error.problem) if part]
    return mark.line + 1, mark.column + 1, " ".join(", ".join(words).split())
