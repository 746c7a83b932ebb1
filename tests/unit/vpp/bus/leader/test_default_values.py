"""Default values in force at the leader: announced as they come, handed out by pages."""

from dataclasses import replace

import numpy as np

from tests.conformance.bus_parts import until
from tests.fleets import at_one_site, chargers
from vpp.bus.leader.background import BackgroundTasks
from vpp.bus.leader.default_values import DefaultValues
from vpp.bus.messages import master_data
from vpp.bus.messages.codec import decode
from vpp.bus.messages.frames import FRAME_ROWS, defaults_of
from vpp.bus.transport import subjects as to
from vpp.bus.transport.inprocess import InProcessBus
from vpp.domain.setpoint import Layer, SetpointBatch
from vpp.fleet.index import FleetIndex


def page(values: DefaultValues, first: int) -> tuple[list[int], list[float]]:
    rows, power_kw = defaults_of(decode(values.page("", master_data.ask("defaults", first))))
    return rows.tolist(), power_kw.tolist()


async def test_an_accepted_default_is_announced_and_handed_out_and_a_dispatch_value_is_not() -> None:
    bus, tasks = InProcessBus(), BackgroundTasks()
    announced: list[tuple[list[int], list[float]]] = []

    def hear(_: str, content: bytes) -> None:
        rows, power_kw = defaults_of(decode(content))
        announced.append((rows.tolist(), power_kw.tolist()))

    await bus.subscribe(to.DEFAULTS, hear)
    values = DefaultValues(tasks)
    values.resize(4)
    values.start(bus)
    batch = SetpointBatch(
        ids=np.arange(1, 4, dtype=np.int64),
        rows=np.array([3, 1, 0], dtype=np.int32),
        layers=np.array([Layer.DEFAULT, Layer.DISPATCH, Layer.DEFAULT], dtype=np.uint8),
        power_kw=np.array([7.0, 2.0, 5.0]),
        until_s=np.full(3, np.inf),
        epoch=1,
    )
    values.accepted(batch, np.array([0, 1], dtype=np.int64))
    await until(lambda: announced == [([3], [7.0])])
    assert page(values, 0) == ([3], [7.0])
    await tasks.close()


async def test_pages_go_on_where_the_last_one_ended_and_survive_growth() -> None:
    values = DefaultValues(BackgroundTasks())
    values.resize(FRAME_ROWS + 5)
    for row in (0, 2, FRAME_ROWS + 4):
        values.remember(row, float(row))
    values.resize(FRAME_ROWS + 50)
    rows, power_kw = page(values, 0)
    assert rows == power_kw == [0, 2, FRAME_ROWS + 4]
    assert page(values, 3) == ([FRAME_ROWS + 4], [FRAME_ROWS + 4.0])
    assert page(values, FRAME_ROWS + 5) == ([], [])


def test_a_device_keeps_its_registered_default_until_it_takes_another_and_its_successor_does_not() -> None:
    values, index = DefaultValues(BackgroundTasks()), _two_chargers(7.0)
    values.assign(FleetIndex.empty(), index)
    assert page(values, 0) == ([], [])
    values.assign(index, _two_chargers(5.0))
    assert page(values, 0) == ([0, 1], [7.0, 7.0])
    values.remember(0, 5.0)
    values.assign(_two_chargers(5.0), _two_chargers(4.0))
    assert page(values, 0) == ([0, 1], [5.0, 7.0])
    elsewhere = _two_chargers(4.0)
    moved = replace(elsewhere, resources=(replace(elsewhere.resources[0], address="b/1"), elsewhere.resources[1]))
    values.assign(elsewhere, moved)
    assert page(values, 0) == ([1], [7.0])


def _two_chargers(default_kw: float) -> FleetIndex:
    devices = chargers(2, p_max_kw=7.0, floor_kw=1.4, default_kw=default_kw)
    return at_one_site(devices, limit_kw=20.0, export_limit_kw=20.0)
