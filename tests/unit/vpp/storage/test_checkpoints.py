"""Checkpoints in SQL: the newest first, few, and the same again."""

import sqlalchemy as sa

from vpp.record.checkpoint import Checkpoint
from vpp.storage.checkpoints import SqlCheckpoints


def _checkpoint(sequence: int, body: bytes = b"state") -> Checkpoint:
    return Checkpoint(sequence=sequence, at_s=1.5, version="1/1", chain_sha256="c" * 64, body=body)


def test_the_newest_comes_first(engine: sa.Engine) -> None:
    store = SqlCheckpoints(engine)
    for sequence in (20, 10, 30):
        store.write(_checkpoint(sequence))
    assert [one.sequence for one in store.newest()] == [30, 20, 10]
    assert next(store.newest()) == _checkpoint(30)
    assert store.sequences() == [10, 20, 30]


def test_one_of_the_same_entry_is_replaced(engine: sa.Engine) -> None:
    store = SqlCheckpoints(engine)
    store.write(_checkpoint(10))
    store.write(_checkpoint(10, b"again"))
    assert [one.body for one in store.newest()] == [b"again"]


def test_the_newest_are_kept_and_one_more(engine: sa.Engine) -> None:
    store = SqlCheckpoints(engine)
    for sequence in (10, 20, 30, 40):
        store.write(_checkpoint(sequence))
    store.prune(2, also=10)
    assert store.sequences() == [10, 30, 40]
    store.prune(1)
    assert store.sequences() == [40]
