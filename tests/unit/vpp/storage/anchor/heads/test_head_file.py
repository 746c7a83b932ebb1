"""Heads are appended whole, read back, and thinned by day."""

from pathlib import Path

from vpp.domain.units import SECONDS_PER_DAY
from vpp.record.entry import Head
from vpp.record.heads import HeadKey, SignedHead
from vpp.storage.anchor.heads.head_file import HeadFile, thinned

KEY = HeadKey.random()


def head(sequence: int, at_s: float = 0.0, *, restored: bool = False) -> SignedHead:
    return SignedHead(fleet="f", sequence=sequence, sha256="0" * 64, at_s=at_s, restored=restored, signature="")


def test_heads_come_back_in_order(tmp_path: Path) -> None:
    file = HeadFile(tmp_path / "heads", "f")
    assert not file.read().exists
    for sequence in (1, 5, 9):
        file.append(KEY.sign("f", Head(sequence, "a" * 64), 1.0))
    assert [h.sequence for h in HeadFile(tmp_path / "heads", "f").read().heads] == [1, 5, 9]
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_a_line_cut_short_by_a_crash_is_no_fault_and_is_dropped(tmp_path: Path) -> None:
    file = HeadFile(tmp_path, "f")
    file.append(head(1))
    with file.path.open("a") as torn:
        torn.write('{"fleet":"f","seq')
    assert file.read().unreadable == []
    file.append(head(2))
    read = file.read()
    assert [h.sequence for h in read.heads] == [1, 2]
    assert read.unreadable == []


def test_a_long_file_keeps_the_newest_the_last_of_each_day_and_every_restore() -> None:
    heads = [head(n, n * SECONDS_PER_DAY / 10) for n in range(10_000)]
    heads[1234] = head(1234, 1234 * SECONDS_PER_DAY / 10, restored=True)
    kept = thinned(heads)
    assert kept[-2000:] == heads[-2000:]
    assert [h.sequence for h in kept[:3]] == [9, 19, 29]
    assert 1234 in [h.sequence for h in kept]
    assert len(kept) == 2000 + 800 + 1


def test_a_file_does_not_grow_for_ever(tmp_path: Path) -> None:
    file = HeadFile(tmp_path, "f")
    file.path.write_text("".join(head(n, float(n)).line() + "\n" for n in range(1, 10_001)))
    file.append(head(10_001))
    heads = file.read().heads
    assert len(heads) == 2002
    assert heads[-1].sequence == 10_001
