"""Tables of data sets: Parquet or CSV, a file or the folder that holds it under its usual name."""

from pathlib import Path

import pandas as pd

from vpp.domain.errors import InputError

_KINDS = (".parquet", ".csv", ".csv.gz")


def read_table(path: Path, usual_name: str) -> pd.DataFrame:
    """Return a table.

    Args:
        path: File, or a folder with a file of the usual name.
        usual_name: Name of the file in a folder.

    Raises:
        InputError: There is no such file, it is of another kind, or it cannot be read.
    """
    file = path / usual_name if path.is_dir() else path
    if not file.is_file():
        raise InputError("data", str(path), f"a file, or a folder that holds {usual_name}")
    if not file.name.endswith(_KINDS):
        raise InputError("data", str(path), f"a file that ends with one of {', '.join(_KINDS)}")
    try:
        return pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, low_memory=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError("data", str(file), f"a file that can be read: {error}") from error
