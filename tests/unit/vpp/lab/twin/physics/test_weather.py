"""Sun and air, built in and from EPW."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from vpp.domain.errors import InputError
from vpp.lab.twin.physics.stationary import plane_w_m2, yield_ratio
from vpp.lab.twin.physics.weather import Weather

SHANGHAI = timezone(timedelta(hours=8))
EPW = Path("../shared/data/shanghai_hongqiao_tmyx.epw.gz")


def at(hour: float, month: int = 7, day: int = 16, year: int = 2025) -> float:
    return datetime(year, month, day, tzinfo=SHANGHAI).timestamp() + 3600.0 * hour


def test_the_builtin_day_is_hot_and_peaks_in_the_afternoon() -> None:
    weather = Weather.builtin()
    temps = [weather.at(at(hour)).temp_c for hour in range(24)]
    assert max(temps) == pytest.approx(36.1, abs=0.2)
    assert 13 <= temps.index(max(temps)) <= 15
    assert max(temps) - min(temps) == pytest.approx(6.9, abs=0.3)


def test_nothing_shines_at_night() -> None:
    weather = Weather.builtin()
    for hour in (0, 2, 4, 20, 22, 23.9):
        assert plane_w_m2(weather.at(at(hour))) == 0.0
        assert yield_ratio(weather.at(at(hour))) == 0.0


def test_a_july_noon_gives_most_of_the_rating() -> None:
    assert 0.5 < yield_ratio(Weather.builtin().at(at(12))) < 1.0


def test_the_sun_stands_where_it_should() -> None:
    sky = Weather.builtin().at(at(12 - 4 / 60, month=6, day=21))
    assert sky.zenith_cos == pytest.approx(0.991, abs=0.005)
    morning = Weather.builtin().at(at(8))
    assert morning.azimuth_rad < 0.0


def test_a_leap_day_has_weather() -> None:
    assert Weather.builtin().at(at(12, month=2, day=29, year=2024)).temp_c > 30.0


def test_the_shared_shanghai_file_reads() -> None:
    if not EPW.exists():
        pytest.skip(f"{EPW} is not there")
    weather = Weather.from_epw(EPW)
    assert "Shanghai" in weather.source
    july = [weather.at(at(hour, day=day)).temp_c for day in range(1, 29) for hour in range(24)]
    january = [weather.at(at(hour, month=1, day=day)).temp_c for day in range(1, 29) for hour in range(24)]
    assert sum(july) / len(july) > 25.0
    assert sum(january) / len(january) < 10.0
    year_kwh = sum(weather.at(at(24 * d + h + 0.5, month=1, day=1)).ghi_w_m2 for d in range(365) for h in range(24))
    assert year_kwh / 1000.0 == pytest.approx(1471.0, rel=0.02)


def test_a_file_that_is_no_epw_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no.epw"
    path.write_text("hello,world\n")
    with pytest.raises(InputError, match="LOCATION"):
        Weather.from_epw(path)


def test_a_bad_number_is_named_with_its_line(tmp_path: Path) -> None:
    head = "LOCATION,Here,,,,,31.2,121.4,8.0,3.0\n" + "x\n" * 7
    rows = ["2013,1,1,1,0,?," + ",".join(["20"] * 10)] * 8760
    rows[4] = rows[4].replace("?,20", "?,warm")
    path = tmp_path / "bad.epw"
    path.write_text(head + "\n".join(rows) + "\n")
    with pytest.raises(InputError, match="line 13 dry_bulb_c: 'warm'"):
        Weather.from_epw(path)
