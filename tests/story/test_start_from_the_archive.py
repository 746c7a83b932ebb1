"""A service states what it has archived, so that its next start hashes the files and need not read them."""

from dataclasses import replace
from pathlib import Path

from tests.unit.vpp.storage.anchor.parts import Plant
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.runtime.clock import SYSTEM_CLOCK
from vpp.storage.anchor.anchor import SqlAnchor
from vpp.storage.segments.archive import RecordArchive, SegmentRules

RULES = SegmentRules(least_bytes=1, most_bytes=2000)


async def _life(plant: Plant) -> None:
    """Start, trust the record, decide some things and stop, as ``vpp serve`` does."""
    store = Store.open(plant.place.url)
    store = replace(store, archive=RecordArchive(store.database, store.journal, RULES))
    settings = Settings.load(data_dir=plant.file.parent)
    service = Service(settings, store, SYSTEM_CLOCK, [], anchor=SqlAnchor(store.database, plant.place))
    await service.open()
    plant.fleet = service.fleet_id
    await service.core.trust.require()
    for number in range(20):
        store.journal.append("test", SYSTEM_CLOCK.now_s(), {"number": number, "text": "x" * 99, "passable": True})
    await service.close()
    store.close()


async def test_the_second_start_takes_the_archive_by_its_hashes(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    archived = []
    for _ in range(3):
        await _life(plant)
        found = plant.verify_start()
        assert found.findings == []
        archived.append(found.by_digest)
    assert 0 < archived[0] <= archived[1] < archived[2]  # the checkpoint before the last keeps its tail
    assert plant.verify().entries == found.entries


async def test_an_archive_that_was_changed_between_two_lives_is_found_by_the_start(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    await _life(plant)
    content = bytearray(plant.segments[0].read_bytes())
    content[-1] ^= 1
    plant.segments[0].write_bytes(content)
    (finding,) = plant.verify_start().findings
    assert (finding.kind, "SHA-256" in finding.text) == ("segment", True)
