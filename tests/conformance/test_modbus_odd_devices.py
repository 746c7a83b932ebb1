"""Devices as they are in the field: our link learns them, reads what it can, and is not stopped by one odd answer."""

import asyncio
import itertools
import struct
from collections.abc import Callable

import pytest

from adapters.modbus import RegisterMap
from adapters.modbus.devices.sunspec.models import models
from tests.conformance.modbus_parts import (
    NO_INT,
    NO_UINT,
    SPEED,
    OddDevice,
    dialled,
    inverter,
    pv,
)
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble, troubles_of

SHOWN_KW = -30.0


def _meter(address: str) -> Resource:
    return Resource(
        id="building",
        site_id="s",
        resource_class=ResourceClass.HVAC,
        adapter=Adapter.MODBUS,
        address=address,
        p_min_kw=0.0,
        p_max_kw=50.0,
    )


async def _is_read(device: OddDevice, kw: float = SHOWN_KW, resource: Callable[[str], Resource] = pv) -> None:
    async with device.serving() as port, dialled(resource(f"127.0.0.1:{port}/1")) as line:
        await line.ear.until(lambda: abs(line.ear.last(0, Quantity.POWER_KW) - kw) < 1e-3)
        assert line.ear.last(0, Quantity.CONNECTED) == 1.0


def _single_models(device: OddDevice) -> list[range]:
    spans = [range(start, start + device.registers[start + 1] + 2) for start in device.at.values()]
    return [range(device.base, device.base + 2), *spans, range(max(device.registers) - 1, max(device.registers) + 1)]


@pytest.mark.parametrize("code", [2, 3, 4])
async def test_reads_over_the_borders_of_models_may_be_refused(code: int) -> None:
    device = inverter(1, 64001, 103, 120, 121, 122, 123)
    spans = _single_models(device)
    device.refuse = lambda _, address, count: (
        0 if any(address in s and address + count <= s.stop for s in spans) else code
    )
    await _is_read(device)


@pytest.mark.parametrize("most", [2, 3, 7, 20])
async def test_long_reads_may_be_refused(most: int) -> None:
    device = inverter()
    device.refuse = lambda function, _, count: 3 if function == 3 and count > most else 0
    await _is_read(device)


@pytest.mark.parametrize("number", [120, 122, 123])
@pytest.mark.parametrize("code", [2, 4])
async def test_a_model_that_cannot_be_read_leaves_the_rest(number: int, code: int) -> None:
    device = inverter()
    span = range(device.at[number] + 2, device.at[number] + 2 + device.registers[device.at[number] + 1])
    device.refuse = lambda _, address, count: code if address < span.stop and address + count > span.start else 0
    await _is_read(device)


async def test_one_point_that_cannot_be_read_leaves_its_neighbours() -> None:
    device = inverter()
    bad = device.place(121, "WMax") - 1
    device.refuse = lambda function, address, count: 4 if function == 3 and address <= bad < address + count else 0
    await _is_read(device)


async def test_a_broken_chain_of_models_leaves_those_before_the_break() -> None:
    device = inverter()
    broken = device.at[121]
    device.refuse = lambda _, address, count: 4 if address + count > broken else 0
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        await line.ear.until(lambda: line.ear.last(0, Quantity.POWER_KW) == SHOWN_KW)
        assert line.card()["models"] == [1, 103, 120]
        assert line.card()["map_broken_at"] == broken


@pytest.mark.parametrize(("code", "period"), [(6, 2), (6, 3), (5, 3), (11, 3), (11, 5), (10, 4)])
async def test_busy_or_absent_now_and_then(code: int, period: int) -> None:
    device, turn = inverter(), itertools.count(1)
    device.refuse = lambda *_: code if next(turn) % period == 0 else 0
    await _is_read(device)


async def test_a_busy_device_is_asked_less_and_less_often() -> None:
    device = inverter()
    device.refuse = lambda *_: 6
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        await line.ear.until(lambda: line.ear.last(0, Quantity.CONNECTED) == 0.0)
        assert len(device.asked) <= 12, "one request and five repetitions a try"


async def test_a_device_that_hangs_up_after_each_answer_is_dialled_once_an_answer() -> None:
    device = inverter()
    device.hangs_up = True
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        await line.ear.until(lambda: len(line.ear.history(0, Quantity.POWER_KW)) >= 3)
        assert line.ear.history(0, Quantity.CONNECTED) == [1.0]
        assert device.accepted <= len(device.asked) + 1


async def test_a_device_that_hangs_up_without_an_answer_is_not_hammered() -> None:
    accepted = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with dialled(pv(f"127.0.0.1:{port}/1")) as line:
        await line.ear.until(lambda: line.ear.last(0, Quantity.CONNECTED) == 0.0)
        begun, before = line.clock.now_s(), accepted
        while accepted < before + 4:  # noqa: ASYNC110 - the server's count is no event of the link
            await asyncio.sleep(0.01)
        assert line.clock.now_s() - begun > 0.5 * (1.0 + 2.0 + 4.0), "1, 2 and 4 s apart, less at most half"
    server.close()


@pytest.mark.parametrize("base", [0, 40000, 50000])
@pytest.mark.parametrize("elsewhere", ["silence", 2, 4, "zeros"])
async def test_the_map_is_found_wherever_it_is_and_whatever_is_said_elsewhere(base: int, elsewhere: str | int) -> None:
    device = inverter(base=base)

    def outside(address: int, count: int) -> bool:
        return any(address + i not in device.registers for i in range(count))

    if elsewhere == "silence":
        device.silent = lambda _, address, count: outside(address, count)
    elif elsewhere == "zeros":
        device.registers |= {other + i: 0 for other in {0, 40000, 50000} - {base} for i in range(2)}
    else:
        device.refuse = lambda _, address, count: int(elsewhere) if outside(address, count) else 0
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1"), timeout_s=1.0, poll_s=2.0) as line:
        await line.ear.until(lambda: line.ear.last(0, Quantity.POWER_KW) == SHOWN_KW)
        assert line.card()["base_address"] == base


async def test_a_device_without_holding_registers_is_read_from_its_input_registers() -> None:
    device = inverter()
    device.refuse = lambda function, *_: 1 if function == 3 else 0
    await _is_read(device)


@pytest.mark.parametrize("number", [111, 112, 113])
async def test_inverters_in_floating_point_are_read(number: int) -> None:
    device = inverter(1, number, 121, 122, 123)
    device.put(number, "W", *struct.unpack(">HH", struct.pack(">f", 30_000.0)))
    await _is_read(device)


@pytest.mark.parametrize("number", [201, 202, 203, 204, 211, 212, 213, 214])
async def test_meters_are_read_and_count_load_as_positive(number: int) -> None:
    device = OddDevice(1, number)
    if number < 210:
        device.put(number, "W", 1250)
        device.put(number, "W_SF", 1)
        device.put(number, "TotWhImp", 1, 0)
        device.put(number, "TotWh_SF", 0)
    else:
        device.put(number, "W", *struct.unpack(">HH", struct.pack(">f", 12_500.0)))
        device.put(number, "TotWhImp", *struct.unpack(">HH", struct.pack(">f", 65_536.0)))
    async with device.serving() as port, dialled(_meter(f"127.0.0.1:{port}/1")) as line:
        await line.ear.until(lambda: line.ear.last(0, Quantity.POWER_KW) == 12.5)
        assert line.ear.last(0, Quantity.ENERGY_KWH) == 65.536
        assert troubles_of(int(line.ear.last(0, Quantity.TROUBLES))) == (Trouble.MEASURED_ONLY,)


async def test_an_inverter_shows_its_own_power_and_a_building_its_meter_where_both_stand_in_one_map() -> None:
    for resource, kw in ((pv, SHOWN_KW), (_meter, 7.0)):
        device = inverter(1, 103, 121, 122, 123, 203)
        device.put(203, "W", 7000)
        await _is_read(device, kw, resource)


@pytest.mark.parametrize("shown", [NO_INT, 11, -11 & 0xFFFF])
async def test_a_value_without_a_scale_factor_is_unknown_and_not_scaled_by_one(shown: int) -> None:
    device = inverter()
    device.put(103, "W_SF", shown)
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        await line.ear.until_connected(0)
        assert line.ear.history(0, Quantity.POWER_KW) == []
        device.put(103, "W_SF", 1)
        await line.ear.until(lambda: line.ear.last(0, Quantity.POWER_KW) == SHOWN_KW)


async def test_a_range_without_a_scale_factor_is_unknown() -> None:
    device = inverter()
    device.put(122, "WAval_SF", NO_INT)
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        await line.ear.until(lambda: line.ear.last(0, Quantity.POWER_KW) == SHOWN_KW)
        assert line.ear.history(0, Quantity.P_MIN_KW) == []


async def test_a_scale_factor_may_move_with_its_value() -> None:
    device = inverter()
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        for raw, exponent, kw in ((2500, 1, -25.0), (25000, -1, -2.5), (12000, -2, -0.12)):
            device.put(103, "W", raw)
            device.put(103, "W_SF", exponent)
            await line.ear.until(lambda kw=kw: line.ear.last(0, Quantity.POWER_KW) == kw)  # type: ignore[misc]


@pytest.mark.parametrize("number", [1, 103, 122])
@pytest.mark.parametrize("longer", [-1, 12])
async def test_a_model_may_be_shorter_or_longer_than_its_definition(number: int, longer: int) -> None:
    lengths = {n: models()[n].length() + (longer if n == number else 0) for n in (1, 103, 121, 122, 123)}
    device, place = OddDevice(), 40002
    device.registers = {40000: 0x5375, 40001: 0x6E53}
    for n, length in lengths.items():
        device.at[n] = place
        device.registers |= dict.fromkeys(range(place, place + length + 2), 0) | {place: n, place + 1: length}
        place += length + 2
    device.registers |= {place: NO_UINT, place + 1: 0}
    device.put(103, "W", 3000)
    device.put(103, "W_SF", 1)
    await _is_read(device)


async def test_a_device_is_learnt_again_when_it_has_been_gone_and_when_its_map_moved() -> None:
    device = inverter()
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1")) as line:
        await line.ear.until(lambda: line.ear.last(0, Quantity.POWER_KW) == SHOWN_KW)
        other = inverter(1, 122, 121, 120, 123, 103, base=50000)
        other.put(103, "W", 2000)
        device.registers, device.at = other.registers, other.at
        await line.ear.until(lambda: line.ear.last(0, Quantity.POWER_KW) == -20.0)
        assert line.card()["base_address"] == 50000


async def test_a_dead_unit_that_says_nothing_does_not_take_its_neighbours_down() -> None:
    device = inverter()
    device.hears = {1}
    async with device.serving() as port:
        dead = [pv(f"127.0.0.1:{port}/{unit}", f"dead-{unit}") for unit in (2, 3, 4)]
        async with dialled(pv(f"127.0.0.1:{port}/1", "well"), *dead, timeout_s=0.1) as line:
            await line.ear.until(lambda: all(line.ear.last(row, Quantity.CONNECTED) == 0.0 for row in (1, 2, 3)))
            seen = len(line.ear.history(0, Quantity.POWER_KW))
            await line.ear.until(lambda: len(line.ear.history(0, Quantity.POWER_KW)) >= seen + 2)
            assert line.ear.history(0, Quantity.CONNECTED) == [1.0], "silences of others say nothing of it"


async def test_a_site_that_says_nothing_does_not_delay_another() -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    hung = server.sockets[0].getsockname()[1]
    device = inverter()
    async with (
        device.serving() as port,
        dialled(pv(f"127.0.0.1:{hung}/1", "hung"), pv(f"127.0.0.1:{port}/1"), timeout_s=100.0 * SPEED) as line,
    ):
        await line.ear.until(lambda: len(line.ear.history(1, Quantity.POWER_KW)) >= 3)
        assert line.ear.history(0, Quantity.POWER_KW) == []
    server.close()


def _wrong_transaction(answer: bytes) -> bytes:
    return struct.pack(">H", 1 + struct.unpack(">H", answer[:2])[0]) + answer[2:]


@pytest.mark.parametrize(
    "spoil",
    [
        _wrong_transaction,
        lambda answer: answer[:6] + b"\x09" + answer[7:],
        lambda answer: answer[:-1],
        lambda answer: answer + b"\x00" * 300,
        lambda answer: answer[:4] + b"\xff\xff" + answer[6:],
        lambda answer: answer[:2] + b"\x00\x07" + answer[4:],
        lambda answer: answer[:7] + b"\x63" + answer[8:],
        lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        lambda _: bytes(range(256)) * 8,
    ],
    ids=["transaction", "unit", "short", "trailing", "length", "protocol", "function", "http", "noise"],
)
async def test_an_answer_that_makes_no_sense_is_no_reading_and_the_next_good_one_is(
    spoil: Callable[[bytes], bytes],
) -> None:
    device, left = inverter(), [4]

    def sometimes(answer: bytes) -> bytes:
        left[0] -= 1
        return spoil(answer) if left[0] >= 0 else answer

    device.alter = sometimes
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1"), timeout_s=1.0, poll_s=2.0) as line:
        await line.ear.until(lambda: bool(line.ear.history(0, Quantity.POWER_KW)))
        assert set(line.ear.history(0, Quantity.POWER_KW)) == {SHOWN_KW}


MAP = {
    "name": "m",
    "points": [
        {"quantity": "POWER_KW", "address": 10, "type": "int16"},
        {"quantity": "ENERGY_KWH", "address": 11, "type": "uint16"},
        {"quantity": "SOC", "address": 40, "type": "uint16", "scale": 0.001, "min": 0.0, "max": 1.0},
    ],
}


@pytest.mark.parametrize(
    "quirk", ["one register at a time", "a register fails", "busy", "absent now and then", "hangs up"]
)
async def test_a_declared_map_meets_the_same_devices(quirk: str) -> None:
    device, turn = OddDevice(), itertools.count(1)
    device.registers = {10: 7, 11: 9, 40: 500}
    if quirk == "one register at a time":
        device.refuse = lambda _, __, count: 3 if count > 1 else 0
    elif quirk == "a register fails":
        device.refuse = lambda _, address, count: 4 if address <= 11 < address + count else 0
    elif quirk == "busy":
        device.refuse = lambda *_: 6 if next(turn) % 2 else 0
    elif quirk == "absent now and then":
        device.refuse = lambda *_: 11 if next(turn) % 3 == 0 else 0
    else:
        device.hangs_up = True
    maps = {"m": RegisterMap.from_table(MAP, where="m")}
    async with device.serving() as port, dialled(pv(f"127.0.0.1:{port}/1#m"), maps=maps) as line:
        await line.ear.until(lambda: line.ear.last(0, Quantity.SOC) == 0.5)
        assert line.ear.last(0, Quantity.POWER_KW) == 7.0
        assert (line.ear.last(0, Quantity.ENERGY_KWH) == 9.0) == (quirk != "a register fails")
