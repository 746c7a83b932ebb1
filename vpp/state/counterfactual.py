"""What charging sessions would take if nobody had held them back, from their own meters.

A session that was never commanded shows it: its meter is its counterfactual. Once commanded, a session is taken to
go on with the power it showed before, until the energy it still lacked then would have been given; from then on, to
the end of the visit, it would have taken nothing. So energy that is only shifted counts as rebound when it
comes back. This is the device-level baseline of docs/adr/0002.
"""

import numpy as np

from vpp.domain.fleet import FleetState
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray, Quality
from vpp.domain.units import SECONDS_PER_HOUR


class SessionCounterfactual:
    """Follows every charging row snapshot by snapshot.

    Args:
        count: Number of rows.
    """

    def __init__(self, count: int) -> None:
        self._seen_kw = np.full(count, np.nan)
        self._free_kw = np.full(count, np.nan)
        self._left_kwh = np.full(count, np.nan)
        self._at_s = np.nan

    def resize(self, count: int) -> None:
        """Make room for rows that joined."""
        unknown = np.full(count - len(self._free_kw), np.nan)
        self._seen_kw = np.append(self._seen_kw, unknown)
        self._free_kw = np.append(self._free_kw, unknown)
        self._left_kwh = np.append(self._left_kwh, unknown)

    def update(self, state: FleetState, *, held: BoolArray, noted_kw: FloatArray) -> FloatArray:
        """Return what each EV row would take now, NaN in all other rows, shape ``(n_resources,)``.

        Args:
            state: The snapshot.
            held: Rows with a command of a request in force, shape ``(n_resources,)``.
            noted_kw: Power noted when a row was commanded, for rows whose past was lost in a restart; NaN for none.
        """
        charger = state.index.is_class(ResourceClass.EV)
        trusted = state.quality != Quality.BAD
        metered = np.where(trusted, state.power_kw, 0.0)
        self._begin(state, charger & held & np.isnan(self._free_kw), noted_kw)
        self._end(charger & state.connected & ~state.plugged)
        touched = ~np.isnan(self._free_kw)
        self._spend(state.at_s, touched)
        self._seen_kw = np.where(held, self._seen_kw, metered)
        would_kw = np.where(touched, np.where(self._left_kwh > 0.0, self._free_kw, 0.0), metered)
        return np.where(charger, would_kw, np.nan)

    def _begin(self, state: FleetState, newly: BoolArray, noted_kw: FloatArray) -> None:
        before_kw = np.where(np.isnan(noted_kw), self._seen_kw, noted_kw)
        self._free_kw = np.where(newly, np.nan_to_num(before_kw), self._free_kw)
        lacking = np.where(np.isnan(state.need_kwh), np.inf, state.need_kwh)
        self._left_kwh = np.where(newly, lacking, self._left_kwh)

    def _end(self, gone: BoolArray) -> None:
        self._free_kw[gone] = np.nan
        self._left_kwh[gone] = np.nan

    def _spend(self, at_s: float, touched: BoolArray) -> None:
        if not np.isnan(self._at_s):
            given_kwh = self._free_kw * (at_s - self._at_s) / SECONDS_PER_HOUR
            self._left_kwh = np.where(touched, self._left_kwh - given_kwh, self._left_kwh)
        self._at_s = at_s
