"""The directory of gateways: one life at a time, silence counted fairly, and pollers that grow old."""

import math

import pytest

from vpp.bus.leader.gateway_directory import GatewayDirectory, KnownGateway
from vpp.domain.errors import FrameError


class Losses:
    """Marks gateways as gone, as the leader's end does, and notes why."""

    def __init__(self) -> None:
        self.why: list[tuple[str, str, int]] = []

    def __call__(self, gateway: KnownGateway, why: str) -> None:
        """Note a loss under the life that is lost."""
        self.why.append((gateway.name, why, gateway.incarnation))
        gateway.alive = gateway.synced = False


async def test_a_later_life_takes_over_after_the_earlier_one_is_lost() -> None:
    losses = Losses()
    gateways = GatewayDirectory(losses)
    first = gateways.heard("g1", 5)
    first.sequence = 40
    first.note_ages({"ocpp": 1.0})
    again = gateways.heard("g1", 6)
    assert losses.why == [("g1", "restarted", 5)]
    assert again is first is gateways[0]
    assert (again.incarnation, again.sequence, again.alive, again.synced, again.turned) == (6, 0, True, True, {})
    with pytest.raises(FrameError, match="earlier life"):
        gateways.heard("g1", 5)


async def test_a_gateway_that_was_believed_gone_is_there_again_and_not_yet_in_step() -> None:
    gateways = GatewayDirectory(losses := Losses())
    losses(gateways.heard("g1", 1), "silent")
    assert list(gateways.living()) == []
    gateway = gateways.heard("g1", 1)
    assert (gateway.alive, gateway.synced) == (True, False)


async def test_silence_counts_only_while_we_could_listen() -> None:
    gateways = GatewayDirectory(Losses())
    gateway = gateways.heard("g1", 1)
    gateway.heard_wall_s = 100.0
    assert gateways.silent(101.0, longer_than_s=2.0, held_up_s=0.0) == []
    assert gateways.silent(107.0, longer_than_s=2.0, held_up_s=6.0) == []
    assert gateways.silent(109.0, longer_than_s=2.0, held_up_s=0.0) == [gateway]


async def test_the_age_of_a_poller_is_that_of_the_living_gateway_where_it_is_greatest() -> None:
    gateways = GatewayDirectory(losses := Losses())
    assert math.isnan(gateways.age_wall_s("ocpp"))
    gateways.heard("g1", 1).note_ages({"ocpp": 3.0, "mqtt": math.nan})
    gateways.heard("g2", 1).note_ages({"ocpp": 700.0})
    assert gateways.age_wall_s("ocpp") == pytest.approx(700.0, abs=1.0)
    assert math.isnan(gateways.age_wall_s("mqtt"))
    losses(gateways[1], "silent")
    assert gateways.age_wall_s("ocpp") == pytest.approx(3.0, abs=1.0)
