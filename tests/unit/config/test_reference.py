"""The schema for editors and the reference page say what the code does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

import dudzian_daemon
from dudzian_daemon.config.fields import Section
from dudzian_daemon.config.json_schema import OWN_FILES, editor_schema, full_schema
from dudzian_daemon.config.load import INPUT_PATHS
from dudzian_daemon.config.places import bundled
from dudzian_daemon.config.reference import renewed, tables
from dudzian_daemon.config.schema import CoreConfig

PAGE = Path(dudzian_daemon.__file__).parent.parent / "docs/reference/config.md"


def sections(struct: type[Section]) -> Iterator[type[Section]]:
    yield struct
    for field in msgspec.structs.fields(struct):
        for part in parts(field.type):
            if isinstance(part, type) and issubclass(part, Section):
                yield from sections(part)


def parts(hint: Any) -> Iterator[Any]:
    yield hint
    for part in getattr(hint, "__args__", ()):
        yield from parts(part)


def test_every_key_is_on_the_reference_page_with_its_section() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for struct in set(sections(CoreConfig)):
        assert str(struct.__doc__) in page, f"section {struct.__name__} is not described"
        chapter = page.partition(str(struct.__doc__))[2].partition("###")[0]
        for key in struct.__struct_fields__:
            row = next((line for line in chapter.splitlines() if line.startswith(f"| `{key}` |")), "")
            assert row and not row.endswith("|  |"), f"{struct.__name__}.{key} is not described"


def test_no_annotation_of_a_section_is_text_that_a_start_would_have_to_compile() -> None:
    assert [struct for struct in set(sections(CoreConfig)) if any(isinstance(each, str) for each in struct.__annotations__.values())] == []


def test_the_pages_tables_are_fresh() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert tables() in page, "run: python -m dudzian_daemon.config.reference docs/reference/config.md"
    assert renewed(page) == page


def test_the_editor_schema_accepts_core_yaml_and_refuses_a_typing_error() -> None:
    schema = msgspec.json.decode(msgspec.json.encode(editor_schema()))
    Draft202012Validator.check_schema(schema)
    tree = YAML(typ="safe", pure=True).load((bundled("config") / "core.yaml").read_text(encoding="utf-8"))
    for environment in tree["environments"].values():
        for window in environment.get("replay", {}).get("windows", []):
            window.update(start=str(window["start"]), end=str(window["end"]))
    validator = Draft202012Validator(schema)
    assert [error.message for error in validator.iter_errors(tree)] == []
    tree["paper_trading"]["taker_fe"] = 1
    assert len(list(validator.iter_errors(tree))) == 1
    assert not any(name in schema["$defs"]["CoreConfig"]["properties"] for name in OWN_FILES)


def test_input_paths_are_those_of_the_schema() -> None:
    def marked(kind: msgspec.inspect.Type, path: str) -> Iterator[str]:
        if isinstance(kind, msgspec.inspect.Metadata):
            if (kind.extra or {}).get("path") == "input":
                yield path
            yield from marked(kind.type, path)
        elif isinstance(kind, msgspec.inspect.StructType):
            for field in kind.fields:
                yield from marked(field.type, f"{path}.{field.name}".removeprefix("."))
        elif isinstance(kind, msgspec.inspect.UnionType):
            for option in kind.types:
                yield from marked(option, path)
        elif isinstance(kind, msgspec.inspect.DictType):
            yield from marked(kind.value_type, f"{path}.*")
        elif isinstance(kind, msgspec.inspect.VarTupleType):
            yield from marked(kind.item_type, f"{path}.*")

    assert tuple(marked(msgspec.inspect.type_info(CoreConfig), "")) == INPUT_PATHS


def test_decimals_may_be_numbers_or_text() -> None:
    fee = full_schema()["$defs"]["PaperTrading"]["properties"]["taker_fee"]
    assert fee["type"] == ["number", "string"]
