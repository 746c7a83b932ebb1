"""Default values in force at the leader: announced as they come, handed out by pages."""

import numpy as np

from tests.conformance.bus_parts import until
from vpp.bus.leader.background import BackgroundTasks
from vpp.bus.leader.default_values import DefaultValues
from vpp.bus.messages import master_data
from vpp.bus.messages.codec import decode
from vpp.bus.messages.frames import FRAME_ROWS, defaults_of
from vpp.bus.transport import subjects as to
from vpp.bus.transport.inprocess import InProcessBus
from vpp.domain.setpoint import Layer, SetpointBatch


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
