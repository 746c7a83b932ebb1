"""CSV tables from outside: lines decoded and counted, columns checked, and one shape of error for all of them.

A table is UTF-8, with or without a byte order mark; its first line names the columns; lines that hold nothing are
passed over. Every error is an ``InputError`` whose field says where (``"prices.csv line 3, column hour"``), whose value
is what was found there, and whose last part is what is accepted.
"""

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from vpp.domain.errors import InputError

_SHOWN_BYTES = 80


class CsvLine(NamedTuple):
    """One line of a table.

    Attributes:
        where: Name of the line for errors: ``"row 3"``, from 1 below the header of a body, or
            ``"prices.csv line 3"``, from 1 in a file.
        number: The number in that name, 0 for the header of a body.
        cells: What stands between the delimiters.
    """

    where: str
    number: int
    cells: Sequence[str]

    def at(self, column: str) -> str:
        """Return the name of a cell for errors."""
        return f"{self.where}, column {column}"

    def named(self, header: Sequence[str]) -> dict[str, str]:
        """Return the cells by column; one that is missing is empty, what the header does not name is left out."""
        return dict(zip_longest(header, self.cells[: len(header)], fillvalue=""))

    def check_width(self, header: Sequence[str]) -> None:
        """Refuse a line that is longer or shorter than the header; raises InputError."""
        if len(self.cells) != len(header):
            raise InputError(self.where, len(self.cells), f"{len(header)} fields, as the header has")


def cells_in_body(body: bytes) -> Iterator[list[str]]:
    """Iterate the lines of a CSV in memory as cells, the header first; the text is never held twice.

    Raises:
        InputError: It is not CSV in UTF-8, or has no line below its header.
    """
    text = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8-sig", newline="")
    start = body[:_SHOWN_BYTES].decode("utf-8", "replace")
    count = 0
    try:
        for cells in csv.reader(text, strict=True):
            if cells:
                count += 1
                yield cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("body", start, f"CSV in UTF-8 ({error})") from error
    if count <= 1:
        raise InputError("body", start, "a header line and at least one record")


def lines_in_body(body: bytes) -> Iterator[CsvLine]:
    """Iterate the lines of a CSV in memory with their names; see ``cells_in_body``."""
    for count, cells in enumerate(cells_in_body(body)):
        yield CsvLine(f"row {count}" if count else "header", count, cells)


def lines_in_file(path: Path, *, least: int = 2) -> Iterator[CsvLine]:
    """Iterate the lines of a CSV file, the header first; a name that ends in ``.gz`` stands for a gzipped one.

    Args:
        path: The file.
        least: How many lines it has to have, its header included.

    Raises:
        OSError: It cannot be read.
        InputError: It is not CSV in UTF-8, or too short.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    count = 0
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            for cells in filter(None, reader):
                count += 1
                yield CsvLine(f"{path.name} line {reader.line_num}", reader.line_num, cells)
    except (UnicodeDecodeError, csv.Error, EOFError, zlib.error) as error:
        raise InputError(str(path), str(error), "a CSV file in UTF-8, as it is or gzipped") from error
    if count < least:
        raise InputError(str(path), "no rows", "a header line and at least one row below it")


def check_columns(
    where: str, header: Sequence[str], *, required: Iterable[str] = (), known: Sequence[str] | None = None
) -> None:
    """Refuse a header that lacks a column, names one twice, or names one that is not known.

    Args:
        where: Name of the header for errors.
        header: The columns.
        required: Columns that must be there.
        known: Columns that may be there; any if it is ``None``.

    Raises:
        InputError: It does any of these.
    """
    needed = list(required)
    if any(name not in header for name in needed):
        raise InputError(where, ",".join(header), f"the columns {', '.join(needed)} too")
    unknown = [name for name in header if known is not None and name not in known]
    if unknown:
        raise InputError(f"{where}, column {unknown[0]}", unknown[0], f"only {', '.join(known or ())}")
    if len(set(header)) < len(header):
        raise InputError(where, ",".join(header), "each column once")


def is_plain(cell: str) -> bool:
    """Return whether a cell has none of what Python reads in a number and other programs do not."""
    return cell.isascii() and "_" not in cell


def number_in(cell: str) -> float:
    """Return the number in a cell; NaN where there is none, or one that other programs would not read."""
    try:
        return float(cell) if is_plain(cell) else math.nan
    except ValueError:
        return math.nan
