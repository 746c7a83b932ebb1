"""The controls of SunSpec devices: which models take orders, and which of them a resource is moved by."""

from collections.abc import Callable, Mapping

from adapters.modbus.devices.ceilings import CeilingControl, OldCeilingControl
from adapters.modbus.devices.orders import (
    FULL_PCT,
    W_PER_KW,
    Check,
    Control,
    Order,
    Points,
    UnsupportedError,
    agrees,
    encoded,
)
from adapters.modbus.devices.storage_controls import OldStorageControl, SetpointControl
from adapters.modbus.devices.sunspec_models import Block
from vpp.domain.resource import STORING, Resource, ResourceClass

__all__ = [
    "FULL_PCT",
    "W_PER_KW",
    "CeilingControl",
    "Check",
    "Control",
    "OldCeilingControl",
    "OldStorageControl",
    "Order",
    "Points",
    "SetpointControl",
    "UnsupportedError",
    "agrees",
    "controls_of",
    "encoded",
]


def controls_of(resource: Resource, blocks: Mapping[int, Block], rating: Callable[[], float]) -> list[Control]:
    """Return the controls this kind of resource could be moved by, the best first; ``rating`` is in kW."""
    if resource.resource_class in STORING:
        storing: tuple[type[SetpointControl | OldStorageControl], ...] = (SetpointControl, OldStorageControl)
        return [kind(blocks[kind.number]) for kind in storing if kind.number in blocks]
    if resource.resource_class is ResourceClass.PV:
        ceilings: tuple[type[CeilingControl | OldCeilingControl], ...] = (CeilingControl, OldCeilingControl)
        return [kind(blocks[kind.number], rating) for kind in ceilings if kind.number in blocks]
    return []
