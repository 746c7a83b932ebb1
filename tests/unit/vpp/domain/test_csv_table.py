"""CSV tables: the same lines from memory and from files, and errors that name place, value and what is accepted."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpp.domain.csv_table import CsvLine, check_columns, lines_in_body, lines_in_file, number_in
from vpp.domain.errors import InputError

TABLE = '\ufeffid,name\n\na,"Mall, north"\n\nb,Süd\n'
Read = Callable[[Path, bytes], Iterator[CsvLine]]


def from_file(folder: Path, content: bytes) -> Iterator[CsvLine]:
    (folder / "table.csv").write_bytes(content)
    return lines_in_file(folder / "table.csv")


def from_gzipped(folder: Path, content: bytes) -> Iterator[CsvLine]:
    (folder / "table.csv.gz").write_bytes(gzip.compress(content))
    return lines_in_file(folder / "table.csv.gz")


@pytest.mark.parametrize("read", [from_file, from_gzipped, lambda _, content: lines_in_body(content)])
def test_a_table_reads_the_same_wherever_it_lies(tmp_path: Path, read: Read) -> None:
    header, *lines = read(tmp_path, TABLE.encode())
    assert [line.named(header.cells) for line in lines] == [
        {"id": "a", "name": "Mall, north"},
        {"id": "b", "name": "Süd"},
    ]


def test_a_line_is_named_by_its_record_in_a_body_and_by_its_number_in_a_file(tmp_path: Path) -> None:
    assert [line.where for line in lines_in_body(TABLE.encode())] == ["header", "row 1", "row 2"]
    numbered = list(from_file(tmp_path, TABLE.encode()))
    assert [line.where for line in numbered] == ["table.csv line 1", "table.csv line 3", "table.csv line 5"]
    assert numbered[1].at("name") == "table.csv line 3, column name"


@pytest.mark.parametrize("read", [from_file, lambda _, content: lines_in_body(content)])
@pytest.mark.parametrize(
    ("content", "accepted"),
    [
        (b"id\n\xff\n", "CSV.*in UTF-8"),
        (b'id\n"a"b\n', "CSV.*in UTF-8"),
        (b"id\n", "header line and at least one"),
        (b"", "header line and at least one"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, read: Read, content: bytes, accepted: str) -> None:
    with pytest.raises(InputError, match=accepted):
        list(read(tmp_path, content))


def test_a_file_cut_short_or_of_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(TABLE.encode() * 100)[:-20])
    with pytest.raises(InputError, match=r"cut\.csv\.gz"):
        list(lines_in_file(tmp_path / "cut.csv.gz"))


def test_a_list_may_be_empty_where_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "list.csv").touch()
    assert list(lines_in_file(tmp_path / "list.csv", least=0)) == []


def test_uneven_lines_are_padded_by_name_and_refused_by_width() -> None:
    header, short, long = lines_in_body(b"id,name\na\nb,B,c\n")
    assert (short.named(header.cells), long.named(header.cells)) == ({"id": "a", "name": ""}, {"id": "b", "name": "B"})
    for line, width in ((short, 1), (long, 3)):
        with pytest.raises(InputError, match=f"row . *: {width} is not accepted; give 2 fields, as the header has"):
            line.check_width(header.cells)


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (["name"], "the columns id too"),
        (["id", "colour"], "only id, name"),
        (["id", "name", "name"], "each column once"),
    ],
)
def test_a_header_is_refused_for_what_it_lacks_repeats_or_invents(header: list[str], accepted: str) -> None:
    check_columns("table.csv header", ["name", "id"], required=["id"], known=("id", "name"))
    with pytest.raises(InputError, match=accepted):
        check_columns("table.csv header", header, required=["id"], known=("id", "name"))


@pytest.mark.parametrize("cell", ["", "1_000", "٣", "7 kW", "0x10", "--1"])
def test_what_other_programs_do_not_read_as_a_number_is_none(cell: str) -> None:
    assert number_in(cell) != number_in(cell)


@given(st.floats(allow_nan=False))
def test_every_number_comes_back(value: float) -> None:
    assert number_in(repr(value)) == value
