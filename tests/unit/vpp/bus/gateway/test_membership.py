"""Shares of the fleet among gateways that come and go."""

import numpy as np

from vpp.bus.gateway.membership import Beat, Membership, fingerprint, owned_by, owner


def test_a_gateway_that_comes_or_goes_moves_only_its_own_share() -> None:
    places = [f"10.0.{i // 250}.{i % 250}:502" for i in range(3000)]
    before = {place: owner(place, ("g1", "g2", "g3")) for place in places}
    after = {place: owner(place, ("g1", "g3")) for place in places}
    assert all(after[place] == name for place, name in before.items() if name != "g2")
    counts = np.unique(list(before.values()), return_counts=True)[1]
    assert counts.min() > 850
    assert owner("x", ()) is None
    assert not any(owned_by("g1", ("g1",), ())(place) for place in places), "owned under every membership"


def test_a_membership_is_agreed_when_all_announce_it_and_ends_with_the_own_echo() -> None:
    members = Membership("g1", 1, lost_wall_s=4.0)

    def beat(name: str, announced: tuple[str, ...]) -> Beat:
        return Beat(gateway=name, incarnation=1, members=fingerprint(announced), leaving=False)

    assert members.live(0.0) == ()
    members.hear(beat("g1", ("g1", "g2")), 0.0)
    members.hear(beat("g2", ("g2",)), 0.0)
    assert members.live(1.0) == ("g1", "g2")
    assert not members.agreed(1.0)
    members.hear(beat("g2", ("g1", "g2")), 1.0)
    assert members.agreed(1.0)
    assert members.live(3.5) == (), "our own heartbeat has not come back: the lease has run out"
    members.hear(beat("g1", ("g1", "g2")), 5.0)
    assert members.live(5.1) == ("g1",), "the other is silent"
    assert members.hear(Beat(gateway="g1", incarnation=2, members=0, leaving=False), 5.2)
