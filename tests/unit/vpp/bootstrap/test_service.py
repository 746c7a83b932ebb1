"""The service gives its links a durable memory, and with it what earlier lives found in their devices."""

from collections.abc import Mapping
from pathlib import Path

from tests.conformance.bus_parts import Devices
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.config import Settings
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
    return Service(settings, store, SYSTEM_CLOCK, [link]), store, link


async def test_what_one_life_found_is_known_to_the_next(tmp_path: Path) -> None:
    _, store, link = await _life(tmp_path)
    await link.memory.remember(7, FOUND)
    store.close()
    _, store, link = await _life(tmp_path)
    assert await link.memory.recall(7) == FOUND
    assert await link.memory.recall(8) == {}
    store.close()
