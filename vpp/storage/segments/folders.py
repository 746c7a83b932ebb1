"""Durability of a folder's list of files."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make files that were added to a folder, or renamed in it, survive a loss of power, where the system can.

    Raises:
        OSError: The folder cannot be synchronised.
    """
    if os.name != "posix":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
