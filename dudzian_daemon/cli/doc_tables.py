"""Tables of the reference that are made from the code; `python -m dudzian_daemon.cli.doc_tables docs/reference` renews them there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Final

from dudzian_daemon.cli import exit_codes
from dudzian_daemon.domain import alerts, refusals

BEGIN: Final = "<!-- codes: made by python -m dudzian_daemon.cli.doc_tables -->"
END: Final = "<!-- end of codes -->"
#: Page and the table between its two marks.
TABLES: Final = MappingProxyType[str, Callable[[], str]](
    {"alerts.md": alerts.table, "exit-codes.md": exit_codes.table, "risk-codes.md": refusals.table}
)


def renewed(text: str, table: str) -> str:
    """`text` with the table between its two marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    for name, made in TABLES.items():
        page = Path(sys.argv[1]) / name
        page.write_text(renewed(page.read_text(encoding="utf-8"), made()), encoding="utf-8")
