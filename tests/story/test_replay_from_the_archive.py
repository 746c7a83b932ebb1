"""A journal whose entries lie in segments replays like the one it was."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.story.conftest import Story
from vpp.bootstrap.replay import Replay
from vpp.bootstrap.store import Store
from vpp.storage.journal import verify
from vpp.storage.segments.archive import RecordArchive, SegmentRules


def archived(story: Story, folder: Path) -> Store:
    """Return a copy of a story's database of which all but the last entry are in segments."""
    place = folder / "vpp.sqlite3"
    origin = str(story.store.database.url.database)
    with closing(sqlite3.connect(origin)) as source, closing(sqlite3.connect(place)) as copy:
        source.backup(copy)
    store = Store.open(f"sqlite:///{place}")
    rules = SegmentRules(least_bytes=1, most_bytes=50_000, most_segments=1000)
    last_s = story.entries[-1].at_s
    RecordArchive(store.database, store.journal, rules).archive_until(store.journal.sequence, last_s)
    return store


def test_an_archived_run_is_verified_and_reproduced_across_a_restart(restarted: Story, tmp_path: Path) -> None:
    store = archived(restarted, tmp_path)
    segments = store.journal.shelf.all()
    assert len(segments) > 3
    assert segments[-1].last >= len(restarted.entries) - 1

    kept = list(store.journal.entries())[: len(restarted.entries)]
    assert [(e.sequence, e.kind, e.sha256) for e in kept] == [(e.sequence, e.kind, e.sha256) for e in restarted.entries]
    assert verify(store.database).first == 1
    verdict = Replay(restarted.settings, store).run()
    assert verdict.differences == []
    assert verdict.setpoints == restarted.commands["sent"]
    store.close()
