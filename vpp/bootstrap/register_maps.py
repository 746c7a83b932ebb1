"""Declared Modbus register maps: those a process serves, and ``vpp modbus-map``, which tries one."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from adapters.modbus.address import Address
from adapters.modbus.devices.mapped.register_map import EXAMPLE, MapPoint, RegisterMap, Role
from adapters.modbus.devices.mapped.trial import PointTrial, try_map
from vpp.domain.errors import ConfigurationError, InputError

_TIMEOUT_WALL_S = 3.0
_NAME = re.compile(r"[\w.-]+")
_UNITS = {Role.SETPOINT: "kW", Role.DEFAULT: "kW", Role.TIMER: "s"}
_COLUMNS = "{:<9} {:<11} {:<14} {:<8} {}"


def register_maps(folder: Path | None) -> dict[str, RegisterMap]:
    """Return the maps of a folder by the name that addresses use after ``#``: that of the file.

    Raises:
        ConfigurationError: There is no such folder, or a map in it cannot be used.
    """
    if folder is None:
        return {}
    if not folder.is_dir():
        raise ConfigurationError(f"VPP_REGISTER_MAPS: {folder} is no folder; give one of NAME.toml files")
    try:
        return {file.stem: RegisterMap.from_toml(file) for file in sorted(folder.glob("*.toml"))}
    except InputError as error:
        raise ConfigurationError(f"VPP_REGISTER_MAPS: {error}") from error


def map_template() -> str:
    """Return the example map, whose comments explain every field."""
    return EXAMPLE.read_text(encoding="utf-8")


def check_map(file: Path, device: str | None) -> tuple[str, bool]:
    """Check a map and, where a device is given, read every point of it once.

    Args:
        file: The map.
        device: ``host:port/unit``.

    Returns:
        The findings as text, and whether every point can be used.

    Raises:
        InputError: The map or the device's address makes no sense.
        OSError: The file cannot be read.
        DeviceUnreachableError: The device does not answer.
    """
    if not _NAME.fullmatch(file.stem):
        raise InputError("file name", file.name, "letters, digits, '_', '.' and '-': addresses name the map by it")
    register_map = RegisterMap.from_toml(file)
    address = None if device is None else Address.of(device)
    if address is not None and address.map_name:
        raise InputError("device", device, "host:port/unit without #, the map is the file")
    trials = () if address is None else asyncio.run(try_map(register_map, address, timeout_wall_s=_TIMEOUT_WALL_S))
    where = "HOST:PORT/UNIT" if device is None else device
    return "\n".join(_lines(register_map, f"{where}#{file.stem}", trials)), not any(trial.fault for trial in trials)


def _lines(register_map: RegisterMap, address: str, trials: Sequence[PointTrial]) -> Iterator[str]:
    order = "low" if register_map.low_word_first else "high"
    maker = " ".join(filter(None, (register_map.manufacturer, register_map.model)))
    yield f"map {register_map.name}: {maker or 'maker not named'}, {order} word first"
    yield f"address in the registry: {address}"
    yield f"control: {_control(register_map)}"
    yield ""
    yield _COLUMNS.format("role", "quantity", "registers", "type", "value" if trials else "range").rstrip()
    shown = [_value(trial) for trial in trials] or [_range(point) for point in register_map.points]
    for point, value in zip(register_map.points, shown, strict=True):
        quantity = "" if point.quantity is None else point.quantity.name
        yield _COLUMNS.format(point.role, quantity, _registers(point), point.kind, value).rstrip()


def _control(register_map: RegisterMap) -> str:
    roles = {point.role for point in register_map.points}
    if Role.SETPOINT not in roles:
        return "none, the device is measured only"
    if Role.TIMER not in roles:
        return "the plan's value only; requests need a timer as well"
    return "setpoint under a timer"


def _registers(point: MapPoint) -> str:
    last = f"-{point.address + point.size - 1}" if point.size > 1 else ""
    return f"{point.table.value} {point.address}{last}"


def _range(point: MapPoint) -> str:
    return f"{point.minimum:g} to {point.maximum:g} {_unit(point)}".rstrip()


def _value(trial: PointTrial) -> str:
    words = " ".join(f"{register:04x}" for register in trial.registers)
    seen = f"{trial.value:g} {_unit(trial.point)}".rstrip() if trial.value == trial.value else ""
    return "; ".join(filter(None, (seen, trial.fault))) + (f"  [{words}]" if words else "")


def _unit(point: MapPoint) -> str:
    if point.quantity is None:
        return _UNITS[point.role]
    name = point.quantity.name
    return "kWh" if name.endswith("_KWH") else "kW" if name.endswith("_KW") else ""
