"""Writes of a control's points, in one request where nothing stands in the way."""

import math

from adapters.modbus.devices.orders import UnsupportedError
from adapters.modbus.devices.sunspec.control import Control, Points, encoded
from adapters.modbus.devices.sunspec.models import Block
from adapters.modbus.transport.registers import Registers
from adapters.modbus.transport.writing import Change, Group


def write_of(control: Control, points: Points) -> Group:
    """Return what sets points, in one request where nothing stands in the way.

    Raises:
        UnsupportedError: A value its point cannot hold.
    """
    block = control.block
    whole = _whole(block, points)
    if whole is None:
        return Group(changes=tuple(_change(control, name, value) for name, value in points.items()))
    address, values = whole
    before = tuple(block.between(address - block.start, address - block.start + len(values)))
    return Group(whole=whole, split=lambda: _split(control, points, address, values, before))


def _split(control: Control, points: Points, address: int, values: Registers, before: Registers) -> tuple[Change, ...]:
    """Return the changes of a request, point by point."""
    changes = []
    for name in points:
        point = control.block.model.points[name]
        first = control.block.start + point.offset - address
        here = slice(first, first + point.size)
        changes.append(_made(control, name, values[here], before[here]))
    return tuple(changes)


def _change(control: Control, name: str, value: float) -> Change:
    try:
        return _made(control, name, control.block.encoded(name, value), control.block.written(name))
    except OverflowError as error:
        raise UnsupportedError(f"cannot write {name} = {value}: {error}") from error


def _made(control: Control, name: str, values: Registers, before: Registers | None) -> Change:
    return Change(
        name=name,
        address=control.block.start + control.block.model.points[name].offset,
        values=tuple(values),
        before=None if before is None else tuple(before),
        optional=name not in control.needed and name != control.timer,
        switch=name == control.switch,
    )


def _whole(block: Block, points: Points) -> tuple[int, Registers] | None:
    """Return one request for all points, unless what lies between is not implemented or was never read."""
    inside = [block.model.points[name] for name in points]
    first, last = min(p.offset for p in inside), max(p.offset + p.size for p in inside)
    if sum(p.size for p in inside) < last - first:
        between = [p for p in block.model.fixed if first <= p.offset < last and p.name not in points]
        if any(not p.writable or math.isnan(block.raw(p.name)) for p in between):
            return None
    try:
        return encoded(block, points)
    except UnsupportedError:
        return None
