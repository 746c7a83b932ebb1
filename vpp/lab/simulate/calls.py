"""Calls as a dispatcher makes them: any hour, either direction, short and long, with notice and without."""

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from vpp.fleet.calendar import SHANGHAI

_LENGTH_MINUTES = (15, 30, 60, 90, 120, 180, 240)
_LENGTH_SHARES = (0.10, 0.15, 0.25, 0.15, 0.20, 0.10, 0.05)
_NOTICES = (
    ("day_ahead", 1080.0),
    ("intraday", 150.0),
    ("intraday", 240.0),
    ("fast", 30.0),
    ("realtime", 5.0),
    ("second", 0.0),
)
_NOTICE_SHARES = (0.25, 0.30, 0.20, 0.12, 0.08, 0.05)
_DOWN_SHARE = 0.3
_HOUR_WEIGHTS = (1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 6, 6, 6, 6, 5, 5, 6, 7, 7, 6, 4, 2, 1)
"""More calls when the grid is strained, but some at any hour; all shares of this module are assumptions."""

_SIZES = (0.1, 0.9)
"""Least and greatest share of the usual call."""


def drawn_calls(first: date, *, days: int, per_day: float, usual_kw: float, seed: int) -> list[dict[str, Any]]:
    """Return calls as fields of ``POST /api/v1/requests`` with ``submit_minutes_before``, in order of their begin.

    Args:
        first: The first day.
        days: Number of days; no call begins outside them.
        per_day: Calls a day, on average.
        usual_kw: Size that shares of are asked for.
        seed: Of all draws; every day has its own, so that a longer stretch begins with the same calls.
    """
    return [
        call
        for day in range(days)
        for call in _of_day(first + timedelta(days=day), per_day, usual_kw, np.random.default_rng([seed, day, 11]))
    ]


def _of_day(day: date, per_day: float, usual_kw: float, random: np.random.Generator) -> list[dict[str, Any]]:
    midnight = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)
    weights = np.array(_HOUR_WEIGHTS, dtype=np.float64)
    hours = np.sort(random.choice(24, size=int(random.poisson(per_day)), p=weights / weights.sum()))
    calls = []
    for hour in hours.tolist():
        start = midnight + timedelta(hours=hour, minutes=15 * int(random.integers(4)))
        minutes = _LENGTH_MINUTES[int(random.choice(len(_LENGTH_MINUTES), p=_LENGTH_SHARES))]
        notice, before = _NOTICES[int(random.choice(len(_NOTICES), p=_NOTICE_SHARES))]
        down = bool(random.random() < _DOWN_SHARE)
        calls.append(
            {
                "product": "valley_filling" if down else "peak_shaving",
                "direction": "down" if down else "up",
                "target_kw": float(round(usual_kw * random.uniform(*_SIZES))),
                "area": "city",
                "start_at": start.isoformat(),
                "end_at": (start + timedelta(minutes=minutes)).isoformat(),
                "notice_class": notice,
                "submit_minutes_before": before,
            }
        )
    return calls
