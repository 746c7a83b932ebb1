"""The run: its folder belongs to one course, and what is there is not played again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.vpp.lab.honesty.test_stretch import COURSE
from tests.unit.vpp.lab.honesty.windows import windows
from vpp.domain.errors import InputError
from vpp.lab.honesty.run import HonestyOptions, run_honesty
from vpp.lab.honesty.stretch import stretches_of
from vpp.lab.honesty.window_collector import WindowCollector


def options(out: Path, **changed: object) -> HonestyOptions:
    return HonestyOptions(course=replace(COURSE, **changed), days=2, seeds=(1,), workers=1, out=out)  # type: ignore[arg-type]


def test_a_run_that_is_there_is_only_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (stretch,) = stretches_of(COURSE, seed=1, days=2, out=tmp_path)
    stretch.folder.mkdir(parents=True)
    totals = {"days": 2, "left_out": {}, "promises_broken": 0, "sessions": 10, "caps_broken": 0}
    (stretch.folder / "result.json").write_text(json.dumps({"totals": totals, "calls": []}))
    windows([95.0] * 50).write(stretch.folder / "windows.parquet")
    assert run_honesty(options(tmp_path), as_json=True) == 0
    body = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (body["days"], body["seeds"], body["p10_kept_ratio"], body["complete"]) == (2, [1], 1.0, True)
    assert json.loads((tmp_path / "honesty.json").read_text())["windows"] == 50
    assert (tmp_path / "honesty.png").stat().st_size > 1000


@pytest.mark.parametrize("changed", [{"scale": 0.2}, {"calls_per_day": 2.0}, {"stretch_days": 3}])
def test_a_folder_of_another_course_is_refused(tmp_path: Path, changed: dict[str, object]) -> None:
    (tmp_path / "course.json").write_text(json.dumps(COURSE.body()))
    with pytest.raises(InputError, match=f"--out.*{next(iter(changed))}"):
        run_honesty(options(tmp_path, **changed), as_json=False)


@pytest.mark.parametrize("content", [json.dumps(COURSE.body())[:-20], "", "[]", "\xff"])
def test_a_course_that_was_cut_off_is_named_with_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / "course.json").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=r"--out.*course\.json.*delete that file"):
        run_honesty(options(tmp_path), as_json=False)


def test_a_run_in_which_no_window_became_known_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (stretch,) = stretches_of(COURSE, seed=1, days=2, out=tmp_path)
    stretch.folder.mkdir(parents=True)
    totals = {"days": 2, "left_out": {}, "promises_broken": 0, "sessions": 10, "caps_broken": 0}
    (stretch.folder / "result.json").write_text(json.dumps({"totals": totals, "calls": []}))
    WindowCollector(seed=1, from_s=0.0, until_s=1.0).windows().write(stretch.folder / "windows.parquet")
    assert run_honesty(options(tmp_path), as_json=True) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["windows"] == 0


@pytest.mark.parametrize("changed", [{"world": "mars"}, {"preset": "atlantis"}])
def test_a_world_or_city_that_is_not_there_is_refused_before_anything_is_played(
    tmp_path: Path, changed: dict[str, object]
) -> None:
    with pytest.raises(InputError):
        run_honesty(options(tmp_path / "new", **changed), as_json=False)
    assert not (tmp_path / "new").exists()
