"""Tables of data sets are found in folders and read; what is wrong is named."""

from pathlib import Path

import pandas as pd
import pytest

from vpp.domain.errors import InputError
from vpp.lab.backtest.data import read_table

TABLE = pd.DataFrame({"time": ["2020-01-01"], "load": [1.5]})


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.parquet"])
def test_a_file_is_read_by_its_name_or_from_its_folder(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    if name == "x.parquet":
        TABLE.to_parquet(file)
    else:
        TABLE.to_csv(file, index=False)
    assert read_table(file, "other").equals(TABLE)
    assert read_table(tmp_path, name).equals(TABLE)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.csv", None, "a file, or a folder that holds usual.csv"),
        ("x.xlsx", b"x", r"ends with one of \.parquet"),
        ("x.csv.gz", b"no gzip", "a file that can be read"),
        ("x.parquet", b"no parquet", "a file that can be read"),
        ("x.csv", b"", "a file that can be read"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_table(file, "usual.csv")
