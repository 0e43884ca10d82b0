"""Who acts: the name that stands in the audit log."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import Annotated

import typer

VARIABLE = "DUDZIAN_OPERATOR"

Operator = Annotated[
    str | None, typer.Option("--operator", help=f"Name for the audit log; default: ${VARIABLE}, else the user of the system.")
]


def operator_name(given: str | None, env: Mapping[str, str]) -> str:
    """The name of a flag, of the variable, or of the system's user."""
    named = given or env.get(VARIABLE)
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in many containers
        return "unknown"
