"""Numbers survive the trip through registers, whatever their type and scale factor."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.modbus.devices.sunspec.control import encoded
from adapters.modbus.devices.sunspec.models import Block, models
from adapters.modbus.devices.sunspec.storage_controls import SetpointControl
from adapters.modbus.transport import registers
from adapters.modbus.transport.reading import merged
from adapters.modbus.transport.registers import KINDS

WHOLE = [name for name, kind in KINDS.items() if kind.code not in "fd" and kind.absent is not None]
FOLLOWING = 3


@given(kind=st.sampled_from(WHOLE), data=st.data())
def test_every_whole_number_a_type_can_hold_comes_back(kind: str, data: st.DataObject) -> None:
    least, greatest = (int(bound) for bound in KINDS[kind].bounds)
    value = data.draw(st.integers(least, greatest).filter(lambda v: v != KINDS[kind].absent))
    exact = abs(value) <= 2**53
    assert not exact or registers.number(kind, registers.encoded(kind, value)) == value


@pytest.mark.parametrize("kind", WHOLE)
def test_what_is_not_implemented_reads_as_nan_and_nan_is_written_so(kind: str) -> None:
    assert math.isnan(registers.number(kind, registers.encoded(kind, math.nan)))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("int16", [0x8000]),
        ("uint16", [0xFFFF]),
        ("enum16", [0xFFFF]),
        ("sunssf", [0x8000]),
        ("acc32", [0, 0]),
        ("int32", [0x8000, 0]),
        ("uint32", [0xFFFF, 0xFFFF]),
        ("bitfield32", [0xFFFF, 0xFFFF]),
        ("uint64", [0xFFFF] * 4),
        ("int64", [0x8000, 0, 0, 0]),
        ("float32", [0x7FC0, 0]),
    ],
)
def test_the_values_the_specification_sets_aside_are_nan(kind: str, words: list[int]) -> None:
    assert math.isnan(registers.number(kind, words))


@given(power_w=st.floats(-30_000.0, 30_000.0), exponent=st.integers(-1, 4))
def test_a_scaled_value_comes_back_within_half_its_resolution(power_w: float, exponent: int) -> None:
    raw = registers.unscaled(power_w, exponent)
    shown = registers.scaled(registers.number("int32", registers.encoded("int32", raw)), exponent)
    assert abs(shown - power_w) <= 0.5 * 10.0**exponent + 1e-9


@given(exponent=st.integers(11, 100) | st.integers(-100, -11))
def test_a_scale_factor_outside_ten_is_no_scale_factor(exponent: int) -> None:
    assert math.isnan(registers.scaled(1.0, exponent))


@given(power_w=st.integers(-(2**31) + 1, 2**31 - 1), exponent=st.integers(0, 5))
def test_a_setpoint_written_with_a_scale_factor_is_read_back_to_its_resolution(power_w: int, exponent: int) -> None:
    block = Block(model=models()[704], start=0, length=models()[704].length())
    words = [0] * (models()[704].length() + 2)
    words[models()[704].points["WSet_SF"].offset] = exponent
    block.store(0, words)
    block.store(*encoded(block, dict.fromkeys(SetpointControl.points, 0) | {"WSet": power_w}))
    assert abs(block.value("WSet") - power_w) <= 0.5 * 10**exponent


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 300)), max_size=20), st.integers(0, 125))
def test_merged_reads_cover_every_span_and_none_is_too_long(spans: list[tuple[int, int]], gap: int) -> None:
    reads = merged(spans, gap=gap)
    covered = {register for address, count in reads for register in range(address, address + count)}
    assert all(0 < count <= 125 for _, count in reads)
    assert covered >= {register for address, count in spans for register in range(address, address + count)}
