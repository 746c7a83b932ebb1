"""The service: what it registers and refuses, and what one life leaves to the next."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.conformance.bus_parts import Devices
from vpp.bootstrap.links import links_of
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.domain.errors import ConflictError, InputError, StorageError
from vpp.domain.request import Direction, NoticeClass, Product, RequestDraft
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.timegrid import TimeGrid
from vpp.ports import DeviceMemory
from vpp.runtime.clock import SYSTEM_CLOCK

FOUND: Mapping[str, float] = {"WMaxLimPct": 70.0}


class _Remembering(Devices):
    """A link that keeps what it is given."""

    memory: DeviceMemory

    def remember_in(self, memory: DeviceMemory) -> None:
        self.memory = memory


async def _life(folder: Path) -> tuple[Service, Store, _Remembering]:
    settings = Settings.load(data_dir=folder)
    store, link = Store.open(settings.database_url), _Remembering("modbus")
    service = Service(settings, store, SYSTEM_CLOCK, [link])
    service.lead()
    return service, store, link


async def test_a_service_that_is_only_composed_writes_nothing(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path)
    store = Store.open(settings.database_url)
    before = _content(store)
    Service(settings, store, SYSTEM_CLOCK, [_Remembering("modbus")])
    assert _content(store) == before
    assert store.journal.pending == 0
    store.close()


def _content(store: Store) -> list[str]:
    """Return every row of the database as a line of SQL."""
    with store.database.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        return list(driver.iterdump())


async def test_a_verification_ends_where_storage_fails_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, store, _ = await _life(tmp_path)
    ended = []

    async def fails() -> None:
        raise StorageError("full")

    async def ends() -> None:
        ended.append(True)

    monkeypatch.setattr(service.core.durability, "close", fails)
    monkeypatch.setattr(service.core.trust, "close", ends)
    with pytest.raises(StorageError, match="full"):
        await service.close()
    assert ended
    store.close()


async def test_what_one_life_found_is_known_to_the_next(tmp_path: Path) -> None:
    _, store, link = await _life(tmp_path)
    await link.memory.remember(7, FOUND)
    store.close()
    _, store, link = await _life(tmp_path)
    assert await link.memory.recall(7) == FOUND
    assert await link.memory.recall(8) == {}
    store.close()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    maps = Path("adapters/modbus/devices/maps")
    settings = Settings.load(db_url="sqlite://", mqtt_url="mqtt://127.0.0.1:1", register_maps=maps)
    store = Store.open(settings.database_url)
    made = Service(settings, store, SYSTEM_CLOCK, links_of(settings, SYSTEM_CLOCK))
    await made.plant.connect(
        areas=[Area(id="a", name="A")],
        operators=[Operator(id="o", name="O")],
        transformers=[Transformer(id="t", area_id="a", limit_kw=9.0, export_limit_kw=9.0)],
        sites=[Site(id="s", name="S", area_id="a", operator_id="o", transformer_id="t")],
    )
    yield made
    store.close()


def resource(adapter: Adapter, address: str) -> Resource:
    kind = ResourceClass.EV if adapter is Adapter.OCPP else ResourceClass.INDUSTRY
    return Resource(
        id="x", site_id="s", resource_class=kind, adapter=adapter, address=address, p_min_kw=0.0, p_max_kw=7.0
    )


@pytest.mark.parametrize(
    ("adapter", "address", "told"),
    [
        (Adapter.OCPP, "CS9", "station/connector"),
        (Adapter.OCPP, "CS9/0", "station/connector"),
        (Adapter.MODBUS, "nohost", "host:port/unit"),
        (Adapter.MODBUS, "127.0.0.1:502/1#nowhere", "example_meter"),
        (Adapter.MQTT, "noslash", "site/device"),
    ],
)
async def test_an_address_that_cannot_be_served_is_refused_and_leaves_no_trace(
    service: Service, adapter: Adapter, address: str, told: str
) -> None:
    with pytest.raises(InputError, match="address") as error:
        await service.plant.connect(resources=[resource(adapter, address)])
    assert address in str(error.value)
    assert told in str(error.value)
    assert len(service.plant.fleet()) == 0
    await service.plant.connect(resources=[resource(Adapter.OCPP, "CS9/1")])
    assert len(service.plant.fleet()) == 1


async def test_a_declared_register_map_can_be_named(service: Service) -> None:
    await service.plant.connect(resources=[resource(Adapter.MODBUS, "127.0.0.1:502/1#example_meter")])
    assert service.plant.fleet().index.resources[0].address.endswith("#example_meter")


async def test_registering_the_same_thing_again_changes_nothing(service: Service) -> None:
    for _ in range(2):
        await service.plant.connect(resources=[resource(Adapter.OCPP, "CS9/1")])
    assert len(service.plant.fleet()) == 1


async def test_imported_history_passes_the_gate_and_is_stored_in_parts(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpp.application.meter_import._PART_VALUES", 3)
    await service.plant.connect(resources=[resource(Adapter.OCPP, "CS9/1")])
    grid = TimeGrid(start_at=datetime(2026, 7, 14, tzinfo=UTC), count=10)
    good = np.array([[1.0, np.nan, np.nan, np.nan, np.nan, 2.0, 3.0, 4.0, np.nan, 5.0]])
    bad = np.where(np.arange(10) == 9, 7000.0, good)

    with pytest.raises(InputError, match="watts"):
        await service.plant.import_meters(grid, ["x"], bad)
    assert np.isnan(service.core.store.meters.read(grid)).all()
    assert await service.plant.import_meters(grid, ["x"], good) == 5
    np.testing.assert_array_equal(service.core.store.meters.read(grid), good)


async def test_a_draft_without_sense_is_refused_by_name_even_where_nothing_can_be_quoted_yet(service: Service) -> None:
    now = service.plant.clock.now()
    draft = RequestDraft(
        product=Product.PEAK_SHAVING,
        direction=Direction.UP,
        target_kw=5.0,
        area="city",
        start_at=now - timedelta(hours=2),
        end_at=now + timedelta(hours=1),
        notice_class=NoticeClass.FAST,
    )
    with pytest.raises(InputError, match="not past"):
        await service.plant.submit(draft, key=None, actor="dispatcher")
    later = replace(draft, start_at=now + timedelta(hours=1), end_at=now + timedelta(hours=2))
    with pytest.raises(ConflictError, match="nothing is connected"):
        await service.plant.submit(later, key=None, actor="dispatcher")
    assert service.plant.requests() == ()
