"""The feed of default values at a gateway: handed on once, and only for rows that are here."""

import numpy as np
import pytest

from vpp.bus.gateway.default_feed import DefaultFeed
from vpp.bus.messages import master_data
from vpp.bus.messages.codec import Kind, encode
from vpp.bus.messages.frames import default_frames
from vpp.bus.transport import subjects as to
from vpp.bus.transport.inprocess import InProcessBus
from vpp.domain.errors import BusError


def announcement(values: dict[int, float]) -> bytes:
    return next(iter(default_frames(np.array(list(values), dtype=np.int32), np.array(list(values.values())))))


def test_values_wait_until_their_rows_are_part_of_the_fleet_here() -> None:
    handed: list[tuple[int, float]] = []
    feed = DefaultFeed(InProcessBus(), lambda row, power_kw: handed.append((row, power_kw)))
    feed.announced("", announcement({0: 7.0, 5: 3.0}))
    assert handed == []
    feed.resize(2)
    assert handed == [(0, 7.0)]
    feed.resize(6)
    feed.announced("", announcement({1: 4.0}))
    assert handed == [(0, 7.0), (5, 3.0), (1, 4.0)]


async def test_all_pages_of_the_leader_are_fetched() -> None:
    bus, handed = InProcessBus(), dict[int, float]()
    kept = {0: 1.0, 1: 2.0, 4: 3.0}

    def page(_: str, content: bytes) -> bytes:
        first = master_data.asked(content)[1]
        some = [row for row in kept if row >= first][:2]
        return encode(Kind.DEFAULTS, {"rows": some, "power_kw": [kept[row] for row in some]})

    feed = DefaultFeed(bus, handed.__setitem__)
    feed.resize(5)
    with pytest.raises(BusError):
        await feed.fetch(3)
    await bus.subscribe(to.defaults_in_force(3), page)
    await feed.fetch(3)
    assert handed == kept
