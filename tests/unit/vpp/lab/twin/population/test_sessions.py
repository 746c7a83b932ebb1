"""Visits: built-in habits and files of real sessions."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from vpp.domain.errors import InputError
from vpp.domain.resource import ResourceClass
from vpp.lab.twin.population.distributions import HABITS, Kind
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.population.session_file import FileSessions
from vpp.lab.twin.population.sessions import BuiltinSessions, ChargingPoints, day_start_s, local_day, weekday

SESSIONS = Path("../shared/data/ev_sessions.csv.gz")
WEDNESDAY = local_day(1_752_638_400.0)  # 2025-07-16T12:00+08:00


def test_days_are_shanghai_days() -> None:
    assert weekday(WEDNESDAY) == 2
    assert day_start_s(WEDNESDAY) == 1_752_638_400.0 - 12 * 3600


def test_tables_have_24_hours_and_falling_quantiles() -> None:
    for habits in HABITS.values():
        assert len(habits.workday) == len(habits.weekend) == len(habits.stay_shape) == 24
        assert list(habits.energy_kwh) == sorted(habits.energy_kwh, reverse=True)
        assert list(habits.stay_h) == sorted(habits.stay_h, reverse=True)


def test_the_same_day_gives_the_same_visits_and_other_days_others() -> None:
    fleet = demo_fleet(scale=0.3)
    source = BuiltinSessions(7)
    first, again, other = source.day(fleet, WEDNESDAY), source.day(fleet, WEDNESDAY), source.day(fleet, WEDNESDAY + 1)
    assert np.array_equal(first.arrive_s, again.arrive_s)
    assert len(first) != len(other) or not np.array_equal(first.arrive_s - 86400, other.arrive_s)


def test_visits_lie_in_their_day_in_order_and_at_charging_rows() -> None:
    fleet = demo_fleet(scale=0.5)
    visits = BuiltinSessions(7).day(fleet, WEDNESDAY)
    assert (np.diff(visits.arrive_s) >= 0).all()
    assert visits.arrive_s[0] >= day_start_s(WEDNESDAY)
    assert visits.arrive_s[-1] < day_start_s(WEDNESDAY + 1)
    assert (visits.depart_s > visits.arrive_s).all()
    assert fleet.is_class(ResourceClass.EV, ResourceClass.V2G)[visits.rows].all()


def test_home_cars_take_about_seven_kilowatt_hours_a_day() -> None:
    fleet = demo_fleet(stations=2000, v2g=0)
    stations = ChargingPoints(fleet)
    homes = stations.rows[stations.of(Kind.HOME)]
    source = BuiltinSessions(3)
    days = [source.day(fleet, WEDNESDAY + i) for i in range(7)]
    taken = sum(float(day.need_kwh[np.isin(day.rows, homes)].sum()) for day in days)
    assert taken / len(homes) / 7 == pytest.approx(7.0, rel=0.1)


def test_a_car_that_finds_its_station_taken_drives_on() -> None:
    fleet = demo_fleet(scale=0.5)
    free_from_s = np.full(len(fleet), -np.inf)
    visits = BuiltinSessions(7, scale=3.0).day(fleet, WEDNESDAY)
    kept = visits.without_collisions(free_from_s)
    assert 0 < len(kept) < len(visits)
    for row in np.unique(kept.rows):
        mine = kept.take(kept.rows == row)
        assert (mine.arrive_s[1:] > mine.depart_s[:-1]).all()


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(["row_id,city,site,port,model,start,end,kwh", *lines]) + "\n")
    return path


def test_bad_rows_are_counted_and_named(tmp_path: Path) -> None:
    good = "a,x,s,p,Level 2,2019-05-06 08:00:00,2019-05-06 12:00:00,9.5"
    path = write(
        tmp_path / "sessions.csv",
        [
            good,
            "b,x,s,p,Level 2,2019-05-07 08:00:00,2019-05-07 12:00:00,lots",
            "c,x,s,p,Level 2,yesterday,2019-05-07 12:00:00,3",
            "d,x,s,p,Level 2,2019-05-07 08:00:00,2019-05-06 12:00:00,3",
            "e,x,s,p,Level 2,2019-05-07 08:00:00,2019-05-07 12:00:00,-3",
            "f,x",
        ],
    )
    source = FileSessions(path)
    assert source.used == 1
    assert source.skipped == {"kwh": 2, "start": 2, "end": 1}
    assert source.problems[0].startswith("line 3: kwh: 'lots' is not accepted; give a number above 0")


def test_a_session_stated_twice_and_one_no_car_can_charge_are_left_out_by_line(tmp_path: Path) -> None:
    good = "a,x,s,p,Level 2,2019-05-06 08:00:00,2019-05-06 12:00:00,9.5"
    fast = "b,x,s,p,Level 2,2019-05-07 08:00:00,2019-05-07 08:05:00,150"
    source = FileSessions(write(tmp_path / "sessions.csv", [good, good.replace("a,", "z,", 1), fast]))
    assert source.used == 1
    assert source.skipped == {"row": 1, "kwh": 1}
    assert source.problems == [
        "line 3: row: 'as line 2' is not accepted; give each session once",
        "line 4: kwh: '150' is not accepted; give no more than 400 kW can charge in 5 minutes",
    ]


def test_a_file_without_a_column_names_it(tmp_path: Path) -> None:
    path = tmp_path / "sessions.csv"
    path.write_text("city,site,port,start,end\n")
    with pytest.raises(InputError, match="kwh"):
        FileSessions(path)


def test_a_file_without_a_good_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one good session"):
        FileSessions(write(tmp_path / "sessions.csv", ["a,x,s,p,m,no,no,no"]))


def test_a_gzipped_file_is_replayed_on_the_same_weekday_at_the_same_local_time(tmp_path: Path) -> None:
    path = tmp_path / "sessions.csv.gz"
    row = "a,x,s,p,Level 2,2019-05-08 08:30:00,2019-05-08 12:00:00,9.5"  # a Wednesday
    with gzip.open(path, "wt") as stream:
        stream.write("row_id,city,site,port,model,start,end,kwh\n" + row + "\n")
    fleet = demo_fleet(stations=1, inverters=0, batteries=0, v2g=0, sites=0)
    source = FileSessions(path, weeks=1)
    visits = source.day(fleet, WEDNESDAY)
    assert visits.arrive_s.tolist() == [day_start_s(WEDNESDAY) + 8.5 * 3600]
    assert visits.need_kwh.tolist() == [9.5]
    assert len(source.day(fleet, WEDNESDAY + 1)) == 0


def test_the_shared_real_sessions_fill_the_demo_fleet() -> None:
    if not SESSIONS.exists():
        pytest.skip(f"{SESSIONS} is not there")
    fleet = demo_fleet()
    source = FileSessions(SESSIONS)
    workday, sunday = source.day(fleet, WEDNESDAY), source.day(fleet, WEDNESDAY + 4)
    assert source.used > 10_000
    assert len(workday) > 800
    assert len(sunday) < len(workday)
    assert (workday.need_kwh > 0).all()
