"""Temperature and irradiance at any instant, from an EPW file or a built-in hot July day.

EPW is EnergyPlus's hourly weather file (EnergyPlus Auxiliary Programs, "EPW Data Dictionary"): eight header lines, then
8,760 rows; column 6 is dry-bulb temperature, 13 to 15 are global horizontal, direct normal and diffuse horizontal
radiation in Wh/m2 of the hour that ends at column 3's hour.
"""

import csv
import gzip
import math
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np

from vpp.domain.errors import InputError
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from vpp.fleet.calendar import SHANGHAI_OFFSET_S
from vpp.lab.twin.physics import solar

_HEADER_ROWS = 8
_HOURS = 8760
_TABLE_STEP_S = 300.0
"""The middles of the hours lie on this grid, so that nothing is lost between them."""
_LEAP_DAY = 59
"""29 February, counted from 0."""
_SHANGHAI = (31.2, 121.4)
_JULY_DAY = datetime(2025, 7, 15, tzinfo=UTC)
_COLUMNS = {
    "dry_bulb_c": (6, -70.0, 70.0),
    "ghi": (13, 0.0, 1500.0),
    "dni": (14, 0.0, 1500.0),
    "dhi": (15, 0.0, 1500.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sky:
    """The weather at one instant.

    Attributes:
        temp_c: Dry-bulb temperature.
        ghi_w_m2: Global horizontal irradiance.
        dni_w_m2: Direct normal irradiance.
        dhi_w_m2: Diffuse horizontal irradiance.
        zenith_cos: Cosine of the sun's zenith angle, at or below 0 at night.
        azimuth_rad: The sun's azimuth from south, west positive.
    """

    temp_c: float
    ghi_w_m2: float
    dni_w_m2: float
    dhi_w_m2: float
    zenith_cos: float
    azimuth_rad: float


class Weather:
    """Hourly weather of a typical year at one place, interpolated between the middles of the hours.

    Args:
        temp_c: Dry-bulb temperature, shape ``(8760,)``.
        ghi_w_m2: Global horizontal irradiance, shape ``(8760,)``.
        dni_w_m2: Direct normal irradiance, shape ``(8760,)``.
        dhi_w_m2: Diffuse horizontal irradiance, shape ``(8760,)``.
        latitude_deg: North positive.
        longitude_deg: East positive.
        offset_s: Local standard time ahead of UTC.
        source: Where the numbers come from.
    """

    def __init__(
        self,
        *,
        temp_c: FloatArray,
        ghi_w_m2: FloatArray,
        dni_w_m2: FloatArray,
        dhi_w_m2: FloatArray,
        latitude_deg: float,
        longitude_deg: float,
        offset_s: float = SHANGHAI_OFFSET_S,
        source: str,
    ) -> None:
        self._hours = np.stack([temp_c, ghi_w_m2, dni_w_m2, dhi_w_m2], axis=1)
        if self._hours.shape != (_HOURS, 4):
            raise InputError("weather", self._hours.shape, f"four series of {_HOURS} hours")
        self._latitude_deg = latitude_deg
        self._longitude_deg = longitude_deg
        self._offset_s = offset_s
        self.source = source
        self._day: int | None = None
        self._table: FloatArray = np.zeros((0, 7))

    @classmethod
    def from_epw(cls, path: Path | str) -> Self:
        """Read an EPW file, gzipped if its name ends in ``.gz``.

        Raises:
            OSError: The file cannot be read.
            InputError: It is not an EPW of 8,760 hours, naming the line and the field.
        """
        rows = _rows(Path(path))
        if len(rows) < _HEADER_ROWS or rows[0][:1] != ["LOCATION"]:
            raise InputError(f"{path} line 1", rows[0][:1] if rows else "", "an EPW file, which starts with LOCATION")
        latitude_deg, longitude_deg, offset_h = (_place(rows[0], i) for i in (6, 7, 8))
        data = rows[_HEADER_ROWS:]
        if len(data) != _HOURS:
            raise InputError(f"{path}", f"{len(data)} data rows", f"{_HOURS} hourly rows")
        columns = [
            np.array([_number(row, _HEADER_ROWS + 1 + i, name) for i, row in enumerate(data)]) for name in _COLUMNS
        ]
        return cls(
            temp_c=columns[0],
            ghi_w_m2=columns[1],
            dni_w_m2=columns[2],
            dhi_w_m2=columns[3],
            latitude_deg=latitude_deg,
            longitude_deg=longitude_deg,
            offset_s=offset_h * SECONDS_PER_HOUR,
            source=f"EPW {rows[0][1]}",
        )

    @classmethod
    def builtin(cls) -> "Weather":
        """Return a smooth, hot, hazy July day in Shanghai, every day of the year.

        Temperature: the 0.4 % cooling design day of ASHRAE Handbook Fundamentals 2021 for Shanghai-Hongqiao (36.1 degC,
        daily range 6.9 K) as a cosine with its peak at 14:30. Sun: the cloudless, hazy sky of 15 July
        (`vpp.lab.twin.physics.solar.hazy_sky`).
        """
        hour = np.arange(24, dtype=np.float64) + 0.5
        temp_c = 36.1 - 6.9 / 2 + 6.9 / 2 * np.cos(2 * np.pi * (hour - 14.5) / 24)
        at_s = _JULY_DAY.timestamp() + SECONDS_PER_HOUR * hour - SHANGHAI_OFFSET_S
        up = solar.sun_direction(at_s, *_SHANGHAI)[:, 2]
        ghi, dni, dhi = (np.where(up > 0.0, w_m2, 0.0) for w_m2 in solar.hazy_sky(up, _JULY_DAY.timetuple().tm_yday))
        return cls(
            temp_c=np.tile(temp_c, 365),
            ghi_w_m2=np.tile(ghi, 365),
            dni_w_m2=np.tile(dni, 365),
            dhi_w_m2=np.tile(dhi, 365),
            latitude_deg=_SHANGHAI[0],
            longitude_deg=_SHANGHAI[1],
            source="built-in hot July day, ASHRAE 2021 design conditions of Shanghai-Hongqiao",
        )

    def at(self, at_s: float) -> Sky:
        """Return the weather at epoch second ``at_s``; the year of the file is ignored."""
        local_s = at_s + self._offset_s
        day = int(local_s // SECONDS_PER_DAY)
        if day != self._day:
            self._day, self._table = day, self._tabulated(day)
        place = local_s % SECONDS_PER_DAY / _TABLE_STEP_S
        low = int(place)
        share = place - low
        temp_c, ghi, dni, dhi, east, north, up = (
            self._table[low] * (1.0 - share) + self._table[low + 1] * share
        ).tolist()
        daylight = up > 0.0
        return Sky(
            temp_c=temp_c,
            ghi_w_m2=ghi if daylight else 0.0,
            dni_w_m2=dni if daylight else 0.0,
            dhi_w_m2=dhi if daylight else 0.0,
            zenith_cos=up,
            azimuth_rad=math.atan2(-east, -north),
        )

    def _tabulated(self, day: int) -> FloatArray:
        """Return weather and the direction to the sun every five minutes of a local day, shape ``(289, 7)``."""
        seconds = _TABLE_STEP_S * np.arange(round(SECONDS_PER_DAY / _TABLE_STEP_S) + 1, dtype=np.float64)
        position = 24.0 * _day_of_typical_year(day) + seconds / SECONDS_PER_HOUR - 0.5
        low = np.floor(position).astype(np.int64)
        share = (position - low)[:, None]
        hourly = self._hours[low % _HOURS] * (1.0 - share) + self._hours[(low + 1) % _HOURS] * share
        midnight_s = day * SECONDS_PER_DAY - self._offset_s
        return np.hstack([hourly, solar.sun_direction(midnight_s + seconds, self._latitude_deg, self._longitude_deg)])


def _day_of_typical_year(day: int) -> int:
    """Return the day within 365, from 0, that stands for a local day since 1970; a leap day is 28 February again."""
    local = datetime.fromtimestamp(day * SECONDS_PER_DAY, tz=UTC)
    number = local.timetuple().tm_yday - 1
    leap = local.year % 4 == 0 and number >= _LEAP_DAY
    return number - 1 if leap else number


def _rows(path: Path) -> list[list[str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8", newline="") as stream:
            return list(csv.reader(stream))
    except (UnicodeDecodeError, csv.Error, EOFError, zlib.error) as error:
        raise InputError(str(path), str(error), "an EPW file in UTF-8, as it is or gzipped") from error


def _place(row: list[str], column: int) -> float:
    try:
        return float(row[column])
    except (IndexError, ValueError) as error:
        raise InputError("line 1 LOCATION", row, "latitude, longitude and time zone in fields 7 to 9") from error


def _number(row: list[str], line: int, name: str) -> float:
    column, least, most = _COLUMNS[name]
    text = row[column] if column < len(row) else ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise InputError(f"line {line} {name}", text, f"a number from {least:g} to {most:g}")
    return value
