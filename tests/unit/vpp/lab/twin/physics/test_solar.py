"""Sun, clear sky and yield, against figures from outside."""

import sys
from datetime import UTC, datetime

import numpy as np
import pytest

from vpp.domain.errors import ConfigurationError
from vpp.lab.twin.physics import solar

SHANGHAI = (31.2, 121.4)


def test_the_sun_of_the_standards_example_is_found() -> None:
    """Example of Reda & Andreas (2004): 17 October 2003, 12:30:30 at -7 h: azimuth 194.340, zenith 50.112 degrees."""
    at_s = np.array([datetime(2003, 10, 17, 19, 30, 30, tzinfo=UTC).timestamp()])
    east, north, up = solar.sun_direction(at_s, 39.742476, -105.1786)[0]
    assert np.degrees(np.arccos(up)) == pytest.approx(50.112, abs=0.05)
    assert np.degrees(np.arctan2(east, north)) % 360.0 == pytest.approx(194.340, abs=0.02)


def test_directions_have_length_one_and_the_sun_is_below_the_horizon_at_midnight() -> None:
    midnight_s = datetime(2025, 7, 14, 16, tzinfo=UTC).timestamp()
    directions = solar.sun_direction(midnight_s + 3600.0 * np.arange(24), *SHANGHAI)
    assert np.linalg.norm(directions, axis=1) == pytest.approx(np.ones(24))
    assert directions[0, 2] < 0.0 < directions[12, 2]


def test_a_hazy_noon_has_the_irradiance_of_a_hot_shanghai_day() -> None:
    ghi, dni, dhi = solar.hazy_sky(np.array([0.979]), 196)
    assert 800.0 < ghi[0] < 900.0
    assert ghi[0] == pytest.approx(dni[0] * 0.979 + dhi[0], rel=0.03)


def test_a_tilted_roof_has_more_than_the_ground_when_the_sun_is_low_in_the_south() -> None:
    sky = {"ghi_w_m2": 400.0, "dni_w_m2": 600.0, "dhi_w_m2": 100.0}
    assert solar.plane_irradiance_w_m2(60.0, 180.0, **sky) > sky["ghi_w_m2"]
    assert solar.plane_irradiance_w_m2(60.0, 180.0, **sky) == pytest.approx(
        600.0 * np.cos(np.radians(40.0)) + 100.0 * (1 + np.cos(np.radians(20.0))) / 2 + 400.0 * 0.2 * 0.0302, rel=1e-3
    )


def test_power_falls_with_the_heat_of_the_cells_and_is_none_without_light() -> None:
    assert solar.ac_ratio(0.0, 20.0) == 0.0
    assert solar.ac_ratio(800.0, 40.0) < solar.ac_ratio(800.0, 10.0) < 0.8 * solar.DC_PER_AC


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pvlib", None)
    solar._pvlib.cache_clear()
    try:
        with pytest.raises(ConfigurationError, match=r"vpp\[lab\]"):
            solar.sun_direction(np.zeros(1), *SHANGHAI)
    finally:
        solar._pvlib.cache_clear()
