"""The configuration's JSON Schema, for editors and for finding every structural error; made from the structs."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from dudzian_daemon.config.schema import CoreConfig

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
#: Sections of the whole configuration that are written in files of their own.
OWN_FILES: Final = ("instruments", "credentials")


def full_schema() -> dict[str, Any]:
    """Schema of the merged configuration; Decimals may be numbers or text."""
    schema: dict[str, Any] = _widened(msgspec.json.schema(CoreConfig))
    return schema


def editor_schema() -> dict[str, Any]:
    """Schema of core.yaml, as an editor wants it."""
    schema = full_schema()
    root = schema["$defs"][CoreConfig.__name__]
    root["properties"] = {name: entry for name, entry in root["properties"].items() if name not in OWN_FILES}
    return {"$schema": DIALECT, "title": "Dudzian core.yaml", **schema}


def _widened(node: Any) -> Any:
    if isinstance(node, dict):
        wide = {key: _widened(value) for key, value in node.items()}
        if wide.get("format") == "decimal":
            wide["type"] = ["number", "string"]
        return wide
    return [_widened(item) for item in node] if isinstance(node, (list, tuple)) else node
