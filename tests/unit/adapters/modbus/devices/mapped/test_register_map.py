"""Declared register maps: a mistake is named by point and field."""

from pathlib import Path

import pytest

from adapters.modbus.devices.mapped.register_map import RegisterMap, Role
from vpp.domain.errors import InputError

METER = {"name": "m", "points": [{"quantity": "POWER_KW", "address": 1, "type": "int16"}]}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"type": "int24"}, "points[0].type"),
        ({"address": -1}, "points[0].address"),
        ({"address": "40001"}, "points[0].address"),
        ({"quantity": "WATTS"}, "points[0].quantity"),
        ({"sign": 2}, "points[0].sign"),
        ({"scale": 0}, "points[0].scale"),
        ({"table": "coil"}, "points[0].table"),
        ({"role": "lever"}, "points[0].role"),
        ({"min": 2.0, "max": 1.0}, "points[0].min"),
        ({"unit": "kW"}, "points[0].unit"),
        ({"role": "setpoint"}, "points[0].write"),
        ({"write": True}, "points[0]"),
    ],
)
def test_a_mistake_in_a_point_is_named(change: dict[str, object], field: str) -> None:
    point = {"quantity": "POWER_KW", "address": 1, "type": "int16"} | change
    with pytest.raises(InputError) as caught:
        RegisterMap.from_table({"name": "m", "points": [point]}, where="meter.toml")
    assert caught.value.field == f"meter.toml.{field}"


def test_a_mistake_in_the_file_itself_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("name = \n")
    with pytest.raises(InputError, match="TOML"):
        RegisterMap.from_toml(broken)
    for table in ({"points": METER["points"]}, {"name": "m"}, METER | {"word_order": "middle"}):
        with pytest.raises(InputError):
            RegisterMap.from_table(table, where="m")


def test_a_role_is_there_once() -> None:
    point = {"role": "timer", "address": 3, "type": "uint16", "min": 0, "max": 9, "write": True}
    with pytest.raises(InputError, match=Role.TIMER):
        RegisterMap.from_table({"name": "m", "points": [point, point]}, where="m")
