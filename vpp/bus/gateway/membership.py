"""Membership of the gateways, and rendezvous hashing of the places they dial.

Devices that dial us go where they like; devices that we dial (Modbus endpoints, MQTT sites) need one gateway each.
Rendezvous hashing (Thaler and Ravishankar 1998) gives every place to the live gateway with the highest hash of both
names, so that a gateway that comes or goes moves only its own share. Two rules keep a place from having two owners:

* a place that is lost under a new membership is given up at once; one that is gained is taken only when every member
  has announced the same membership;
* a gateway that does not hear its own heartbeat back over the bus owns nothing: it counts itself as gone somewhat
  before the others do.
"""

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass

_OWN_SILENCE_RATIO = 0.75
"""Silence of our own heartbeat after which we own nothing, as a share of what makes the others count us as gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """One heartbeat of a gateway.

    Attributes:
        gateway: Its name.
        incarnation: Its life.
        members: ``fingerprint`` of the membership it sees.
        leaving: It closes now.
    """

    gateway: str
    incarnation: int
    members: int
    leaving: bool


@dataclass(slots=True, kw_only=True)
class _Member:
    incarnation: int
    heard: float
    members: int


class Membership:
    """The live gateways as one of them sees them.

    Args:
        gateway: Our name.
        incarnation: Our life, higher than any earlier one of this name.
        lost_wall_s: Silence after which a gateway is gone, in seconds of the ``now`` that is handed in.
    """

    def __init__(self, gateway: str, incarnation: int, *, lost_wall_s: float) -> None:
        self.gateway = gateway
        self.incarnation = incarnation
        self._lost_wall_s = lost_wall_s
        self._members: dict[str, _Member] = {}

    def hear(self, beat: Beat, now: float) -> bool:
        """Take a heartbeat in, our own among them; return whether a later gateway runs under our name."""
        if beat.leaving:
            self._members.pop(beat.gateway, None)
            return False
        known = self._members.get(beat.gateway)
        if known is None or beat.incarnation >= known.incarnation:
            self._members[beat.gateway] = _Member(incarnation=beat.incarnation, heard=now, members=beat.members)
        return beat.gateway == self.gateway and beat.incarnation > self.incarnation

    def live(self, now: float) -> tuple[str, ...]:
        """Return the live gateways in order, ourselves among them; none where our own heartbeat has not come back."""
        own = self._members.get(self.gateway)
        if own is None or now - own.heard > _OWN_SILENCE_RATIO * self._lost_wall_s:
            return ()
        return tuple(sorted(name for name, m in self._members.items() if now - m.heard <= self._lost_wall_s))

    def fingerprint(self, now: float) -> int:
        """Return the number by which a heartbeat names the membership that is seen."""
        return fingerprint(self.live(now))

    def agreed(self, now: float) -> bool:
        """Return whether every live gateway has announced the membership we see."""
        live = self.live(now)
        return bool(live) and all(self._members[name].members == fingerprint(live) for name in live)


def fingerprint(members: tuple[str, ...]) -> int:
    """Return a number for a membership, 0 for an empty one."""
    return zlib.crc32("\n".join(members).encode()) if members else 0


def owner(place: str, members: tuple[str, ...]) -> str | None:
    """Return the gateway that dials ``place``, ``None`` where there is none."""
    return max(members, key=lambda name: _score(name, place), default=None)


def owned_by(gateway: str, *memberships: tuple[str, ...]) -> Callable[[str], bool]:
    """Return a test for the places that ``gateway`` owns under every one of ``memberships``."""

    def owns(place: str) -> bool:
        return all(owner(place, members) == gateway for members in memberships)

    return owns


def _score(name: str, place: str) -> bytes:
    return hashlib.blake2b(f"{name}\n{place}".encode(), digest_size=8).digest()
