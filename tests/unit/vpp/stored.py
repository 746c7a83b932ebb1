"""Bytes of whatever an operator's database and folders keep."""

from pathlib import Path

import sqlalchemy as sa


def stored_bytes(engine: sa.Engine, folder: Path) -> bytes:
    """Return every byte of the files in a folder, and of those in which a server keeps the database."""
    folders = [folder]
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("CHECKPOINT")
            place = "SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database"
            found = connection.exec_driver_sql(f"{place} WHERE datname = current_database()")
            folders.append(Path(str(found.scalar_one())))
    return b"".join(path.read_bytes() for each in folders for path in each.rglob("*") if path.is_file())
