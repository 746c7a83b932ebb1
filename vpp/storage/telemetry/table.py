"""A Delta table whose log is written by delta-rs and whose Parquet files by pyarrow (docs/adr/0021)."""

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction, CommitProperties, RemoveAction, Transaction
from pyarrow import fs

from vpp.domain.errors import ConfigurationError

_CHECKPOINT_EVERY = 50
_APP = "vpp"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One Parquet file of the table.

    Attributes:
        path: Below the table's folder.
        part: Its partition: value by partition column.
        rows: Number of rows.
        size: Bytes.
    """

    path: str
    part: Mapping[str, int]
    rows: int
    size: int


@dataclass(slots=True)
class Change:
    """One commit: files that exist already become part of the table, others cease to be."""

    added: list[File] = field(default_factory=list)
    removed: list[File] = field(default_factory=list)


class FileTable:
    """A table that this process alone writes; calls block and must not overlap.

    Args:
        url: Folder, or URL of an object store that `deltalake` knows (``s3://…``, ``az://…``, ``file://…``).
        schema: Of the files; partition columns are not among it.
        partition_by: Partition columns, whole numbers all.
        options: Of the object store, as `deltalake` takes them.

    Raises:
        ConfigurationError: There is no table and none can be made.
    """

    def __init__(
        self, url: str, *, schema: pa.Schema, partition_by: Sequence[str], options: Mapping[str, str] | None = None
    ) -> None:
        self._schema = schema
        self._partition_by = list(partition_by)
        self._options = dict(options or {})
        self._full = pa.schema([*schema, *(pa.field(name, pa.int64()) for name in partition_by)])
        self._local = "://" not in url
        self._url = str(Path(url).resolve()) if self._local else url
        try:
            self._delta = self._opened()
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"telemetry table at {url}: {error}") from error
        self._fs: Any = fs.LocalFileSystem() if self._local else fs.PyFileSystem(self._handler())
        self._files = self._listed()
        self._commits = 0

    @property
    def version(self) -> int:
        """Number of the latest commit."""
        return int(self._delta.version())

    @property
    def filesystem(self) -> Any:  # noqa: ANN401 - a pyarrow filesystem
        """Filesystem of the files."""
        return self._fs

    @property
    def is_local(self) -> bool:
        """The table is in a folder."""
        return self._local

    def mark(self) -> int:
        """Return the mark of the latest commit that carried one; 0 where none did."""
        return int(self._delta.transaction_version(_APP) or 0)

    def files(self, **part: int) -> list[File]:
        """Return the files of a partition, or of several where columns are left out, the oldest first."""
        return [f for f in self._files.values() if all(f.part[name] == value for name, value in part.items())]

    def path(self, file: File) -> str:
        """Return the path of a file, as ``filesystem`` takes it."""
        return f"{self._url}/{file.path}" if self._local else file.path

    def write(self, parts: Iterable[pa.Table], part: Mapping[str, int], **writing: Any) -> File:  # noqa: ANN401 - to pyarrow
        """Write tables into one file, one or more row groups each; ``commit`` makes it part of the table."""
        folder = "/".join(f"{name}={part[name]}" for name in self._partition_by)
        # Names rise with the version: of two samples for one instant the one in the later file counts.
        path = f"{folder}/{self.version + 1:012d}-{uuid.uuid4().hex[:12]}.parquet"
        where = f"{self._url}/{path}" if self._local else path
        if self._local:
            Path(where).parent.mkdir(parents=True, exist_ok=True)
        rows, group = 0, int(writing.pop("row_group_size", 2**20))
        with pq.ParquetWriter(where, self._schema, filesystem=self._fs, **writing) as writer:
            for table in parts:
                writer.write_table(table, row_group_size=group)
                rows += table.num_rows
        if self._local:
            _flush_to_disk(Path(where))
        size = int(self._fs.get_file_info(where).size)
        return File(path=path, part=dict(part), rows=rows, size=size)

    def read(self, file: File, **reading: Any) -> pa.Table:  # noqa: ANN401 - to pyarrow
        """Return the content of a file."""
        return pq.read_table(self.path(file), filesystem=self._fs, schema=self._schema, partitioning=None, **reading)

    def row_groups(self, file: File) -> Iterator[pa.Table]:
        """Iterate the content of a file, a row group at a time."""
        with pq.ParquetFile(self.path(file), filesystem=self._fs) as parquet:
            for group in range(parquet.num_row_groups):
                yield parquet.read_row_group(group, columns=self._schema.names)

    def sweep(self) -> int:
        """Delete the data files that are no part of the table, e.g. what a stop has left; return how many."""
        root = self._url if self._local else ""
        found = self._fs.get_file_info(fs.FileSelector(root, recursive=True))
        loose = [one.path for one in found if one.is_file and self._is_loose(one.path.removeprefix(root).lstrip("/"))]
        for path in loose:
            self._fs.delete_file(path)
        return len(loose)

    def _is_loose(self, path: str) -> bool:
        return path.endswith(".parquet") and not path.startswith("_delta_log") and path not in self._files

    def commit(self, change: Change, *, at_s: float, mark: int | None = None) -> None:
        """Make a change the table's next version, whole or not at all, with ``mark``; ``at_s`` is epoch seconds."""
        now_ms = int(at_s * 1000.0)
        actions: list[AddAction | RemoveAction] = [self._added(file, now_ms) for file in change.added]
        actions += [
            RemoveAction(path=f.path, data_change=True, deletion_timestamp=now_ms, partition_values=self._values(f))
            for f in change.removed
        ]
        marks = None if mark is None else [Transaction(app_id=_APP, version=mark)]
        self._delta.create_write_transaction(
            actions=actions,
            mode="append",
            schema=self._full,
            partition_by=self._partition_by,
            commit_properties=CommitProperties(app_transactions=marks),
        )
        self._delta.update_incremental()
        for file in change.removed:
            self._files.pop(file.path, None)
        self._files.update({file.path: file for file in change.added})
        self._commits += 1
        if self._commits % _CHECKPOINT_EVERY == 0:
            self._delta.create_checkpoint()
            self._delta.cleanup_metadata()

    def delete(self, files: Sequence[File]) -> None:
        """Delete files that have ceased to be part of the table; one that is gone already is passed over."""
        for file in files:
            try:
                self._fs.delete_file(self.path(file))
            except FileNotFoundError:
                continue

    def _added(self, file: File, now_ms: int) -> AddAction:
        return AddAction(
            path=file.path,
            size=file.size,
            partition_values=self._values(file),
            modification_time=now_ms,
            data_change=True,
            stats=json.dumps({"numRecords": file.rows}),
        )

    def _values(self, file: File) -> dict[str, str | None]:
        return {name: str(file.part[name]) for name in self._partition_by}

    def _opened(self) -> DeltaTable:
        if not DeltaTable.is_deltatable(self._url, storage_options=self._options or None):
            if self._local:
                Path(self._url).mkdir(parents=True, exist_ok=True)
            DeltaTable.create(
                self._url,
                schema=self._full,
                mode="ignore",
                partition_by=self._partition_by,
                storage_options=self._options or None,
            )
        return DeltaTable(self._url, storage_options=self._options or None)

    def _handler(self) -> Any:  # noqa: ANN401 - pyarrow's filesystem handler
        return DeltaStorageHandler.from_table(self._delta._table, self._options or None)  # noqa: SLF001 - deltalake offers no public way

    def _listed(self) -> dict[str, File]:
        actions = pa.table(self._delta.get_add_actions(flatten=True)).to_pylist()
        actions.sort(key=lambda action: action["path"].rpartition("/")[2])
        return {
            action["path"]: File(
                path=action["path"],
                part={name: int(action[f"partition.{name}"]) for name in self._partition_by},
                rows=int(action["num_records"]),
                size=int(action["size_bytes"]),
            )
            for action in actions
        }


def _flush_to_disk(path: Path) -> None:
    """Make a file survive a loss of power before the log names it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
