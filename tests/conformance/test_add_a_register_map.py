"""The way of a newcomer to a Modbus device without SunSpec: a register map, as data, in ten minutes.

The device is a battery controller with a three-phase meter, by its maker's manual: "input register 30013, float, low
word first: active power in W, discharge positive; 30021, unsigned 32 bits: energy drawn in 0.1 kWh; holding register
40101: state of charge in 0.1 %; 40201: power command in 0.1 kW, discharge positive; 40202: command valid for, in s".

1.  ``vpp modbus-map template > acme_battery.toml`` prints a commented map to begin with.
2.  Write down the manual's values. The wire counts from 0: 30013 is input register 12, 40201 is holding register 200.
    W become kW by ``scale = 0.001``, 0.1 % become 0-1 by ``scale = 0.001``; discharge counts as positive there and as
    negative here, hence ``sign = -1``. What is written needs ``write = true`` and the bounds it may never leave.
3.  ``vpp modbus-map check acme_battery.toml --device 10.0.0.7:502/3`` reads every point once and shows its value; it
    writes nothing. A point that is not there, or whose value makes no sense, is named with what to look at. Compare
    power and state of charge with the device's own display, and charge it once to see the sign.
4.  Put the file into the folder that ``VPP_REGISTER_MAPS`` names, for the service and for every gateway, and restart.
5.  Register the device: ``"adapter": "modbus", "address": "10.0.0.7:502/3#acme_battery"``. Its telemetry arrives with
    the next poll, and the next request or plan writes its setpoint.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyModbusTCP.server import DataBank, ModbusServer
from typer.testing import CliRunner, Result

from tests.conformance.modbus_parts import battery, dialled, free_port
from vpp.bootstrap.register_maps import register_maps
from vpp.cli import app
from vpp.config import Settings
from vpp.domain.errors import ConfigurationError, DeviceUnreachableError, InputError
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity

ACME = """
name = "acme_battery"
manufacturer = "Acme"
model = "Battery controller"
word_order = "low_first"

[[points]]
quantity = "POWER_KW"
table = "input"
address = 12
type = "float32"
scale = 0.001
sign = -1
min = -60.0
max = 60.0

[[points]]
quantity = "ENERGY_KWH"
table = "input"
address = 20
type = "uint32"
scale = 0.1
min = 0.0

[[points]]
quantity = "SOC"
address = 100
type = "uint16"
scale = 0.001
min = 0.0
max = 1.0

[[points]]
role = "setpoint"
address = 200
type = "int16"
scale = 0.1
sign = -1
min = -50.0
max = 50.0
write = true

[[points]]
role = "timer"
address = 201
type = "uint16"
min = 0.0
max = 3600.0
write = true
"""
CHECKED = """map acme_battery: Acme Battery controller, low word first
address in the registry: {device}#acme_battery
control: setpoint under a timer

role      quantity    registers      type     value
measure   POWER_KW    input 12-13    float32  -12.5 kW  [5000 4643]
measure   ENERGY_KWH  input 20-21    uint32   7000 kWh  [1170 0001]
measure   SOC         holding 100    uint16   0.725  [02d5]
setpoint              holding 200    int16    0 kW  [0000]
timer                 holding 201    uint16   0 s  [0000]
"""
DISCHARGING_W = 12_500.0


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """Return the map's file, written as the walk-through has it."""
    file = tmp_path / "acme_battery.toml"
    file.write_text(ACME, encoding="utf-8")
    return file


@contextmanager
def device() -> Iterator[tuple[DataBank, str]]:
    """Serve the device by a foreign server; yield its registers and its address."""
    bank, port = DataBank(), free_port()
    high, low = struct.unpack(">HH", struct.pack(">f", DISCHARGING_W))
    bank.set_input_registers(12, [low, high])
    bank.set_input_registers(20, [70_000 % 2**16, 70_000 // 2**16])
    bank.set_holding_registers(100, [725])
    server = ModbusServer(host="127.0.0.1", port=port, no_block=True, data_bank=bank)
    server.start()
    try:
        yield bank, f"127.0.0.1:{port}/3"
    finally:
        server.stop()


def vpp(*arguments: str) -> Result:
    """Run the command line."""
    return CliRunner().invoke(app, arguments)


def test_the_template_is_a_map_that_passes_its_own_check(tmp_path: Path) -> None:
    template = vpp("modbus-map", "template")
    assert template.exit_code == 0
    file = tmp_path / "mine.toml"
    file.write_text(template.stdout, encoding="utf-8")
    checked = vpp("modbus-map", "check", str(file))
    assert checked.exit_code == 0
    assert "HOST:PORT/UNIT#mine" in checked.stdout
    assert "measure   SOC         holding 100    uint16   0 to 1" in checked.stdout


def test_the_check_shows_every_point_of_a_live_device_and_writes_nothing(acme: Path) -> None:
    with device() as (bank, address):
        checked = vpp("modbus-map", "check", str(acme), "--device", address)
        assert checked.stdout == CHECKED.format(device=address)
        assert checked.exit_code == 0
        assert bank.get_holding_registers(200, 2) == [0, 0]


def test_a_point_that_makes_no_sense_is_named_with_what_to_look_at(acme: Path) -> None:
    acme.write_text(ACME.replace('word_order = "low_first"', 'word_order = "high_first"'), encoding="utf-8")
    with device() as (_, address):
        checked = vpp("modbus-map", "check", str(acme), "--device", address)
    assert checked.exit_code == 1
    assert "outside 0 to inf" not in checked.stdout
    (power,) = [line for line in checked.stdout.splitlines() if "POWER_KW" in line]
    assert "outside -60 to 60: look at type, word_order, scale and sign" in power


@pytest.mark.parametrize(
    ("wrong", "right", "field"),
    [
        ('quantity = "POWER"', 'quantity = "POWER_KW"', "points[0].quantity"),
        ("max = 50.0", "max = 50.0\nwrite = true", "points[3].write"),
        ("address = 70013", "address = 12", "points[0].address"),
        ('quantity = "POWER_KW"', 'quantity = "ENERGY_KWH"', "points"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_that_names_it(acme: Path, *, wrong: str, right: str, field: str) -> None:
    acme.write_text(ACME.replace(right, wrong, 1), encoding="utf-8")
    for failed in (vpp("modbus-map", "check", str(acme)).exception, _refused(acme.parent)):
        assert isinstance(failed, InputError | ConfigurationError)
        assert f"acme_battery.toml.{field}" in str(failed)


def _refused(folder: Path) -> Exception:
    with pytest.raises(ConfigurationError, match="VPP_REGISTER_MAPS") as caught:
        register_maps(folder)
    return caught.value


def test_a_device_that_is_not_there_an_address_that_is_none_and_a_folder_that_is_not(acme: Path) -> None:
    nowhere = vpp("modbus-map", "check", str(acme), "--device", f"127.0.0.1:{free_port()}/3")
    assert isinstance(nowhere.exception, DeviceUnreachableError)
    for address in ("127.0.0.1/3", "127.0.0.1:502/3#acme_battery"):
        assert isinstance(vpp("modbus-map", "check", str(acme), "--device", address).exception, InputError)
    with pytest.raises(ConfigurationError, match="no folder"):
        register_maps(acme)
    assert register_maps(None) == {}


async def test_telemetry_arrives_and_a_setpoint_is_written(acme: Path) -> None:
    settings = Settings(register_maps=acme.parent)
    maps = register_maps(settings.register_maps)
    with device() as (bank, address):
        async with dialled(battery(f"{address}#acme_battery"), maps=maps) as line:
            await line.ear.until(lambda: line.ear.last(0, Quantity.SOC) == 0.725)
            assert line.ear.last(0, Quantity.POWER_KW) == -12.5
            assert line.ear.last(0, Quantity.ENERGY_KWH) == 7000.0
            assert await line.tell(Layer.DISPATCH, 20.0, 900.0) == (OutcomeStatus.ACCEPTED, Reason.NONE)
            assert bank.get_holding_registers(200, 2) == [2**16 - 200, 900], "charging counts as negative there"
