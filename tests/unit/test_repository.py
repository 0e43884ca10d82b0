"""House rules about files that no linter knows: sizes, names, what may be written in them, and pins that name no host."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dudzian_daemon import __version__

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024

TOP_LEVEL = {
    *("dudzian_daemon", "plugins", "config", "tests", "systemd", "launchd", "windows_service", "docs", "benchmarks", "constraints"),
    *("pyproject.toml", "noxfile.py", "README.md", "CHANGELOG.md", "LICENSE"),
}
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}

# Put together here, so that this file keeps the rules it checks.
MARKERS = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")
MACHINE_PATHS = re.compile(r"(?<![\w.~-])/(?:" + "|".join(("root", "work", "home")) + r")\b|\.\./" + "shared")
REGISTRY_HOSTS = re.compile("|".join(("pypi" + r"\.org", "python" + "hosted", "npm" + r"js\.", "deb" + r"\.debian")))


def repository_files() -> list[Path]:
    """Every file that is, or is about to be, in the repository."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def text_lines() -> Iterator[tuple[str, str]]:
    """(place, line) of every text file; pins are left out, they have a test of their own."""
    for path in repository_files():
        name = path.relative_to(ROOT).as_posix()
        content = path.read_bytes()
        if b"\0" in content or name.startswith(("constraints/run", "constraints/dev", "dudzian_daemon/sample/", "tests/data/")):
            continue
        for number, line in enumerate(content.decode("utf-8").splitlines(), 1):
            yield f"{name}:{number}", line


def product_modules() -> list[Path]:
    return [
        path for path in repository_files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in {"dudzian_daemon", "plugins"}
    ]


def test_the_top_level_has_only_what_was_decided() -> None:
    assert {name for path in repository_files() if not (name := path.relative_to(ROOT).parts[0]).startswith(".")} <= TOP_LEVEL


def test_no_file_is_large_except_sample_and_test_data() -> None:
    sizes = {path.relative_to(ROOT).as_posix(): path.stat().st_size for path in repository_files()}
    assert [name for name, size in sizes.items() if size > MIB and not name.startswith(("dudzian_daemon/sample/", "tests/data/"))] == []
    assert sum(size for name, size in sizes.items() if name.startswith("tests/data/")) <= 5_000_000


def test_module_names_say_what_is_inside() -> None:
    names = {part for path in repository_files() if path.suffix == ".py" for part in path.relative_to(ROOT).with_suffix("").parts}
    assert names & NAMES_THAT_SAY_NOTHING == set()


@pytest.mark.parametrize("forbidden", [MARKERS, MACHINE_PATHS, REGISTRY_HOSTS], ids=["open ends", "machine paths", "registry hosts"])
def test_no_text_contains(forbidden: re.Pattern[str]) -> None:
    assert [place for place, line in text_lines() if forbidden.search(line)] == []


def test_broad_catches_give_their_reason_on_the_line() -> None:
    texts = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in product_modules()}
    places = [
        f"{name}:{node.lineno}"
        for name, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ExceptHandler) and swallows_anything(node) and not reason(text.splitlines()[node.lineno - 1])
    ]
    assert places == []


def test_suppressions_name_a_code_and_give_their_reason_on_the_line() -> None:
    marks = re.compile(r"#\s*(?:noqa|type:\s*ignore)\b")
    places = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in product_modules()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if marks.search(line) and not reason(line)
    ]
    assert places == []


def swallows_anything(handler: ast.ExceptHandler) -> bool:
    """Whether it catches every exception and does not end by raising the one it caught."""
    caught = handler.type
    names = {node.id for node in ast.walk(caught) if isinstance(node, ast.Name)} if caught else {"BaseException"}
    last = handler.body[-1]
    return bool(names & {"Exception", "BaseException"}) and not (isinstance(last, ast.Raise) and last.exc is None)


def reason(line: str) -> bool:
    """Whether the comment on this line has at least three words beside `noqa: CODES` or `type: ignore[codes]`."""
    comment = re.sub(r"noqa:\s*[A-Z]+\d+(?:\s*,\s*[A-Z]+\d+)*|type:\s*ignore\[[\w, -]+\]", "", line.partition("#")[2])
    return len(re.findall(r"[A-Za-z]{2,}", comment)) >= 3


@pytest.mark.parametrize("name", ["run.txt", "dev.txt"])
def test_pins_are_exact_hashed_and_name_no_place(name: str) -> None:
    text = (ROOT / "constraints" / name).read_text(encoding="utf-8")
    assert not re.search(r"://|--(?:extra-)?index-url|--find-links|--trusted-host| @ ", text)
    requirements = text.replace("\\\n", " ").splitlines()
    assert [line for line in requirements if not re.match(r"[a-z0-9._-]+(?:\[[a-z,]+\])?==\S+ .*--hash=sha256:[0-9a-f]{64}", line)] == []


def test_the_development_pins_contain_the_run_pins() -> None:
    run, dev = (
        set(re.findall(r"^([a-z0-9._-]+==[^ ;]+)", (ROOT / "constraints" / name).read_text(encoding="utf-8"), flags=re.MULTILINE))
        for name in ("run.txt", "dev.txt")
    )  # a pin's markers may be wider among more packages; its version may not differ
    assert run - dev == set()


def test_one_version_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__
    assert "dudzian" in project["scripts"]
