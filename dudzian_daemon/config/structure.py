"""Every structural error of a configuration in words: unknown keys, wrong types, numbers out of range.

Loaded only when the fast conversion has failed: jsonschema is slow to import.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from dudzian_daemon.config.fields import LIVE_REFUSED, decimal_fault
from dudzian_daemon.config.json_schema import full_schema
from dudzian_daemon.config.lookup import suggestion
from dudzian_daemon.config.provenance import Document, Path, Problem
from dudzian_daemon.config.secrets import looks_secret

_TYPES: Final = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
}
_FORMATS: Final = {"decimal": "a number", "date": "a date such as 2024-01-31"}
_LIMITS: Final = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
_NOTHING: Final = {"type": "null"}
#: Keys that had another name before, with the one they have now.
_RENAMED: Final[dict[Path, str]] = {("runtime", "metrics_http"): "metrics_service"}


def structural_problems(document: Document) -> Iterator[Problem]:
    """All differences between the tree and the schema, each where it stands."""
    teller = _Teller(document, full_schema())
    validator: Any = extend(Draft202012Validator, {"format": _check_format})  # type: ignore[no-untyped-call]  # jsonschema leaves it untyped
    for error in validator(teller.schema).iter_errors(document.tree):
        yield from teller.tell(error)


class _Teller:
    """Turns jsonschema's errors into problems."""

    def __init__(self, document: Document, schema: dict[str, Any]) -> None:
        self.document = document
        self.schema = schema

    def tell(self, error: ValidationError) -> Iterator[Problem]:
        """The problems one error stands for."""
        path: Path = tuple(error.absolute_path)
        node: Any = error.schema
        found: Any = error.instance
        if error.validator == "additionalProperties":
            yield from self._unknown_keys(path, node["properties"], found)
        elif error.validator == "required":
            key = next(key for key in node["required"] if repr(key) in error.message and key not in found)
            yield self.document.problem((*path, key), "missing; this key is required")
        elif "propertyNames" in list(error.absolute_schema_path)[-2:]:
            yield self.document.problem((*path, str(found)), f"expected {self._expected(node)} as the key", at_key=True)
        elif error.validator == "anyOf":
            yield from self._union(error, path, node)
        else:
            yield self.document.problem(path, self._message(error, path, node))

    def _unknown_keys(self, path: Path, known: dict[str, Any], found: dict[str, Any]) -> Iterator[Problem]:
        for key in found:
            if key not in known:
                place = (*path, key)
                now = f"; it is called {_RENAMED[place]!r} now" if place in _RENAMED else suggestion(key, known)
                yield self.document.problem(place, f"unknown key{now}", at_key=True)

    def _union(self, error: ValidationError, path: Path, node: Any) -> Iterator[Problem]:
        """An optional value is told as the value it may be; a choice of several types as that choice."""
        branches = [index for index, option in enumerate(node["anyOf"]) if option != _NOTHING]
        if len(branches) > 1:
            yield self.document.problem(path, f"expected {self._expected(node)}, found {_found(error.instance)}")
            return
        for inner in error.context or ():
            if inner.relative_schema_path[0] == branches[0]:
                yield from self.tell(inner)

    def _message(self, error: ValidationError, path: Path, node: Any) -> str:
        rule, found = str(error.validator), error.instance
        if rule == "enum" and path[-1:] == ("mode",) and found == "live":
            return LIVE_REFUSED
        if rule in _LIMITS:
            return f"expected a number {_LIMITS[rule]} {node[rule]}, found {found}"
        if rule in ("minItems", "minProperties"):
            return "must not be empty"
        if rule == "maxLength":
            return f"expected at most {node[rule]} characters, found {len(str(found))}"
        if rule == "format":
            return error.message
        guess = suggestion(found, map(str, node["enum"])) if rule == "enum" and isinstance(found, str) else ""
        return f"expected {self._expected(node)}, found {_found(found)}{guess if 'did you mean' in guess else ''}"

    def _expected(self, node: Any) -> str:
        if "$ref" in node:
            return self._expected(self.schema["$defs"][node["$ref"].rpartition("/")[2]])
        if "anyOf" in node:
            options = [self._expected(option) for option in node["anyOf"] if option != _NOTHING]
            return " or ".join(dict.fromkeys(options))
        if "enum" in node:
            words = ", ".join(map(str, node["enum"]))
            return f"one of {words}" if len(node["enum"]) > 1 else words
        return str(node.get("x-expected") or _FORMATS.get(node.get("format")) or _TYPES[node["type"]])


def _found(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "text that looks like a secret" if looks_secret(value) else f"text {value[:40]!r}"
    return {type(None): "nothing", dict: "a mapping", list: "a list"}.get(type(value), str(value))


def _check_format(_: Any, form: str, instance: Any, node: dict[str, Any]) -> Iterator[ValidationError]:
    """Keyword `format`: dates, and Decimals written as text, whose bounds JSON Schema does not see."""
    fault = None
    if form == "date" and isinstance(instance, str):
        fault = None if _is_date(instance) else f"expected {_FORMATS[form]}, found {_found(instance)}"
    elif form == "decimal" and isinstance(instance, (str, Decimal)):
        try:
            fault = decimal_fault(Decimal(instance), node if isinstance(instance, str) else {})
        except InvalidOperation:
            fault = f"expected {_FORMATS[form]}, found {_found(instance)}"
    if fault:
        yield ValidationError(fault)


def _is_date(text: str) -> bool:
    with suppress(ValueError):
        date.fromisoformat(text)
        return re.fullmatch(r"\d{4}-\d\d-\d\d", text) is not None
    return False
