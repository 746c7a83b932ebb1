"""Files of real sessions: bad rows named, replayed on the same weekday."""

import gzip
from pathlib import Path

import pytest

from vpp.domain.errors import InputError
from vpp.fleet.calendar import day_start_s
from vpp.lab.twin.local_time import local_day
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.population.session_file import FileSessions

WEDNESDAY = local_day(1_752_638_400.0)  # 2025-07-16T12:00+08:00


SESSIONS = Path("../shared/data/ev_sessions.csv.gz")


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
