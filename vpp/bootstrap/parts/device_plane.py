"""Device links given what they need of the service: leadership, memory of owners' values, default values in force."""

from collections.abc import Iterable

import numpy as np

from adapters.ocpp.central_system.server import OcppLink
from vpp.application.device_memory import JournalledMemory
from vpp.application.watch.service_watch import Leadership
from vpp.bus.leader.gateway_link import BusLink
from vpp.domain.resource import Adapter
from vpp.domain.telemetry import FloatArray
from vpp.fleet.index import FleetIndex
from vpp.ports import Clock, DeviceLink, Journal, RememberingLink
from vpp.record.state_codec import StateTree


def claim(links: Iterable[DeviceLink], epoch: int, fleet_id: str) -> Leadership | None:
    """Claim leadership on the bus to the gateways and return it, ``None`` where devices connect to this process."""
    leadership: Leadership | None = None
    for link in links:
        if isinstance(link, BusLink):
            link.endpoint.lead(epoch, fleet=fleet_id)
            leadership = link.endpoint
    return leadership


def give_memory(links: Iterable[DeviceLink], found: StateTree, journal: Journal, clock: Clock) -> None:
    """Give links a durable memory of owners' values, with those ``found`` by earlier runs."""
    memory = JournalledMemory(journal, clock)
    memory.load(found)
    for link in links:
        if isinstance(link, RememberingLink):
            link.remember_in(memory)


def give_defaults(links: Iterable[DeviceLink], index: FleetIndex, default_kw: FloatArray) -> None:
    """Give the stations' link the default values in force, kW, NaN where none is; it sets them at every return."""
    for link in links:
        if isinstance(link, OcppLink | BusLink) and link.name == OcppLink.name:
            for row in np.flatnonzero(~np.isnan(default_kw) & index.served).tolist():
                if index.resources[row].adapter is Adapter.OCPP:
                    link.remember_default(row, float(default_kw[row]))
