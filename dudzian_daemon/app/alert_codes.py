"""The tables of docs/reference/alerts.md, made from the codes; `python -m dudzian_daemon.app.alert_codes FILE` renews them there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from dudzian_daemon.domain.alerts import table

BEGIN: Final = "<!-- codes: made by python -m dudzian_daemon.app.alert_codes -->"
END: Final = "<!-- end of codes -->"


def renewed(text: str) -> str:
    """`text` with fresh tables between its two marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(renewed(document.read_text(encoding="utf-8")), encoding="utf-8")
