"""A service without a checkpoint goes on from a journal of an earlier format that has moved into segments."""

from pathlib import Path
from typing import Any

import pytest

from tests.story.test_old_journals_stay_readable import kept
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.lab.simulate.city import virtual_settings
from vpp.runtime.clock import VirtualClock
from vpp.storage.journal import verify
from vpp.storage.segments.archive import RecordArchive, SegmentRules

__all__ = ["kept"]
SMALL = SegmentRules(least_bytes=1, most_bytes=50_000, most_segments=1000)


@pytest.fixture
def archived(kept: tuple[dict[str, Any], Path]) -> tuple[dict[str, Any], Path]:
    """Return the facts of a fixture and a folder in which all its entries but the last are in segments."""
    facts, folder = kept
    store = Store.open(virtual_settings(folder).database_url)
    moved = RecordArchive(store.database, store.journal, SMALL).archive_until(facts["entries"], facts["stopped_s"])
    assert moved == facts["entries"] - 1
    assert len(store.journal.shelf.all()) > 1
    store.close()
    return facts, folder


async def test_a_service_goes_on_from_an_archived_journal(archived: tuple[dict[str, Any], Path]) -> None:
    facts, folder = archived
    settings = virtual_settings(folder)
    store = Store.open(settings.database_url)
    assert verify(store.database).count > facts["entries"]
    service = Service(settings, store, VirtualClock(facts["stopped_s"]), [])
    service.lead()
    request = service.plant.request(facts["request"])

    assert (request.state.value, request.accepted_kw) == (facts["state"], facts["accepted_kw"])
    assert service.plant.commands()["sent"] == facts["sent"]
    await service.close()
    store.close()
