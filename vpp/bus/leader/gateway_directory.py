"""Directory of gateways: the present life of each, its sign of life, and the age of its pollers."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import isnan, nan
from time import monotonic

import structlog

from vpp.domain.errors import FrameError

_log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class KnownGateway:
    """A gateway as the leader knows it.

    Attributes:
        code: Its number at this leader, from 0, the same over its restarts.
        incarnation: Its life; a later one has a higher number.
        heard_wall_s: Time of the event loop at which it was heard last.
        synced: The leader knows all of its sessions.
        sequence: Number of the last uplink that was taken from this life.
        turned: Monotonic time of the last turn of each adapter's poller there.
    """

    code: int
    name: str
    incarnation: int
    heard_wall_s: float
    alive: bool = True
    synced: bool = True
    sequence: int = 0
    turned: dict[str, float] = field(default_factory=dict)

    def note_ages(self, ages_wall_s: dict[str, float]) -> None:
        """Take wall seconds since the last turn of each adapter's poller."""
        now = monotonic()
        self.turned = {adapter: now - age_wall_s for adapter, age_wall_s in ages_wall_s.items()}


class GatewayDirectory:
    """Every gateway that was heard since the start, by name and by code.

    Args:
        lost: Called with a gateway whose earlier life has ended, before the new one counts.
    """

    def __init__(self, lost: Callable[[KnownGateway, str], None]) -> None:
        self._lost = lost
        self._by_name: dict[str, KnownGateway] = {}
        self._by_code: list[KnownGateway] = []

    def __getitem__(self, code: int) -> KnownGateway:
        return self._by_code[code]

    def living(self) -> Iterator[KnownGateway]:
        """Iterate the gateways that are there."""
        return (gateway for gateway in self._by_code if gateway.alive)

    def heard(self, name: str, incarnation: int) -> KnownGateway:
        """Note a message of one life of a gateway; return the gateway. Raises FrameError for an earlier life."""
        now = asyncio.get_running_loop().time()
        gateway = self._by_name.get(name)
        if gateway is None:
            gateway = KnownGateway(code=len(self._by_code), name=name, incarnation=incarnation, heard_wall_s=now)
            self._by_code.append(gateway)
            self._by_name[name] = gateway
            _log.info("gateway joined", gateway=name)
        elif incarnation < gateway.incarnation:
            raise FrameError(f"gateway {name} speaks from an earlier life")
        elif incarnation > gateway.incarnation:
            self._lost(gateway, "restarted")
            gateway.incarnation, gateway.sequence, gateway.synced, gateway.alive = incarnation, 0, True, True
            gateway.turned.clear()
        gateway.heard_wall_s = now
        if not gateway.alive:
            gateway.alive = True
            _log.info("gateway recovered", gateway=name)
        return gateway

    def silent(self, now_wall_s: float, *, longer_than_s: float, held_up_s: float) -> list[KnownGateway]:
        """Return living gateways that have been silent for too long.

        Args:
            now_wall_s: Time of the event loop.
            longer_than_s: Wall seconds of silence after which one counts as gone.
            held_up_s: Wall seconds for which this process could not listen itself; they are nobody's silence.
        """
        for gateway in self._by_code:
            gateway.heard_wall_s += held_up_s
        return [gateway for gateway in self.living() if now_wall_s - gateway.heard_wall_s > longer_than_s]

    def age_wall_s(self, adapter: str) -> float:
        """Return wall seconds since the poller of an adapter last turned at the living gateway where that is longest.

        NaN where no gateway has stated it. A gateway that no longer states it grows old too.
        """
        now = monotonic()
        ages = [now - gateway.turned[adapter] for gateway in self.living() if adapter in gateway.turned]
        return max((age for age in ages if not isnan(age)), default=nan)
