"""The exit codes that every command shares; `python -m dudzian_daemon.cli.exit_codes FILE` renews their table in the documents.

Commands with a verdict of their own say their codes in their own file.
"""

from __future__ import annotations

import sys
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

BEGIN: Final = "<!-- codes: made by python -m dudzian_daemon.cli.exit_codes -->"
END: Final = "<!-- end of codes -->"


class ExitCode(IntEnum):
    """Stable: service managers and pipelines decide by them."""

    OK = 0
    FAILED = 1
    WRONG_INPUT = 2
    SECURITY_WARNINGS = 3
    LOW_SPACE = 4
    PRECHECK_FAILED = 5
    PUBLICATION_FAILED = 6
    LIVE_BLOCKED = 7


MEANINGS: Final = MappingProxyType(
    {
        ExitCode.OK: "done; a daemon that was told to stop and stopped",
        ExitCode.FAILED: "something failed while it ran, or the session to go on with is damaged; `dudzian status`: no daemon runs there",
        ExitCode.WRONG_INPUT: (
            "the input is wrong: command line, configuration, folder, plugin, port, a candle file that is not what was written, another "
            "daemon holds the data folder, or the session to go on with ran under another configuration or code (`--accept-change`, "
            "`dudzian accept-change`, `--fresh`), also where the accepted change is of another session, expired or not what was signed. "
            "Nothing was started"
        ),
        ExitCode.SECURITY_WARNINGS: "security warnings (with `--fail-on-security-warnings`). Nothing was started",
        ExitCode.LOW_SPACE: "less disk space than `--smoke-min-free-mb`, with `--smoke-fail-on-low-space`; the report is there",
        ExitCode.PRECHECK_FAILED: "the pre-check says no, or the candles of a smoke run are missing",
        ExitCode.PUBLICATION_FAILED: "a required publication failed or was not possible; it goes before 4",
        ExitCode.LIVE_BLOCKED: "live trading was asked for: it is not built",
    }
)


def table() -> str:
    """The table in Markdown."""
    rows = (f"| {code.value} | {MEANINGS[code]} |" for code in ExitCode)
    return "\n".join(("| code | meaning |", "|---|---|", *rows))


def renewed(text: str) -> str:
    """`text` with a fresh table between its two marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
