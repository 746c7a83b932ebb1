"""A service on a record that does not verify: it leads and controls, and promises nothing new."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.unit.vpp.storage.anchor.parts import Plant
from vpp.application.requests.request_service import RequestService
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.domain.errors import UnknownIdError, UnverifiedError
from vpp.runtime.clock import SYSTEM_CLOCK
from vpp.storage.anchor.anchor import SqlAnchor

ACTS: list[Callable[[RequestService], Awaitable[object]]] = [
    lambda service: service.accept("none", offer=None, actor="a"),
    lambda service: service.revise("none", target_kw=1.0, end_at=None, actor="a", key=None),
    lambda service: service.accept_revision("none", 1, actor="a"),
]


async def _life(plant: Plant) -> tuple[Service, Store]:
    store = Store.open(plant.place.url)
    settings = Settings.load(data_dir=plant.file.parent)
    service = Service(settings, store, SYSTEM_CLOCK, [], anchor=SqlAnchor(store.database, plant.place))
    await service.open()
    return service, store


async def _ended(service: Service, store: Store) -> None:
    await service.close()
    store.close()


@pytest.fixture
async def plant(tmp_path: Path) -> Plant:
    made = Plant(tmp_path)
    service, store = await _life(made)
    await service.core.trust.require()
    made.fleet = service.fleet_id
    await _ended(service, store)
    return made


async def test_a_sound_record_is_trusted_and_covered_by_a_head_at_the_end(plant: Plant) -> None:
    service, store = await _life(plant)
    for act in ACTS:
        with pytest.raises(UnknownIdError):
            await act(service.requests.service)
    assert service.record_trusted
    assert service.plant.ready()["record"]
    await _ended(service, store)
    assert plant.verify().unprotected == 0


async def test_every_commitment_is_refused_on_a_record_that_does_not_hold(plant: Plant) -> None:
    with plant.sql() as database:
        database.execute("DELETE FROM journal")
    before = plant.head_file.read_bytes()
    service, store = await _life(plant)
    for act in ACTS:
        with pytest.raises(UnverifiedError, match="were deleted"):
            await act(service.requests.service)
    assert not service.record_trusted
    assert not service.plant.ready()["record"]
    assert not await service.keeping.turn()
    await _ended(service, store)
    assert plant.head_file.read_bytes() == before


async def test_an_entry_that_cannot_be_read_keeps_no_service_from_starting(plant: Plant) -> None:
    store = Store.open(plant.place.url)
    with store.database.begin() as connection:
        connection.execute(sa.text("DELETE FROM checkpoints"))
        connection.execute(sa.text("UPDATE journal SET body = '{' WHERE sequence = 1"))
    store.close()
    service, store = await _life(plant)
    with pytest.raises(UnverifiedError, match="entry 1 does not match its hash"):
        await service.core.trust.require()
    await _ended(service, store)


async def test_a_covered_last_entry_that_was_changed_is_not_taken_for_torn(plant: Plant) -> None:
    with plant.sql() as database:
        database.execute("UPDATE journal SET body = '{' WHERE sequence = (SELECT MAX(sequence) FROM journal)")
    service, store = await _life(plant)
    with pytest.raises(UnverifiedError, match="changed, and not torn by a crash"):
        await service.core.trust.require()
    await _ended(service, store)
