"""Pacing: a least interval and a dead band between the profiles of one connector.

Some stations go to full current for a moment at each new profile, and one car alone in a request would be sent dozens
in a release ramp (lbbrhzn/ocpp#2152). So a ceiling that rises waits, and one within the dead band is not sent
while the one in force has time left. Cuts never wait: they may serve a cap or safety. Nor do setpoints, which
regulation moves every few seconds, nor anything that would let a lease lapse.
"""

import heapq
from collections.abc import Iterator
from dataclasses import replace

from adapters.ocpp.messages.ocpp_j import Version
from adapters.ocpp.profiles.power_units import FINEST_STEP, RateUnit
from adapters.ocpp.profiles.setpoint_forms import WHOLE
from adapters.ocpp.station import installed_profiles
from adapters.ocpp.station.station_records import Command, InstalledProfile
from adapters.ocpp.station.station_state import StationState
from vpp.domain.setpoint import Layer

BAND_KW = 0.2
BAND_RATIO = 0.02
"""Dead band: a rise of so much, or of this share of the nameplate, is not sent."""
SAME_KW = 0.01
"""Difference that rounding on the wire may cause."""
ENDING_S = 15.0
"""A value whose lease ends sooner is renewed at once."""
_NOW = float("-inf")
_NEVER = float("inf")


class Pacer:
    """Instructions that wait for their time, and pending renewals of values within the dead band.

    Args:
        interval_s: Least time between a profile and one that raises the ceiling; 0 for no pacing at all.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._held: dict[tuple[int, bool], Command] = {}
        self._renewals: dict[int, Command] = {}
        self._times: list[tuple[float, int, tuple[int, bool]]] = []

    def take_back(self, slot: tuple[int, bool]) -> Command | None:
        """Remove and return the instruction that waits in a slot; a pending renewal there is void."""
        if self._renewals:
            self._renewals.pop(slot[0], None)
        return self._held.pop(slot, None) if self._held else None

    def due_s(self, station: StationState, command: Command, now_s: float) -> float:
        """Return the earliest time an instruction may leave, infinite where the value in force suffices.

        While another is being carried out it is not known what will be in force.
        """
        installed = None if station.under_way == command.row else installed_profiles.in_force(station, command.row)
        if (
            installed is None
            or command.layer is not Layer.DISPATCH
            or not self._interval_s
            or _setpoint(station, command)
        ):
            return _NOW
        rise_kw = _amount_kw(station, command) - installed.power_kw
        if rise_kw < -SAME_KW or installed.until_s - now_s < ENDING_S:
            return _NOW
        band_kw = max(BAND_KW, BAND_RATIO * station.nameplate(command.row).p_max_kw)
        if rise_kw <= band_kw and now_s < _renewed_s(installed, command):
            return _NEVER
        return min(installed.since_s + self._interval_s, installed.until_s - ENDING_S)

    def hold(self, command: Command, due_s: float) -> None:
        """Hold an instruction until ``due_s``."""
        self._held[command.slot] = command
        heapq.heappush(self._times, (due_s, command.id, command.slot))

    def renew_later(self, station: StationState, command: Command) -> None:
        """Renew the value in force in time, where it ends before one that was within its dead band."""
        installed = installed_profiles.in_force(station, command.row)
        if installed is not None and command.until_s > installed.until_s + 1.0:
            self._renewals[command.row] = replace(command, quiet=True)
            heapq.heappush(self._times, (_renewed_s(installed, command), command.id, command.slot))

    def due(self, now_s: float) -> Iterator[Command]:
        """Iterate the instructions whose time has come, and the renewals that are due."""
        while self._times and self._times[0][0] <= now_s:
            _, command_id, slot = heapq.heappop(self._times)
            yield from self._come(command_id, slot)

    def _come(self, command_id: int, slot: tuple[int, bool]) -> Iterator[Command]:
        held, renewal = self._held.get(slot), self._renewals.get(slot[0])
        if held is not None and held.id == command_id:
            yield self._held.pop(slot)
        if renewal is not None and renewal.id == command_id:
            yield self._renewals.pop(slot[0])


def _renewed_s(installed: InstalledProfile, command: Command) -> float:
    """Return when a lease that is not extended now has to be: halfway, never where it lasts long enough."""
    if installed.until_s >= command.until_s - 1.0:
        return _NEVER
    return 0.5 * (installed.since_s + installed.until_s)


def _setpoint(station: StationState, command: Command) -> bool:
    return station.abilities.version == Version.V21 and station.nameplate(command.row).p_min_kw < 0.0


def _amount_kw(station: StationState, command: Command) -> float:
    """Return the power of a ceiling as it would be written."""
    unit = station.units_to_try()[0]
    step = WHOLE if unit is RateUnit.W else station.abilities.step or FINEST_STEP
    return station.services.profiles.supply.limit(command.power_kw, unit, station.nameplate(command.row), step).power_kw
