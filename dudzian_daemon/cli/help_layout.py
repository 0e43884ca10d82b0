"""A command's help in a narrow terminal: typer lays options out in a table that would cut a long name, which nobody could type then.

Here names keep their width, one alias a line, and what they mean gives way.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class WholeNames(TyperCommand):
    """A command whose help shows every name whole."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """As typer does, with our table."""
        _install()
        super().format_help(ctx, formatter)


def _install() -> None:
    """Give typer another table for its options. Loads rich, which only a help needs."""
    from rich.table import Table
    from rich.text import Text
    from typer import rich_utils

    class OptionTable(Table):
        """Columns: perhaps a mark for what is required, long and short names, those that switch off, type, meaning."""

        def add_row(self, *cells: Any, **settings: Any) -> None:
            super().add_row(*(_one_a_line(cell) for cell in cells[:-2]), *cells[-2:], **settings)
            for column in self.columns[:-2]:
                column.no_wrap = True
            for text in getattr(cells[-1], "renderables", ()):
                if isinstance(text, Text):
                    text.overflow = "fold"

    def _one_a_line(names: Any) -> Any:
        return Text("\n").join(names.split(",")) if isinstance(names, Text) else names

    vars(rich_utils)["Table"] = OptionTable
