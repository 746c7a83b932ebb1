"""Files of segments: placed durably under their names, and deleted once they were written again."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from vpp.domain.errors import FrameError
from vpp.record.segment import SegmentHead, head_of
from vpp.storage.segments.folders import sync_folder
from vpp.storage.segments.shelf import ENDING, Segment, SegmentShelf

TEMPORARY = ".tmp"
"""Ending of a file that is being written."""


def placed(folder: Path, head: SegmentHead, content: bytes, *, again: bool = False) -> Segment:
    """Write a segment's file durably under its final name; one that is written ``again`` has a name of its own."""
    digest = hashlib.sha256(content).hexdigest()
    version = f"-{digest[:8]}" if again else ""
    name = f"{head.first:012d}-{head.last:012d}-{head.last_sha256[:12]}{version}{ENDING}"
    temporary = folder / (name + TEMPORARY)
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / name)
    sync_folder(folder)
    return Segment(**asdict(head), name=name, digest=digest, size=len(content))


def is_replaced(name: str, head: SegmentHead, segments: Sequence[Segment]) -> bool:
    """Return whether a file of the folder holds the entries of a segment that has another file in the index."""
    return any(
        one.name != name and (one.first, one.last, one.last_sha256) == (head.first, head.last, head.last_sha256)
        for one in segments
    )


def sweep_replaced(shelf: SegmentShelf) -> None:
    """Delete the files whose entries stand in another file of the index, whatever they are called."""
    if shelf.folder is None or not shelf.folder.is_dir():
        return
    segments = shelf.all()
    names = {one.name for one in segments}
    for path in sorted(shelf.folder.glob(f"*{ENDING}*")):
        if path.name in names:
            continue
        try:
            head = head_of(path.read_bytes())
        except FrameError:
            continue
        if is_replaced(path.name, head, segments):
            path.unlink()
    sync_folder(shelf.folder)
