"""``vpp simulate``: a short night with one request, from the preset to the tables; stopping early; wrong arguments."""

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from vpp.domain.errors import InputError
from vpp.fleet.index import CLASSES
from vpp.lab.compose.input_files import InputFiles
from vpp.lab.simulate import command
from vpp.lab.simulate.command import SimulateOptions, Simulation

_REQUEST = "target_kw=100000,start=00:30,end=01:00,submit_minutes_before=20,ramp_minutes=5"


def options(out: Path, **changed: Any) -> SimulateOptions:  # noqa: ANN401 - any field
    given: dict[str, Any] = {
        "preset": "demo",
        "fleet": None,
        "scale": 0.2,
        "day": None,
        "requests": (_REQUEST,),
        "share": 0.9,
        "hours": 0.5,
        "seed": 1,
        "world": "kind",
        "out": out,
    }
    files = {name: changed.pop(name) for name in ("sessions", "weather", "prices") if name in changed}
    return SimulateOptions(**(given | changed), inputs=InputFiles(**files))


@pytest.fixture(scope="module", autouse=True)
def hurried() -> Iterator[None]:
    """Look back coarsely and watch briefly: these tests are about the day, not about the week before or the rebound."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "_PREROLL_STEP_S", 900.0)
        patch.setitem(command._SETTINGS, "rebound_watch_minutes", 15.0)
        yield


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("night")
    simulation = Simulation(options(out), Console(quiet=True))
    finished = asyncio.run(simulation.run())
    return out, simulation.finish(0.0, complete=finished)


def test_the_day_goes_on_until_the_request_is_settled(played: tuple[Path, dict[str, Any]]) -> None:
    _, summary = played
    (request,) = summary["requests"]
    assert summary["complete"]
    assert request["state"] == "settled"
    assert request["verdict"] in {"partial", "infeasible"}
    assert 0.85 * request["quoted_p50_kw"] < request["target_kw"] < request["quoted_p50_kw"]
    assert request["accuracy_ratio"] > 0.9
    assert request["limited_by"]
    assert summary["promises_broken"] == 0
    assert summary["resources"] == 264


def test_areas_add_up_to_the_city_and_delivery_is_baseline_less_measured(played: tuple[Path, dict[str, Any]]) -> None:
    out, summary = played
    table = pq.read_table(out / "intervals.parquet").to_pydict()
    worlds = ("actual_kw", "prepared_kw", "ordinary_kw")
    names = ("baseline_kw", "measured_kw", "target_kw", "delivered_kw", *worlds)
    areas = np.array(table["area"])
    columns = {name: np.array(table[name], dtype=float) for name in names}
    city = areas == "city"
    assert set(areas) == {"city", "huangpu", "pudong", "minhang", "xuhui"}
    for name in ("measured_kw", *worlds):
        parts = columns[name][~city].reshape(city.sum(), 4).sum(axis=1)
        assert columns[name][city] == pytest.approx(parts, abs=1e-6)
    held = city & (columns["target_kw"] == summary["requests"][0]["target_kw"])
    assert held.sum() >= 28
    assert columns["delivered_kw"][held] == pytest.approx((columns["baseline_kw"] - columns["measured_kw"])[held])
    mean_kw = columns["delivered_kw"][held].mean()
    assert mean_kw == pytest.approx(summary["requests"][0]["delivered_mean_kw"], rel=0.03)


def test_classes_add_up_to_the_city_minute_by_minute(played: tuple[Path, dict[str, Any]]) -> None:
    out, _ = played
    city = pq.read_table(out / "intervals.parquet", filters=[("area", "==", "city")]).to_pydict()
    table = pq.read_table(out / "classes.parquet").to_pydict()
    assert set(table["class"]) == {str(cls) for cls in CLASSES}
    assert table["time"][:: len(CLASSES)] == city["time"]
    for name in ("baseline_kw", "measured_kw", "delivered_kw", "actual_kw", "prepared_kw", "ordinary_kw"):
        parts = np.array(table[name], dtype=float).reshape(-1, len(CLASSES)).sum(axis=1)
        assert parts == pytest.approx(np.array(city[name], dtype=float), abs=1e-6, nan_ok=True)


def test_truth_can_be_recomputed_from_the_files(played: tuple[Path, dict[str, Any]]) -> None:
    out, summary = played
    (request,) = summary["requests"]
    table = pq.read_table(out / "intervals.parquet", filters=[("area", "==", "city")]).to_pydict()
    start, end = (datetime.fromisoformat(request[name]) for name in ("start_at", "end_at"))
    held = np.array([start <= at < end for at in table["time"]])
    actual_kw = np.array(table["actual_kw"])[held]
    for world, name in (("prepared_kw", "delivered_mean_true_kw"), ("ordinary_kw", "delivered_mean_ordinary_kw")):
        delivered_kw = np.array(table[world])[held] - actual_kw
        assert delivered_kw.mean() == pytest.approx(request[name], rel=1e-6)
    assert 0.9 < request["accuracy_true_ratio"] <= 1.0


def test_every_minute_of_every_transformer_is_there(played: tuple[Path, dict[str, Any]]) -> None:
    out, summary = played
    table = pq.read_table(out / "transformers.parquet")
    minutes = len(set(table.column("time").to_pylist()))
    assert table.num_rows == minutes * summary["transformers"]
    above = np.array(table.column("load_kw")) > np.array(table.column("limit_kw"))
    assert above.sum() == summary["cap_violations"] == 0


def test_sessions_kept_what_was_promised(played: tuple[Path, dict[str, Any]]) -> None:
    out, summary = played
    rows = pq.read_table(out / "sessions.parquet").to_pylist()
    assert len(rows) == summary["sessions"] > 0
    assert all(row["delivered_kwh"] > row["promised_kwh"] - 0.2 for row in rows)


def test_the_page_and_the_pictures_are_written(played: tuple[Path, dict[str, Any]]) -> None:
    out, summary = played
    assert json.loads((out / "summary.json").read_text(encoding="utf-8")) == json.loads(json.dumps(summary))
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 5
    assert {path.name for path in out.glob("*.png")} == {
        "net-load.png",
        "delivered.png",
        "classes.png",
        "transformers.png",
        "rebound.png",
    }


async def test_stopped_early_it_writes_what_it_has(tmp_path: Path) -> None:
    simulation = Simulation(options(tmp_path, scale=0.05), Console(quiet=True))
    task = asyncio.create_task(simulation.run())
    while simulation.played_s < 600.0:  # noqa: ASYNC110 - virtual time moves whenever we let the task run
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    summary = simulation.finish(0.0, complete=False)
    assert not summary["complete"]
    assert pq.read_table(tmp_path / "transformers.parquet").num_rows > 0
    assert (tmp_path / "report.html").is_file()


def test_days_follow_each_other_in_the_hostile_world(tmp_path: Path) -> None:
    asked = "target_kw=100000,start=00:30,end=00:45,submit_minutes_before=20,ramp_minutes=5"
    given = options(tmp_path, scale=0.05, requests=(asked,), world="hostile", days=2, hours=0.25, sure=True)
    summary, finished = command.simulated(given, Console(quiet=True))
    assert finished
    assert (summary["world"], summary["hours_known"], summary["days"]) == ("hostile", False, 2)
    first, second = summary["requests"]
    assert first["start_at"].startswith("2026-07-15T00:30")
    assert second["start_at"].startswith("2026-07-16T00:30")
    assert summary["totals"]["calls"] == 2
    for request in (first, second):
        assert request["target_kw"] <= request["quoted_p10_kw"] + 1.0
        assert request["state"] == "settled"
    table = pq.read_table(tmp_path / "intervals.parquet", filters=[("area", "==", "city")])
    assert table.num_rows > 24 * 60


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"preset": "atlantis"}, "shanghai-2026"),
        ({"world": "mild"}, "hostile, kind"),
        ({"requests": ("target_kw=0,start=1:00,end=2:00",)}, "target_kw"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_runs(tmp_path: Path, changed: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        Simulation(options(tmp_path, **changed), Console(quiet=True))
