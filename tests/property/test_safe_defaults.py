"""Random trees and random changes: the safe defaults that devices hold are within every transformer's limit.

Devices are away, refuse, and lose answers; the service dies; the fleet changes meanwhile. Never does a default that is
sent bring a transformer further above its limit, and once everybody has answered all hold what the registry has.
"""

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.vpp.dispatch.commands.charging_world import NODES, ROUNDED_KW, SITES, ChargingWorld, charger, tree
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.member_codec import FleetMember

_ACTS = st.lists(
    st.tuples(
        st.sampled_from(("move", "cap", "default", "join", "feed", "cycle", "cycle", "cycle", "die")),
        st.integers(0, 19),
        st.integers(0, 80),
        st.sampled_from(("accepted", "accepted", "refused", "lost")),
    ),
    max_size=24,
)


def _asked(index: FleetIndex, act: str, one: int, other: int) -> FleetMember:
    """Return what a change asks for."""
    device, site = index.resources[one % len(index)], index.sites[one % SITES]
    node = index.transformers[one % NODES]
    members: dict[str, FleetMember] = {
        "move": replace(site, transformer_id=f"t{other % NODES}"),
        "cap": replace(node, limit_kw=10.0 + 2.0 * other),
        "default": replace(device, default_kw=float(other % 22)),
        "join": charger(len(index), site.id, float(other % 22)),
        "feed": replace(node, parent_id=f"t{other % NODES}"),
    }
    return members[act]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    parents=st.lists(st.integers(0, 8), min_size=NODES, max_size=NODES),
    limits=st.lists(st.integers(60, 160), min_size=NODES, max_size=NODES),
    at=st.lists(st.integers(0, 8), min_size=SITES, max_size=SITES),
    defaults=st.lists(st.integers(0, 5), min_size=6, max_size=12),
    acts=_ACTS,
)
def test_defaults_stay_within_every_limit_whatever_is_changed_meanwhile(
    parents: list[int],
    limits: list[int],
    at: list[int],
    defaults: list[int],
    acts: list[tuple[str, int, int, str]],
) -> None:
    world = ChargingWorld(tree(parents, limits, at, defaults))
    assert not world.over_kw().any()
    for act, one, other, mood in acts:
        if act == "cycle":
            away = np.array([(row + one) % 3 == other % 3 for row in range(len(world.index))], dtype=np.bool_)
            world.cycle(mood, away)
        elif act == "die":
            world.start()
        else:
            world.change(_asked(world.index, act, one, other))
    world.settle()
    assert (world.over_kw() <= ROUNDED_KW).all()
    assert np.allclose(world.held_kw, world.index.nameplate.default_kw, atol=1e-9)
