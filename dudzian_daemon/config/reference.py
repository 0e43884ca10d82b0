"""The tables of docs/reference/config.md, made from the schema; `python -m dudzian_daemon.config.reference FILE` renews them there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dudzian_daemon.config.json_schema import full_schema
from dudzian_daemon.config.schema import CoreConfig

BEGIN: Final = "<!-- keys: made by python -m dudzian_daemon.config.reference -->"
END: Final = "<!-- end of keys -->"

_HEAD: Final = "| key | value | default | meaning |\n|---|---|---|---|"
_TYPES: Final = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "text"}
#: Bounds from here on only say that a float is exact; they are left out.
_EXACT: Final = 2**53 - 1
_FORMATS: Final = {"decimal": "number", "date": "date"}


def tables() -> str:
    """One Markdown section per section of the configuration, in the order of the files."""
    schema = full_schema()
    places: dict[str, list[str]] = {}
    for name, place in _sections(schema, CoreConfig.__name__, ""):
        if place not in places.setdefault(name, []):
            places[name].append(place)
    return "\n\n".join(_section(schema["$defs"][name], where) for name, where in places.items())


def renewed(text: str) -> str:
    """`text` with fresh tables between its two marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.partition(END)[2]}"


def _sections(schema: dict[str, Any], name: str, place: str) -> Iterator[tuple[str, str]]:
    """Every struct with each place where it stands, depth first."""
    yield name, place
    for key, node in schema["$defs"][name]["properties"].items():
        for target, suffix in _targets(node):
            yield from _sections(schema, target, f"{place}.{key}{suffix}".removeprefix("."))


def _targets(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "$ref" in node:
        yield node["$ref"].rpartition("/")[2], ""
    for option in node.get("anyOf", ()):
        yield from _targets(option)
    for part, suffix in (("items", "[]"), ("additionalProperties", ".<name>")):
        if isinstance(node.get(part), dict):
            yield from ((target, suffix + rest) for target, rest in _targets(node[part]))


def _section(struct: dict[str, Any], places: list[str]) -> str:
    title = " and ".join(f"`{place}`" for place in places if place) or "Top level"
    required = struct["required"]
    rows = [_row(key, node, required=key in required) for key, node in struct["properties"].items()]
    return "\n".join([f"### {title}\n\n{struct['description']}\n", _HEAD, *rows])


def _row(key: str, node: dict[str, Any], *, required: bool) -> str:
    default = "required" if required else _default(node)
    return f"| `{key}` | {_value(node)} | {default} | {node.get('description', '')} |"


def _default(node: dict[str, Any]) -> str:
    if "default" not in node:
        return "see meaning" if "minProperties" in node else "none"
    default = node["default"]
    if default is None or default in ("", {}) or default == []:
        return "none"
    if isinstance(default, dict):
        return "its defaults"
    if isinstance(default, bool):
        default = str(default).lower()
    return f"`{', '.join(map(str, default)) if isinstance(default, list) else default}`"


def _value(node: dict[str, Any]) -> str:
    if "$ref" in node:
        return "section"
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(_value(option) for option in node["anyOf"] if option != {"type": "null"}))
    if "enum" in node:
        return ", ".join(f"`{word}`" for word in node["enum"])
    if node.get("type") == "array":
        return f"list of {_value(node['items'])}"
    if node.get("type") == "object":
        return f"{_value(node['additionalProperties'])} by name"
    described = node.get("x-expected", "").removeprefix("a ").removeprefix("an ")
    return (described or _FORMATS.get(node.get("format", "")) or _TYPES[node["type"]]) + _bounds(node)


def _bounds(node: dict[str, Any]) -> str:
    signs = (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="))
    bounds = [f"{sign} {node[key]}" for key, sign in signs if key in node and abs(node[key]) < _EXACT]
    return f" {', '.join(bounds)}" if bounds else ""


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(renewed(file.read_text(encoding="utf-8")), encoding="utf-8")
