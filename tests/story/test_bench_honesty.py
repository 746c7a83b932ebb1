"""``vpp bench honesty``: two short stretches of a small city, the second with what the first has learnt."""

import json
from datetime import date
from pathlib import Path

import pytest

from vpp.lab.honesty.run import HonestyOptions, summary_of
from vpp.lab.honesty.stretch import Course, stretches_of
from vpp.lab.simulate import command
from vpp.record.state_codec import decode_state

COURSE = Course(preset="demo", scale=0.05, world="hostile", first=date(2026, 6, 1), calls_per_day=2.0, stretch_days=1)


def windows_seen(folder: Path) -> int:
    return int(decode_state((folder / "learnt.bin").read_bytes())["calibration"]["windows"].sum())


def test_stretches_are_played_kept_and_learnt_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_PREROLL_STEP_S", 900.0)
    days: list[float] = []
    stretches = stretches_of(COURSE, seed=1, days=2, out=tmp_path)
    assert all(one.play(days.append) for one in stretches)
    assert days[-1] == pytest.approx(1.0, abs=0.01)
    first, second = (one.read() for one in stretches)
    assert len(first.windows) > 1000
    assert len(set(first.windows.day.tolist())) == 1
    assert first.windows.day[0] + 1 == second.windows.day[0]
    assert windows_seen(stretches[1].folder) > windows_seen(stretches[0].folder) >= len(first.windows)
    body = summary_of(HonestyOptions(course=COURSE, days=2, seeds=(1,), workers=1, out=tmp_path), complete=True)
    assert body["days"] == 2
    assert body["calls"] == len(first.calls) + len(second.calls) >= 1
    assert body["windows"] == len(first.windows) + len(second.windows)
    assert 0.0 <= body["p10_kept_ratio"] <= 1.0
    assert sum(body["left_out"].values()) > 0
    json.dumps(body, allow_nan=False)
