"""Orders become groups of points, model by model."""

import math

import pytest

from adapters.modbus.devices.orders import Order, UnsupportedError
from adapters.modbus.devices.sunspec.ceilings import CeilingControl, OldCeilingControl
from adapters.modbus.devices.sunspec.control import agrees, encoded
from adapters.modbus.devices.sunspec.models import Block, models
from adapters.modbus.devices.sunspec.storage_controls import OldStorageControl, SetpointControl
from vpp.domain.setpoint import Layer


def _block(number: int, **shown: int) -> Block:
    model = models()[number]
    words = [0] * (model.length() + 2)
    for name, value in shown.items():
        point = model.points[name]
        words[point.offset + point.size - 1] = value & 0xFFFF
    block = Block(model=model, start=40100, length=model.length())
    block.store(40100, words)
    return block


def _order(layer: Layer, power_kw: float = math.nan, *, lease_s: float = 900.0, held: bool = False) -> Order:
    return Order(layer=layer, power_kw=power_kw, lease_s=lease_s, held=held)


def test_charging_is_a_negative_setpoint_over_the_default_last_accepted() -> None:
    block = _block(704, WSetRvrt=2000, WSetEnaRvrt=1)
    (group,) = SetpointControl(block).groups(_order(Layer.DISPATCH, 5.0))
    assert group["WSet"] == -5000.0
    assert (group["WSetRvrt"], group["WSetEnaRvrt"], group["WSetRvrtTms"]) == (2000.0, 1, 900.0)


def test_without_a_default_the_device_reverts_to_its_own_logic() -> None:
    (group,) = SetpointControl(_block(704)).groups(_order(Layer.DISPATCH, 5.0))
    assert group["WSetEnaRvrt"] == 0
    (release,) = SetpointControl(_block(704)).groups(_order(Layer.RELEASE))
    assert (release["WSetEna"], release["WSetRvrtTms"]) == (0, 0)


def test_a_release_goes_to_the_default_at_once() -> None:
    (group,) = SetpointControl(_block(704, WSetRvrt=2000, WSetEnaRvrt=1)).groups(_order(Layer.RELEASE))
    assert (group["WSetEna"], group["WSet"], group["WSetRvrtTms"]) == (1, 2000.0, 0)


def test_a_default_under_a_running_setpoint_touches_neither_switch_nor_timer() -> None:
    (group,) = SetpointControl(_block(704)).groups(_order(Layer.DEFAULT, 3.0, held=True))
    assert set(group) == {"WSetRvrt", "WSetEnaRvrt"}


def test_a_group_goes_out_in_one_write_with_what_lies_between_as_it_was() -> None:
    block = _block(704, WSetPct=77)
    address, values = encoded(block, SetpointControl(block).groups(_order(Layer.DISPATCH, 5.0))[0])
    assert (address, len(values)) == (40122, 11)
    assert values[6] == 77


def test_a_ceiling_is_per_cent_of_the_rating_and_never_beyond_it() -> None:
    control = CeilingControl(block=_block(704, WMaxLimPct_SF=-1), rating=lambda: 50.0)
    assert control.groups(_order(Layer.DISPATCH, -20.0))[0]["WMaxLimPct"] == 40.0
    assert control.groups(_order(Layer.DISPATCH, -80.0))[0]["WMaxLimPct"] == 100.0
    assert control.groups(_order(Layer.DISPATCH, 3.0))[0]["WMaxLimPct"] == 0.0
    assert control.groups(_order(Layer.RELEASE))[0]["WMaxLimPctEna"] == 0
    assert control.limit_kw() == -50.0


def test_an_old_inverter_takes_a_timer_of_sixteen_bits() -> None:
    control = OldCeilingControl(block=_block(123), rating=lambda: 50.0)
    (group,) = control.groups(_order(Layer.DISPATCH, -25.0, lease_s=100_000.0))
    assert (group["WMaxLimPct"], group["WMaxLimPct_RvrtTms"], group["WMaxLim_Ena"]) == (50.0, 0xFFFE, 1)
    assert control.groups(_order(Layer.DEFAULT, held=True)) == ()


def test_old_storage_is_pinned_between_its_two_rates() -> None:
    control = OldStorageControl(_block(124, WChaMax=10_000, InOutWRte_SF=-2))
    rates, switch = control.groups(_order(Layer.DISPATCH, -2.5))
    assert (rates["InWRte"], rates["OutWRte"], switch["StorCtl_Mod"]) == (-25.0, 25.0, 3)
    with pytest.raises(UnsupportedError):
        control.groups(_order(Layer.DEFAULT, 1.0, held=True))


def test_old_storage_is_released_to_its_default_or_to_its_own_logic() -> None:
    control = OldStorageControl(_block(124, WChaMax=10_000))
    assert control.groups(_order(Layer.RELEASE))[0] == {"StorCtl_Mod": 0}
    control.groups(_order(Layer.DEFAULT, 1.0))
    assert control.groups(_order(Layer.RELEASE))[0]["InWRte"] == 10.0


def test_a_value_its_point_cannot_hold_is_not_written() -> None:
    block = _block(704)
    with pytest.raises(UnsupportedError):
        encoded(block, {"WSet": 3e9})
    with pytest.raises(UnsupportedError):
        SetpointControl(block).groups(_order(Layer.DISPATCH, math.nan))


def test_a_read_back_agrees_to_the_resolution_of_its_scale_factor() -> None:
    block = _block(704, WSet=501, WSet_SF=1, WSetEna=1, WSetRvrtTms=3)
    assert agrees(block, {"WSet": 5000.0, "WSetEna": 1, "WSetRvrtTms": 60})
    assert not agrees(block, {"WSet": 4980.0})
    assert not agrees(block, {"WSetEna": 0})
    assert not agrees(block, {"WSetRvrtTms": 0})
