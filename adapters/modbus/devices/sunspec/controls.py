"""Choice of the SunSpec models by which a resource is controlled."""

from collections.abc import Callable, Mapping

from adapters.modbus.devices.sunspec.ceilings import CeilingControl, OldCeilingControl
from adapters.modbus.devices.sunspec.control import Control
from adapters.modbus.devices.sunspec.models import Block
from adapters.modbus.devices.sunspec.storage_controls import OldStorageControl, SetpointControl
from vpp.domain.resource import STORING, Resource, ResourceClass


def controls_of(resource: Resource, blocks: Mapping[int, Block], rating: Callable[[], float]) -> list[Control]:
    """Return the controls this kind of resource could be moved by, the best first; ``rating`` is in kW."""
    if resource.resource_class in STORING:
        storing: tuple[type[SetpointControl | OldStorageControl], ...] = (SetpointControl, OldStorageControl)
        return [kind(blocks[kind.number]) for kind in storing if kind.number in blocks]
    if resource.resource_class is ResourceClass.PV:
        ceilings: tuple[type[CeilingControl | OldCeilingControl], ...] = (CeilingControl, OldCeilingControl)
        return [kind(blocks[kind.number], rating) for kind in ceilings if kind.number in blocks]
    return []
