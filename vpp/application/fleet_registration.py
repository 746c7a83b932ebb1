"""Registration of areas, operators, transformers, sites and devices in a running service."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from vpp.domain.errors import InputError
from vpp.domain.resource import Resource
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.fleet.index import FleetIndex
from vpp.ports import Clock, Journal, Registry

Thing = TypeVar("Thing", Area, Operator, Transformer, Site, Resource)
CONNECTED = "fleet.connected"


class FleetRegistration:
    """Adds to the fleet, all or nothing: checked by the links, stored, then known to every part of the service.

    Args:
        clock: The only source of time.
        registry: Stores the fleet.
        journal: Records that it has grown.
        index: Returns the fleet as it is.
        check: Raises InputError for an address that no link can serve.
        grow: Makes the larger fleet known to every part that holds rows.
        grown: Called once the growth is journalled.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        registry: Registry,
        journal: Journal,
        index: Callable[[], FleetIndex],
        check: Callable[[FleetIndex], None],
        grow: Callable[[FleetIndex], None],
        grown: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._registry = registry
        self._journal = journal
        self._index = index
        self._check = check
        self._grow = grow
        self._grown = grown
        self._growing = asyncio.Lock()

    async def connect(
        self,
        *,
        areas: Sequence[Area] = (),
        operators: Sequence[Operator] = (),
        transformers: Sequence[Transformer] = (),
        sites: Sequence[Site] = (),
        resources: Sequence[Resource] = (),
    ) -> None:
        """Add to the fleet; repeating an identical addition changes nothing."""
        async with self._growing:
            before = self._index()
            after = before.extended(
                areas=_added("areas", before.areas, areas),
                operators=_added("operators", before.operators, operators),
                transformers=_added("transformers", before.transformers, transformers),
                sites=_added("sites", before.sites, sites),
                resources=_added("resources", before.resources, resources),
            )
            if after == before:
                return
            self._check(after)
            await asyncio.to_thread(self._registry.add, before, after)
            self._grow(after)
            self._journal.append(CONNECTED, self._clock.now_s(), {"resources": len(after)})
            self._grown()
            await self._journal.flush()


def _added(field: str, before: Sequence[Thing], asked: Sequence[Thing]) -> list[Thing]:
    """Return what is not there yet; the same thing again is no addition, another of the same id is an error."""
    known = {thing.id: thing for thing in before}
    for thing in asked:
        # By their text: a NaN that was read twice is not equal to itself.
        if thing.id in known and repr(known[thing.id]) != repr(thing):
            raise InputError(f"{field}.id", thing.id, "an id that is not taken yet, or exactly what it stands for")
    return [thing for thing in asked if thing.id not in known]
