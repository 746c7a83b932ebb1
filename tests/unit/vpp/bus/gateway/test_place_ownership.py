"""Ownership of places: given up at once, taken only when all gateways agree."""

from tests.conformance.bus_parts import Ears, Places, city
from vpp.bus.gateway.gateway_links import GatewayLinks
from vpp.bus.gateway.membership import Beat, Membership, fingerprint, owned_by
from vpp.bus.gateway.place_ownership import PlaceOwnership


def beat(gateway: str, *members: str) -> Beat:
    return Beat(gateway=gateway, incarnation=1, members=fingerprint(members), leaving=False)


async def test_a_place_changes_hands_without_ever_having_two_owners() -> None:
    devices = Places()
    links, membership = GatewayLinks([devices]), Membership("g1", 1, lost_wall_s=10.0)
    places = PlaceOwnership(membership, links)
    links.assign(city(40))
    every = {resource.address for resource in links.index.resources}
    places.restrict()
    assert devices.owned == set()

    membership.hear(beat("g1", "g1"), 0.0)
    places.review(0.0)
    assert devices.owned == set(), "nothing is dialled before the links serve"
    await links.start(Ears())
    places.review(0.0)
    assert devices.owned == every

    membership.hear(beat("g2"), 0.1)
    places.review(0.1)
    ours = set(filter(owned_by("g1", ("g1", "g2")), every))
    assert devices.owned == ours
    assert 0 < len(ours) < len(every)

    for at_s in (20.0, 20.1):
        membership.hear(beat("g1", "g1"), at_s)
    places.review(20.1)
    assert devices.owned == every, "g2 is gone and we agree with ourselves"
