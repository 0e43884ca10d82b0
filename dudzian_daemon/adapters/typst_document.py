"""Typesets a document with typst: a template, its data as JSON, its pictures as SVG; the same input gives the same bytes.

typst is the extra `reports` and is imported where something is typeset. It loads no package and no file but those it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, Literal

import msgspec

from dudzian_daemon.adapters.files import os_errors
from dudzian_daemon.domain.errors import ConfigError, Permanent

#: Libraries of the extra that a document with pictures needs.
NEEDED = ("typst", "matplotlib")


def require_typesetting(what: str) -> None:
    """Raise `ConfigError`, naming the extra, where a library is missing."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        msg = f'{what} needs {" and ".join(missing)}, not installed: pip install "dudzian[reports]"'
        raise ConfigError(msg)


def typeset(
    template: bytes, data: Any, pictures: Mapping[str, bytes], *, form: Literal["pdf", "png"] = "pdf", ppi: float = 110.0
) -> list[bytes]:
    """The document: one PDF, or one PNG for each page. The template reads `data.json` and the pictures by their names.

    Raises what the disk says of the folder for temporary files.
    """
    import typst

    with os_errors(Path(gettempdir())), TemporaryDirectory(prefix="dudzian-") as folder:
        root = Path(folder)
        (root / "main.typ").write_bytes(template)
        (root / "data.json").write_bytes(msgspec.json.encode(data))
        for name, content in pictures.items():
            (root / name).write_bytes(content)
        try:
            made: Any = typst.compile(root / "main.typ", root=root, ignore_system_fonts=True, format=form, ppi=ppi, timestamp=0)
        except RuntimeError as error:  # what typst raises for everything
            msg = f"the document cannot be typeset: {str(error).splitlines()[0]}"
            raise Permanent(msg) from error
    return [bytes(each) for each in made] if isinstance(made, list) else [bytes(made)]
