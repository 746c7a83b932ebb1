"""Segments as bytes."""

from dataclasses import replace

import pytest

from vpp.domain.errors import FrameError
from vpp.record.chain import GENESIS
from vpp.record.segment import head_of, segment_bytes, segment_entries
from vpp.record.stored_body import StoredBody, stored_body
from vpp.record.stored_entry import StoredEntry


def chain(count: int, first: int = 1, before: str = GENESIS) -> list[StoredEntry]:
    entries = []
    for sequence in range(first, first + count):
        body = StoredBody('{"名":1}') if sequence % 2 else stored_body({"text": "x" * 300_000, "n": sequence})
        entry = StoredEntry(sequence=sequence, kind="交易", at_s=0.1 * sequence, body=body, sha256="")
        before = entry.linked(before)
        entries.append(StoredEntry(sequence=sequence, kind="交易", at_s=0.1 * sequence, body=body, sha256=before))
    return entries


def test_a_segment_gives_back_every_entry_with_its_hash() -> None:
    entries = chain(50, first=7, before="ab" * 32)
    head, content = segment_bytes(entries, "ab" * 32)
    assert head_of(content) == head
    assert (head.first, head.last, head.count, head.last_sha256) == (7, 56, 50, entries[-1].sha256)
    assert list(segment_entries(content)) == entries


@pytest.mark.parametrize("cut", [0, 3, 20, 200, -1])
def test_a_segment_that_is_cut_is_refused(cut: int) -> None:
    _, content = segment_bytes(chain(20), GENESIS)
    with pytest.raises(FrameError):
        list(segment_entries(content[:cut]))


def test_entries_that_do_not_come_to_the_last_hash_are_refused() -> None:
    head, content = segment_bytes(chain(5), GENESIS)
    with pytest.raises(FrameError, match="entries 1 to 5 end at 5 with hash"):
        list(segment_entries(content.replace(head.last_sha256.encode(), b"cd" * 32)))


def test_redacted_entries_keep_the_hash_by_which_their_neighbours_link() -> None:
    entries = chain(5)
    entries[2] = replace(entries[2], body=StoredBody("{}"))
    _, content = segment_bytes(entries, GENESIS)
    assert list(segment_entries(content)) == entries


def test_a_segment_of_a_newer_version_says_so() -> None:
    _, content = segment_bytes(chain(5), GENESIS)
    with pytest.raises(FrameError, match="version 3 needs a newer service"):
        head_of(content[:4] + b"\x03" + content[5:])
