"""Sun and air: an EPW file, or a built-in hot July day, as seen at any instant.

EPW is EnergyPlus's hourly weather file (EnergyPlus Auxiliary Programs, "EPW Data Dictionary"): eight header lines, then
8,760 rows; column 6 is dry-bulb temperature, 13 to 15 are global horizontal, direct normal and diffuse horizontal
radiation in Wh/m2 of the hour that ends at column 3's hour.
"""

import csv
import gzip
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from vpp.domain.errors import InputError
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

CHINA_OFFSET_S = 8 * SECONDS_PER_HOUR
"""Asia/Shanghai has had no daylight saving since 1991."""

_HEADER_ROWS = 8
_HOURS = 8760
_LOW_SUN = 0.05
"""Cosine of the zenith below which the built-in day has no beam."""
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
        offset_s: float = CHINA_OFFSET_S,
        source: str,
    ) -> None:
        self._hours = np.stack([temp_c, ghi_w_m2, dni_w_m2, dhi_w_m2], axis=1)
        if self._hours.shape != (_HOURS, 4):
            raise InputError("weather", self._hours.shape, f"four series of {_HOURS} hours")
        self._latitude_rad = math.radians(latitude_deg)
        self._longitude_deg = longitude_deg
        self._offset_s = offset_s
        self.source = source

    @classmethod
    def from_epw(cls, path: Path | str) -> "Weather":
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
        daily range 6.9 K) as a cosine with its peak at 14:30. Sun: clear-sky global horizontal after Haurwitz (1945) of
        15 July times 0.85 for summer haze, split by a diffuse share of 0.35 (assumption).
        """
        hour = np.arange(24) + 0.5
        temp_c = 36.1 - 6.9 / 2 + 6.9 / 2 * np.cos(2 * np.pi * (hour - 14.5) / 24)
        latitude_rad = math.radians(31.2)
        cosines = np.array([_sun(latitude_rad, 121.4, 196, h - 8.0)[0] for h in hour])
        with np.errstate(divide="ignore", over="ignore"):
            ghi = np.where(cosines > 0.0, 0.85 * 1098.0 * cosines * np.exp(-0.057 / np.maximum(cosines, 1e-3)), 0.0)
        dhi = 0.35 * ghi
        dni = np.where(cosines > _LOW_SUN, (ghi - dhi) / np.maximum(cosines, _LOW_SUN), 0.0)
        return cls(
            temp_c=np.tile(temp_c, 365),
            ghi_w_m2=np.tile(ghi, 365),
            dni_w_m2=np.tile(dni, 365),
            dhi_w_m2=np.tile(dhi, 365),
            latitude_deg=31.2,
            longitude_deg=121.4,
            source="built-in hot July day, ASHRAE 2021 design conditions of Shanghai-Hongqiao",
        )

    def at(self, at_s: float) -> Sky:
        """Return the weather at epoch second ``at_s``; the year of the file is ignored."""
        local = datetime.fromtimestamp(at_s + self._offset_s, tz=UTC)
        if local.month == 2 and local.day == 29:  # noqa: PLR2004 - a leap day, which a typical year lacks
            local -= timedelta(days=1)
        day = local.timetuple().tm_yday - (1 if local.year % 4 == 0 and local.month > 2 else 0)  # noqa: PLR2004 - as above
        second = (at_s + self._offset_s) % SECONDS_PER_DAY
        position = (day - 1) * 24 + second / SECONDS_PER_HOUR - 0.5
        low = math.floor(position)
        share = position - low
        temp_c, ghi, dni, dhi = (
            self._hours[low % _HOURS] * (1.0 - share) + self._hours[(low + 1) % _HOURS] * share
        ).tolist()
        cosine, azimuth = _sun(
            self._latitude_rad, self._longitude_deg, day, (second - self._offset_s) / SECONDS_PER_HOUR
        )
        day_light = cosine > 0.0
        return Sky(
            temp_c=temp_c,
            ghi_w_m2=ghi if day_light else 0.0,
            dni_w_m2=dni if day_light else 0.0,
            dhi_w_m2=dhi if day_light else 0.0,
            zenith_cos=cosine,
            azimuth_rad=azimuth,
        )


def _sun(latitude_rad: float, longitude_deg: float, day: int, utc_hour: float) -> tuple[float, float]:
    """Return cosine of the zenith angle and azimuth from south (Spencer 1971; Duffie & Beckman, eq. 1.6.5-1.6.6)."""
    b = 2.0 * math.pi * (day - 1) / 365.0
    declination = (
        0.006918
        - 0.399912 * math.cos(b)
        + 0.070257 * math.sin(b)
        - 0.006758 * math.cos(2 * b)
        + 0.000907 * math.sin(2 * b)
    )
    equation_min = 229.18 * (
        0.000075
        + 0.001868 * math.cos(b)
        - 0.032077 * math.sin(b)
        - 0.014615 * math.cos(2 * b)
        - 0.04089 * math.sin(2 * b)
    )
    solar_hour = utc_hour + longitude_deg / 15.0 + equation_min / 60.0
    hour_angle = math.radians(15.0 * (solar_hour - 12.0))
    hour_angle = (hour_angle + math.pi) % (2 * math.pi) - math.pi
    cosine = math.sin(latitude_rad) * math.sin(declination) + math.cos(latitude_rad) * math.cos(declination) * math.cos(
        hour_angle
    )
    sine = math.sqrt(max(1.0 - cosine * cosine, 1e-12))
    ratio = (cosine * math.sin(latitude_rad) - math.sin(declination)) / (sine * math.cos(latitude_rad))
    return cosine, math.copysign(math.acos(min(max(ratio, -1.0), 1.0)), hour_angle)


def _rows(path: Path) -> list[list[str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8", newline="") as stream:
            return list(csv.reader(stream))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}", f"byte {error.start}", "an EPW file in UTF-8 text") from error


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
