"""Stretches: how days are cut, and which are there already."""

import json
from datetime import date
from pathlib import Path

from tests.unit.vpp.lab.honesty.windows import windows
from vpp.lab.honesty.stretch import Course, stretches_of

COURSE = Course(preset="demo", scale=0.1, world="kind", first=date(2026, 6, 1), calls_per_day=1.0, stretch_days=7)


def test_days_are_cut_at_the_same_places_whatever_their_number(tmp_path: Path) -> None:
    short, long = (stretches_of(COURSE, seed=3, days=days, out=tmp_path) for days in (9, 20))
    assert [one.days for one in short] == [range(7), range(7, 9)]
    assert [one.days for one in long] == [range(7), range(7, 14), range(14, 20)]
    assert [one.folder for one in short] == [one.folder for one in long[:2]]
    assert [one.before for one in long] == [None, long[0].folder, long[1].folder]


def test_a_stretch_is_there_once_its_result_has_all_days(tmp_path: Path) -> None:
    (short,), (longer,) = (stretches_of(COURSE, seed=3, days=days, out=tmp_path) for days in (2, 5))
    assert not short.is_played
    short.folder.mkdir(parents=True)
    result = {"totals": {"days": 2, "left_out": {}}, "calls": []}
    (short.folder / "result.json").write_text(json.dumps(result))
    windows([1.0]).write(short.folder / "windows.parquet")
    assert short.is_played
    assert not longer.is_played
    assert len(short.read().windows) == 1
    assert short.read().totals["days"] == 2
