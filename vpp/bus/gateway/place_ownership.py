"""The places this gateway dials: given up as soon as another may own them, taken when all gateways agree."""

from vpp.bus.gateway.gateway_links import GatewayLinks
from vpp.bus.gateway.membership import Membership, owned_by

_NOBODY: tuple[tuple[str, ...], ...] = ((),)
"""Memberships under which nobody owns anything."""


class PlaceOwnership:
    """Restricts the links to the places that are ours under every membership that may be in force.

    Args:
        membership: The gateways as we see them.
        links: Dial the places.
    """

    def __init__(self, membership: Membership, links: GatewayLinks) -> None:
        self._membership = membership
        self._links = links
        self._in_force = _NOBODY

    def restrict(self) -> None:
        """State to the links which places are ours now."""
        self._links.own(owned_by(self._membership.gateway, *self._in_force))

    def review(self, now_wall_s: float) -> None:
        """Give up what others own now; take what is ours once all agree on who is there.

        Args:
            now_wall_s: Time of the event loop.
        """
        live = self._membership.live(now_wall_s)
        if self._membership.agreed(now_wall_s):
            memberships: tuple[tuple[str, ...], ...] = (live,)
        else:
            memberships = self._in_force if live in self._in_force else (*self._in_force, live)
        if memberships != self._in_force and self._links.started:
            self._in_force = memberships
            self.restrict()
