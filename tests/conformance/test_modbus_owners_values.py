"""Values of ours in devices of others: written as the device takes them, within the owner's, and taken out again."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from adapters.modbus import RegisterMap
from adapters.modbus.memory import VolatileMemory
from tests.conformance.modbus_parts import NO_UINT, Line, OddDevice, battery, dialled, inverter, pv
from vpp.domain.errors import RetryError
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble, troubles_of

ACCEPTED = (OutcomeStatus.ACCEPTED, Reason.NONE)
READBACK = (OutcomeStatus.REJECTED, Reason.READBACK)
UNSUPPORTED = (OutcomeStatus.REJECTED, Reason.UNSUPPORTED)
OLD, NEW = (1, 103, 120, 121, 122, 123), (1, 701, 702, 704)
POINTS = {
    123: ("WMaxLimPct", "WMaxLim_Ena", "WMaxLimPct_RvrtTms"),
    704: ("WMaxLimPct", "WMaxLimPctEna", "WMaxLimPctRvrtTms"),
}


def _limited(chain: tuple[int, ...], percent: float = 70.0, *, enabled: int = 1) -> OddDevice:
    device = inverter(*chain)
    value, switch, _ = POINTS[chain[-1]]
    device.put(chain[-1], value, round(100.0 * percent))
    device.put(chain[-1], switch, enabled)
    return device


def _shown(device: OddDevice, number: int) -> tuple[float, int]:
    value, switch, _ = POINTS[number]
    return device.show(number, value) / 100.0, device.show(number, switch)


def _troubles(line: Line) -> set[Trouble]:
    shown = line.ear.last(0, Quantity.TROUBLES)
    return set() if math.isnan(shown) else set(troubles_of(int(shown)))


async def _known(line: Line) -> None:
    await line.ear.until(lambda: not math.isnan(line.ear.last(0, Quantity.LIMIT_KW)))


@pytest.mark.parametrize("chain", [OLD, NEW])
async def test_a_static_limit_is_never_loosened_and_stands_again_after_a_release(chain: tuple[int, ...]) -> None:
    device = _limited(chain)
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        await _known(line)
        assert line.ear.last(0, Quantity.LIMIT_KW) == -35.0
        assert _troubles(line) == {Trouble.OWNERS_LIMIT}
        assert await line.tell(Layer.DEFAULT, -50.0) == ACCEPTED
        assert await line.tell(Layer.RELEASE) == ACCEPTED
        assert device.written == [], "nothing of ours was in force, so nothing is taken away"
        assert await line.tell(Layer.DISPATCH, -45.0, 600.0) == ACCEPTED
        assert _shown(device, chain[-1]) == (70.0, 1), "a request may only narrow"
        assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == ACCEPTED
        assert _shown(device, chain[-1]) == (40.0, 1)
        if chain == NEW:
            assert device.show(704, "WMaxLimPctRvrt") == 7000
            assert device.show(704, "WMaxLimPctEnaRvrt") == 1, "its timer's end is no way round the owner's limit"
        assert await line.tell(Layer.RELEASE) == ACCEPTED
        assert _shown(device, chain[-1]) == (70.0, 1)
        assert device.show(chain[-1], POINTS[chain[-1]][2]) == 0


async def test_less_can_be_fed_in_under_an_owners_limit_than_the_sun_would_give() -> None:
    device = _limited(OLD, 30.0)
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        await line.ear.until(lambda: line.ear.last(0, Quantity.P_MIN_KW) == -15.0)


async def test_an_owners_new_limit_is_found_before_the_next_request() -> None:
    device = _limited(OLD)
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        for percent in (70.0, 60.0, 100.0):
            device.put(123, "WMaxLimPct", round(100 * percent))
            assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == ACCEPTED
            assert await line.tell(Layer.RELEASE) == ACCEPTED
            assert _shown(device, 123) == (percent, 1)
            polls = len(line.ear.history(0, Quantity.POWER_KW))
            await line.ear.until(lambda polls=polls: len(line.ear.history(0, Quantity.POWER_KW)) > polls + 1)  # type: ignore[misc]


@pytest.mark.parametrize("chain", [OLD, NEW])
@pytest.mark.parametrize(("percent", "then"), [(60.0, 40.0), (30.0, 30.0)])
async def test_a_limit_that_its_owner_sets_during_a_request_is_kept_and_stands_after_it(
    chain: tuple[int, ...], percent: float, then: float
) -> None:
    device, memory = inverter(*chain), VolatileMemory()
    value, switch, _ = POINTS[chain[-1]]
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1"), memory=memory) as line:
        assert await line.tell(Layer.DISPATCH, -20.0, 6000.0) == ACCEPTED
        device.put(chain[-1], value, round(100 * percent))
        await line.ear.until(lambda: memory._values[0].get(value) == percent)
        assert await line.tell(Layer.DISPATCH, -20.0, 6000.0) == ACCEPTED
        assert _shown(device, chain[-1]) == (then, 1)
        assert await line.tell(Layer.RELEASE) == ACCEPTED
        assert _shown(device, chain[-1]) == (percent, 1)
        assert device.show(chain[-1], switch) == 1


async def test_what_was_found_in_another_device_is_not_written_to_its_successor() -> None:
    device, memory = _limited(OLD), VolatileMemory()
    device.put(1, "SN", 0x4F4C, 0x4400)
    async with device.serving() as port:
        async with dialled(pv(f"127.0.0.1:{port}/1"), memory=memory) as line:
            assert await line.tell(Layer.DISPATCH, -20.0, 6000.0) == ACCEPTED
        device.registers |= _limited(OLD, 90.0).registers
        device.put(1, "SN", 0x4E45, 0x5700)
        async with dialled(pv(f"127.0.0.1:{port}/1"), memory=memory) as line:
            await _known(line)
            assert await line.tell(Layer.RELEASE) == ACCEPTED
            assert _shown(device, 123) == (90.0, 1)


@pytest.mark.parametrize("after", [0, 1], ids=["switched off", "still on"])
async def test_what_a_timer_leaves_behind_is_put_right(after: int) -> None:
    device = _limited(OLD)
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        await _known(line)
        assert await line.tell(Layer.DISPATCH, -20.0, 60.0) == ACCEPTED
        device.put(123, "WMaxLim_Ena", after)
        await line.ear.until(lambda: _shown(device, 123) == (70.0, 1))


@pytest.mark.parametrize("chain", [OLD, NEW])
async def test_after_a_crash_in_the_hold_the_owners_limit_comes_from_memory(chain: tuple[int, ...]) -> None:
    device, memory = _limited(chain), VolatileMemory()
    async with device.serving() as port:
        async with dialled(pv(f"127.0.0.1:{port}/1"), memory=memory) as line:
            assert await line.tell(Layer.DISPATCH, -20.0, 6000.0) == ACCEPTED
        assert _shown(device, chain[-1]) == (40.0, 1)
        async with dialled(pv(f"127.0.0.1:{port}/1"), memory=memory) as line:
            await _known(line)
            assert await line.tell(Layer.DISPATCH, -30.0, 600.0) == ACCEPTED
            assert _shown(device, chain[-1]) == (60.0, 1), "our own value was no limit of the owner's"
            assert await line.tell(Layer.RELEASE) == ACCEPTED
            assert _shown(device, chain[-1]) == (70.0, 1)
            await line.ear.until(lambda: memory._values.get(0) == {})


async def test_what_is_found_is_remembered_before_anything_is_written_and_nothing_is_written_without() -> None:
    class Full(VolatileMemory):
        async def remember(self, row: int, values: Mapping[str, float]) -> None:
            assert device.written == []
            raise RetryError(f"no space for {values} of {row}")

    device = _limited(OLD)
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1"), memory=Full()) as line:
        await _known(line)
        assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == (OutcomeStatus.REJECTED, Reason.EXPIRED)
        assert "no space" in str(line.card()["last_words"])
        assert device.written == []


async def test_while_nothing_can_be_recalled_a_device_is_measured_and_nothing_is_written() -> None:
    class Away(VolatileMemory):
        asked = 0

        async def recall(self, row: int) -> Mapping[str, float]:
            self.asked += 1
            raise RetryError(f"no leader for {row}")

    device, memory = _limited(OLD), Away()
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1"), memory=memory) as line:
        begun_s = line.clock.now_s()
        await line.ear.until(lambda: len(line.ear.history(0, Quantity.POWER_KW)) >= 3)
        assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == (OutcomeStatus.REJECTED, Reason.EXPIRED)
        assert device.written == []
        assert memory.asked <= 2.0 + (line.clock.now_s() - begun_s) / 60.0, "not at every poll"


@pytest.mark.parametrize("chain", [OLD, NEW])
@pytest.mark.parametrize("found", [(100.0, 0), (70.0, 1)])
async def test_a_limit_whose_timer_is_not_kept_is_refused_and_taken_back(
    chain: tuple[int, ...], found: tuple[float, int]
) -> None:
    number = chain[-1]
    device = _limited(chain, found[0], enabled=found[1])
    device.keep(number, POINTS[number][2])
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == READBACK
        assert _shown(device, number) == found
        assert Trouble.NO_REVERSION_TIMER in _troubles(line)
        before = len(device.written)
        assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == UNSUPPORTED
        assert len(device.written) == before, "it is not tried over and over"


async def test_a_timer_that_is_not_implemented_is_not_tried() -> None:
    device = inverter()
    device.put(123, "WMaxLimPct_RvrtTms", NO_UINT)
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == UNSUPPORTED
        assert device.written == []
        await line.ear.until(lambda: _troubles(line) == {Trouble.NO_REVERSION_TIMER})


async def test_a_value_that_is_not_taken_is_taken_back_whole() -> None:
    device = inverter()
    device.keep(123, "WMaxLim_Ena")
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        for _ in range(3):
            assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == READBACK
            assert _shown(device, 123) == (100.0, 0)
            assert device.show(123, "WMaxLimPct_RvrtTms") == 0
        assert Trouble.REFUSES_LIMITS in _troubles(line)


async def test_a_value_that_shows_a_moment_later_is_accepted() -> None:
    device, reads = inverter(), [0]
    pending: dict[int, int] = {}

    def late(function: int, address: int, count: int) -> int:
        if function == 16:
            device.kept.update(range(address, address + count))
            reads[0] = 0
        elif address <= device.place(123, "WMaxLimPct") < address + count:
            reads[0] += 1
            if reads[0] == 3:
                device.registers |= pending
        return 0

    device.refuse = late
    pending |= {
        device.place(123, "WMaxLimPct"): 4000,
        device.place(123, "WMaxLimPct_RvrtTms"): 600,
        device.place(123, "WMaxLim_Ena"): 1,
    }
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1"), poll_s=100.0) as line:
        assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == ACCEPTED


@pytest.mark.parametrize("chain", [OLD, NEW])
async def test_a_switch_that_cannot_be_turned_off_is_no_refusal_where_it_limits_nothing(
    chain: tuple[int, ...],
) -> None:
    device = _limited(chain, 100.0)
    device.keep(chain[-1], POINTS[chain[-1]][1])
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == ACCEPTED
        assert await line.tell(Layer.RELEASE) == ACCEPTED
        assert _shown(device, chain[-1]) == (100.0, 1)


async def test_a_switch_that_sticks_once_it_is_on_is_freed_by_its_value() -> None:
    device = _limited(OLD, 50.0, enabled=0)
    place = device.place(123, "WMaxLim_Ena")

    def sticks(function: int, address: int, count: int) -> int:
        if function in {6, 16} and device.registers[place] == 1 and address <= place < address + count:
            device.kept.add(place)
        return 0

    device.refuse = sticks
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == ACCEPTED
        assert await line.tell(Layer.RELEASE) == ACCEPTED
        assert _shown(device, 123) == (100.0, 1), "half of it would have gone on limiting"


@pytest.mark.parametrize("code", [1, 2, 3])
@pytest.mark.parametrize("chain", [OLD, NEW])
async def test_a_device_may_take_single_registers_only(code: int, chain: tuple[int, ...]) -> None:
    device = inverter(*chain)
    device.refuse = lambda function, *_: code if function == 16 else 0
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == ACCEPTED
        assert _shown(device, chain[-1]) == (40.0, 1)
        tried = [one for one in device.asked if one[0] == 16]
        assert await line.tell(Layer.DISPATCH, -25.0, 600.0) == ACCEPTED
        assert [one for one in device.asked if one[0] == 16] == tried, "what it takes is remembered"
        switch = device.place(chain[-1], POINTS[chain[-1]][1])
        assert device.written[-1][1] == switch, "what puts the others into force comes last"


async def test_a_device_that_fails_at_every_group_is_tried_otherwise_the_second_time() -> None:
    device = inverter()
    device.refuse = lambda function, *_: 4 if function == 16 else 0
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == (OutcomeStatus.REJECTED, Reason.REFUSED)
        assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == ACCEPTED


@pytest.mark.parametrize("name", ["WMaxLimPct_RmpTms", "WMaxLimPct_WinTms"])
@pytest.mark.parametrize("shown", [NO_UINT, 5])
@pytest.mark.parametrize("code", [2, 3])
async def test_an_optional_point_may_be_refused(name: str, shown: int, code: int) -> None:
    device = inverter()
    device.put(123, name, shown)
    place = device.place(123, name)
    device.refuse = lambda function, at, n: code if function in {6, 16} and at <= place < at + n else 0
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == ACCEPTED
        assert _shown(device, 123) == (40.0, 1)
        assert device.registers[place] == shown


async def test_what_is_not_implemented_is_never_written() -> None:
    device = inverter()
    device.put(123, "WMaxLimPct_RmpTms", NO_UINT)
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == ACCEPTED
        place = device.place(123, "WMaxLimPct_RmpTms")
        assert not any(at <= place < at + n for _, at, n in device.written)


async def test_half_of_a_group_is_taken_back_where_the_other_half_is_refused() -> None:
    device = _limited(OLD)
    switch = device.place(123, "WMaxLim_Ena")
    device.refuse = lambda function, at, n: 3 if function in {6, 16} and at <= switch < at + n else 0
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        verdict = await line.tell(Layer.DISPATCH, -20.0, 600.0)
        assert verdict == (OutcomeStatus.REJECTED, Reason.REFUSED)
        assert _shown(device, 123) == (70.0, 1)
        assert device.show(123, "WMaxLimPct_RvrtTms") == 0


def _storage(**shown: int) -> OddDevice:
    device = OddDevice(1, 103, 124)
    for name, word in {"WChaMax": 10_000, "InOutWRte_SF": -2, "InWRte": 10_000, "OutWRte": 10_000, **shown}.items():
        device.put(124, name, word)
    return device


async def test_a_batterys_rates_stay_within_its_owners_and_are_put_back() -> None:
    device = _storage(InWRte=5_000, StorCtl_Mod=1)
    async with device.serving() as port, dialled(battery(f"127.0.0.1:{port}/1")) as line:
        assert await line.tell(Layer.DISPATCH, 9.0, 600.0) == ACCEPTED
        assert device.show(124, "InWRte") == 5_000, "half of 10 kW"
        assert await line.tell(Layer.DISPATCH, -9.0, 600.0) == ACCEPTED
        assert (device.show(124, "OutWRte"), device.show(124, "StorCtl_Mod")) == (9_000, 3)
        assert await line.tell(Layer.RELEASE) == ACCEPTED
        assert [device.show(124, name) for name in ("InWRte", "OutWRte", "StorCtl_Mod")] == [5_000, 10_000, 1]
        assert _troubles(line) == {Trouble.OWNERS_LIMIT}


async def test_a_batterys_timer_that_is_not_kept_is_refused_and_taken_back() -> None:
    device = _storage()
    device.keep(124, "InOutWRte_RvrtTms")
    async with device.serving() as port, dialled(battery(f"127.0.0.1:{port}/1")) as line:
        assert await line.tell(Layer.DISPATCH, 4.0, 600.0) == READBACK
        assert [device.show(124, name) for name in ("InWRte", "OutWRte", "StorCtl_Mod")] == [10_000, 10_000, 0]
        assert await line.tell(Layer.DISPATCH, 4.0, 600.0) == UNSUPPORTED


async def test_a_batterys_own_setpoint_stands_again_after_a_release() -> None:
    device = OddDevice(1, 701, 704)
    for name, words in {"WSetEna": (1,), "WSetMod": (1,), "WSet": (0, 2000)}.items():
        device.put(704, name, *words)
    async with device.serving() as port, dialled(battery(f"127.0.0.1:{port}/1")) as line:
        assert await line.tell(Layer.DISPATCH, 5.0, 600.0) == ACCEPTED
        assert device.registers[device.place(704, "WSetRvrt") + 1] == 2000, "it reverts to what its owner wanted"
        assert await line.tell(Layer.RELEASE) == ACCEPTED
        assert (device.show(704, "WSetEna"), device.registers[device.place(704, "WSet") + 1]) == (1, 2000)


def _map(*roles: str, kw: float = 50.0) -> dict[str, RegisterMap]:
    bounds = {"timer": (0.0, 7200.0)}
    points: list[dict[str, object]] = [{"quantity": "POWER_KW", "address": 10, "type": "int16"}]
    for i, role in enumerate(roles):
        least, most = bounds.get(role, (-kw, kw))
        points.append({"role": role, "address": 20 + i, "type": "int16", "min": least, "max": most, "write": True})
    return {"m": RegisterMap.from_table({"name": "m", "points": points}, where="m")}


def _mapped(**registers: int) -> OddDevice:
    device = OddDevice()
    device.registers = {10: 0xFFFF, **{int(name[1:]): value & 0xFFFF for name, value in registers.items()}}
    return device


async def test_a_mapped_inverters_limit_is_never_loosened_and_stands_again_after_a_release() -> None:
    device = _mapped(r20=-35, r21=0, r22=0)
    maps = _map("setpoint", "timer", "default")
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1#m"), maps=maps) as line:
        assert await line.tell(Layer.DISPATCH, -45.0, 600.0) == ACCEPTED
        assert device.registers[20] == -35 & 0xFFFF
        assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == ACCEPTED
        assert (device.registers[20], device.registers[22]) == (-20 & 0xFFFF, -35 & 0xFFFF)
        assert await line.tell(Layer.RELEASE) == ACCEPTED
        assert (device.registers[20], device.registers[21]) == (-35 & 0xFFFF, 0)
        assert _troubles(line) == {Trouble.OWNERS_LIMIT}


async def test_a_mapped_devices_timer_that_is_not_kept_is_refused_and_taken_back() -> None:
    device = _mapped(r20=3, r21=0)
    device.kept = {21}
    maps = _map("setpoint", "timer")
    async with device.serving() as port, dialled(battery(f"127.0.0.1:{port}/1#m"), maps=maps) as line:
        assert await line.tell(Layer.DISPATCH, 20.0, 600.0) == READBACK
        assert device.registers[20] == 3
        assert await line.tell(Layer.DISPATCH, 20.0, 600.0) == UNSUPPORTED
        assert _troubles(line) == {Trouble.NO_REVERSION_TIMER}


@pytest.mark.parametrize("code", [1, 2, 3])
async def test_a_mapped_device_may_take_single_registers_only(code: int) -> None:
    device = _mapped(r20=0, r21=0)
    device.refuse = lambda function, *_: code if function == 16 else 0
    maps = _map("setpoint", "timer")
    async with device.serving() as port, dialled(battery(f"127.0.0.1:{port}/1#m"), maps=maps) as line:
        assert await line.tell(Layer.DISPATCH, 20.0, 600.0) == ACCEPTED
        assert (device.registers[20], device.registers[21]) == (20, 600)


async def test_a_mapped_device_after_a_crash_in_the_hold_is_given_back_as_it_was_found() -> None:
    device, memory, maps = _mapped(r20=7, r21=0), VolatileMemory(), _map("setpoint", "timer")
    async with device.serving() as port:
        row = battery(f"127.0.0.1:{port}/1#m")
        async with dialled(row, maps=maps, memory=memory) as line:
            assert await line.tell(Layer.DISPATCH, 20.0, 600.0) == ACCEPTED
        async with dialled(replace(row, id="again"), maps=maps, memory=memory) as line:
            assert await line.tell(Layer.RELEASE) == ACCEPTED
            assert device.registers[20] == 7


async def test_an_answer_lost_in_the_middle_of_a_write_is_put_right_when_the_lease_is_over() -> None:
    device = _limited(OLD)
    lost = [True]

    def swallow(function: int, _: int, __: int) -> bool:
        return lost[0] and function == 16

    async def taken() -> None:
        device.registers |= {device.place(123, "WMaxLimPct"): 4000, device.place(123, "WMaxLimPct_RvrtTms"): 20}

    device.silent = swallow
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1"), timeout_s=1.0) as line:
        await _known(line)
        assert await line.tell(Layer.DISPATCH, -20.0, 60.0) == (OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
        await taken()
        lost[0] = False
        await line.ear.until(lambda: _shown(device, 123) == (70.0, 1))


async def test_an_instruction_over_a_connection_that_ends_after_each_answer_is_carried_out_once() -> None:
    device = inverter()
    device.hangs_up = True
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        assert await line.tell(Layer.DISPATCH, -20.0, 600.0) == ACCEPTED
        assert len(device.written) == 1
        assert await line.tell(Layer.RELEASE) == ACCEPTED
