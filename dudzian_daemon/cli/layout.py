"""Text that fits a terminal: lines with a hanging indent, and tables whose columns are folded or parted where they are too wide."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final

_GAP: Final = 2


def terminal_width() -> int | None:
    """Characters of a line where people read stdout; None where programs do, for whom nothing is folded."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def wrapped(line: str, indent: int, width: int | None) -> list[str]:
    """The line in pieces of at most `width` characters, all but the first indented; words stay whole."""
    if width is None:
        return [line]
    return textwrap.wrap(line, max(width, 2 * indent), subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """The first column on the left, numbers on the right. If it is wider than `width`, heads are folded at `_`, then blocks are made."""
    cells = [max((len(row[number]) for row in rows), default=0) for number in range(len(columns))]
    heads = [[name] for name in columns]
    if width is not None and _total(_widths(heads, cells)) > width:
        heads = [_folded(name, cell) for name, cell in zip(columns, cells, strict=True)]
    widths = _widths(heads, cells)
    lines: list[str] = []
    for block in _blocks(widths, width):
        lines += ["", *_head_lines(heads, widths, block), *(_line(row, widths, block) for row in rows)]
    return lines[1:]


def _widths(heads: Sequence[Sequence[str]], cells: Sequence[int]) -> list[int]:
    return [max(cell, *map(len, head)) for head, cell in zip(heads, cells, strict=True)]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _folded(name: str, width: int) -> list[str]:
    """The name in pieces, each as long as `width` allows but at least one word."""
    words = name.split("_")
    pieces = [f"{word}_" for word in words[:-1]] + words[-1:]
    lines = pieces[:1]
    for piece in pieces[1:]:
        if len(lines[-1]) + len(piece) <= width:
            lines[-1] += piece
        else:
            lines.append(piece)
    return lines


def _blocks(widths: Sequence[int], width: int | None) -> Iterator[list[int]]:
    """Numbers of the columns that stand side by side: the first always, and at least one other."""
    block = [0]
    for number in range(1, len(widths)):
        if width is not None and len(block) > 1 and _total([widths[each] for each in (*block, number)]) > width:
            yield block
            block = [0]
        block.append(number)
    yield block


def _head_lines(heads: Sequence[Sequence[str]], widths: Sequence[int], block: Sequence[int]) -> Iterator[str]:
    """Heads stand on the table: the shorter ones begin lower."""
    upwards = zip_longest(*(reversed(heads[number]) if number in block else () for number in range(len(heads))), fillvalue="")
    return (_line(row, widths, block) for row in reversed(list(upwards)))


def _line(row: Sequence[str], widths: Sequence[int], block: Sequence[int]) -> str:
    texts = (row[number].rjust(widths[number]) if number else row[number].ljust(widths[number]) for number in block)
    return (" " * _GAP).join(texts).rstrip()
