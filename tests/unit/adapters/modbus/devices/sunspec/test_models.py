"""The table of SunSpec models is the Alliance's own."""

import json
from importlib.resources import files

import pytest

from adapters.modbus.devices.sunspec.models import END_MODEL, Block, models


def _theirs(number: int) -> list[tuple[str, int, str, int, str, bool, bool]]:
    definition = json.loads(files("sunspec2").joinpath(f"models/json/model_{number}.json").read_text())["group"]
    rows, offset = [], 0
    for point in definition["points"]:
        rows.append(_row(point["name"], offset, point, repeats=False))
        offset += point["size"]
    for group in definition.get("groups", []):
        repeats = "count" in group
        at = 0 if repeats else offset
        for point in group["points"]:
            rows.append(_row(f"{group['name']}.{point['name']}", at, point, repeats=repeats))
            at += point["size"]
        offset = offset if repeats else at
    return rows


def _row(
    name: str, offset: int, point: dict[str, object], *, repeats: bool
) -> tuple[str, int, str, int, str, bool, bool]:
    writable = point.get("access") == "RW"
    return (name, offset, str(point["type"]), int(str(point["size"])), str(point.get("sf", "")), writable, repeats)


@pytest.mark.parametrize("number", sorted(models()))
def test_every_point_stands_where_the_alliance_puts_it(number: int) -> None:
    ours = [
        (p.name, p.offset, p.kind, p.size, p.scale, p.writable, p.repeats) for p in models()[number].points.values()
    ]
    assert ours == _theirs(number)


def test_all_models_of_inverters_and_storage_are_known() -> None:
    assert {1, 103, 120, 121, 122, 123, 124, 160, 701, 702, 703, 704, 713, 802} <= set(models())
    assert END_MODEL not in models()


def test_a_shorter_version_of_a_model_has_none_of_the_points_beyond_its_end() -> None:
    block = Block(model=models()[701], start=100, length=30)
    assert block.holds("W")
    assert not block.holds("W_SF")
    assert block.span("W", "WL1") == (110, 1)
