"""The subjects of one fleet on a shared bus: a service of another fleet is neither heard nor reached.

Several services may share one broker. Every subject of ours carries the fleet's id, a random one that was made with its
registry, so beacons, heartbeats and commands of a stranger never arrive, whatever its epoch. Services announce their
fleet on one common subject: a gateway without a fleet learns its own there, and strangers are noticed.
"""

import asyncio
import re
from collections import Counter

import structlog

from vpp.bus.messages.codec import Kind, decode, encode
from vpp.bus.transport.subjects import ROOT
from vpp.domain.errors import ConfigurationError, InputError
from vpp.ports import Bus, BusHandler, BusSubscription

_log = structlog.get_logger(__name__)
ANNOUNCEMENTS = f"{ROOT}.fleets"
"""Announcements of every service's fleet; the only subject that fleets share."""
_FLEET = re.compile(r"[\w-]{1,64}")
_LISTENING_WALL_S = 1.5
"""Time for which a gateway listens for a second fleet once it has heard of a first: three beacons."""
_STRANGERS = 64
"""Fleets that are counted by id; further ones are counted together."""


class FleetBus:
    """A `vpp.ports.Bus` among the processes of one fleet.

    Args:
        bus: The bus that fleets share.
        fleet: Id of ours: letters, digits, ``-`` and ``_``.

    Raises:
        InputError: The id is not accepted.
    """

    def __init__(self, bus: Bus, fleet: str) -> None:
        self._bus = bus
        self._fleet = checked(fleet)

    async def publish(self, subject: str, content: bytes) -> None:
        """See ``Bus``."""
        await self._bus.publish(scoped(self._fleet, subject), content)

    async def subscribe(self, pattern: str, handler: BusHandler) -> BusSubscription:
        """See ``Bus``."""
        return await self._bus.subscribe(scoped(self._fleet, pattern), handler)

    async def request(self, subject: str, content: bytes, *, patience_wall_s: float) -> bytes:
        """See ``Bus``."""
        return await self._bus.request(scoped(self._fleet, subject), content, patience_wall_s=patience_wall_s)

    async def close(self) -> None:
        """See ``Bus``; the bus that fleets share is closed by whoever opened it."""


class Strangers:
    """Announcements of services of other fleets: counted, logged once, never obeyed.

    Args:
        bus: The bus that fleets share.
        fleet: Ours.

    Attributes:
        heard: Announcements by fleet, of the first few; the rest count under the empty name.
    """

    def __init__(self, bus: Bus, fleet: str) -> None:
        self.heard: Counter[str] = Counter()
        self._bus = bus
        self._fleet = fleet
        self._subscription: BusSubscription | None = None

    @property
    def announcements(self) -> int:
        """Number of announcements of other fleets that were refused."""
        return self.heard.total()

    async def start(self) -> None:
        """Begin to listen; raises BusError while the bus is away."""
        self._subscription = await self._bus.subscribe(ANNOUNCEMENTS, self._announced)

    async def announce(self, epoch: int) -> None:
        """Announce our fleet; raises BusError while the bus is away."""
        await self._bus.publish(ANNOUNCEMENTS, announcement(self._fleet, epoch))

    async def close(self) -> None:
        """End listening."""
        if self._subscription is not None:
            await self._subscription.close()

    def _announced(self, _: str, content: bytes) -> None:
        fleet, epoch = announced(content)
        if fleet == self._fleet:
            return
        known = fleet in self.heard or len(self.heard) < _STRANGERS
        if fleet not in self.heard and known:
            _log.warning("a service of another fleet is on this bus; it is not obeyed", fleet=fleet, epoch=epoch)
        self.heard[fleet if known else ""] += 1


async def first_fleet(bus: Bus, *, listening_wall_s: float = _LISTENING_WALL_S) -> str:
    """Wait for a service's announcement and return its fleet.

    Raises:
        ConfigurationError: Services of several fleets are there; the setting has to name one.
    """
    heard: dict[str, None] = {}
    first = asyncio.Event()

    def hear(_: str, content: bytes) -> None:
        heard[announced(content)[0]] = None
        first.set()

    subscription = await bus.subscribe(ANNOUNCEMENTS, hear)
    try:
        await first.wait()
        await asyncio.sleep(listening_wall_s)
    finally:
        await subscription.close()
    if len(heard) > 1:
        raise ConfigurationError(
            f"VPP_FLEET_ID: several fleets are on this bus; give one of {', '.join(sorted(heard))}"
        )
    return next(iter(heard))


def scoped(fleet: str, subject: str) -> str:
    """Return a subject, or a pattern, as it is among the processes of one fleet."""
    return f"{ROOT}.fleet-{fleet}.{subject.removeprefix(f'{ROOT}.')}"


def announcement(fleet: str, epoch: int) -> bytes:
    """Return the announcement of a service of ``fleet`` that leads under ``epoch``."""
    return encode(Kind.FLEET, {"fleet": [fleet]}, number=epoch)


def announced(content: bytes) -> tuple[str, int]:
    """Return fleet and epoch of an announcement; raises FrameError, and InputError for an id that is not accepted."""
    frame = decode(content, Kind.FLEET)
    names = frame.texts("fleet")
    return checked(names[0] if len(names) == 1 else ""), frame.number


def checked(fleet: str) -> str:
    """Return an id of a fleet; raises InputError where it is not accepted."""
    if not _FLEET.fullmatch(fleet):
        raise InputError("fleet", fleet, "letters, digits, '-' and '_', at most 64 of them")
    return fleet
