"""Points of a control as one request where nothing stands in the way, point by point otherwise."""

import asyncio
from collections.abc import Sequence

import pytest

from adapters.modbus.devices.orders import UnsupportedError
from adapters.modbus.devices.sunspec.models import Block, models
from adapters.modbus.devices.sunspec.storage_controls import SetpointControl
from adapters.modbus.devices.sunspec.writes import write_of
from adapters.modbus.transport.writing import Group, RegisterWriter

NOT_IMPLEMENTED = 0x8000


def control(**shown: int) -> SetpointControl:
    model = models()[704]
    words = [0] * (model.length() + 2)
    for name, value in shown.items():
        words[model.points[name].offset] = value
    block = Block(model=model, start=40100, length=model.length())
    block.store(40100, words)
    return SetpointControl(block)


class Connection:
    """One that notes what is written."""

    def __init__(self) -> None:
        self.writes: list[tuple[int, Sequence[int]]] = []

    async def write(self, _: int, address: int, values: Sequence[int]) -> None:
        """Note a request."""
        self.writes.append((address, values))


def requests(group: Group) -> list[tuple[int, Sequence[int]]]:
    connection = Connection()
    asyncio.run(RegisterWriter().write(connection, 1, group))  # type: ignore[arg-type]  # the one method that is called
    return connection.writes


def test_points_with_known_registers_between_go_out_at_once() -> None:
    group = write_of(control(), {"WSetEna": 1, "WSet": 5.0, "WSetRvrtTms": 60.0})
    assert len(requests(group)) == 1
    assert [change.name for change in group.each()] == ["WSetEna", "WSet", "WSetRvrtTms"]
    assert [change.switch for change in group.each()] == [True, False, False]


def test_what_is_not_implemented_is_never_written_over() -> None:
    group = write_of(control(WSetPct=NOT_IMPLEMENTED), {"WSet": 5.0, "WSetRvrtTms": 60.0})
    written = requests(group)
    assert len(written) == 2
    lacking = control().block.model.points["WSetPct"].offset + 40100
    for address, values in written:
        assert not address <= lacking < address + len(values)


def test_a_value_its_point_cannot_hold_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="cannot write WSetEna"):
        write_of(control(), {"WSetEna": 1e9})
