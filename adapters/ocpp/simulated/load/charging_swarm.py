"""Swarm stations with a car, which follow their charging profiles and record when each arrived.

A station of a ``Swarm`` accepts everything and does nothing. These start a transaction, state the driver's charging
needs, keep the charging profiles, and meter the power that these allow. The car stays and takes all of it.
"""

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from adapters.ocpp.control.charging_needs import DRIVER_PROMISE, VENDOR, write_driver_promise
from adapters.ocpp.messages.ocpp_j import Json, parse_stamp, stamp
from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.power_units import RateUnit, Supply
from adapters.ocpp.profiles.profile_ids import PROBE_PROFILE_ID, command_number
from adapters.ocpp.simulated.load.swarm import Swarm
from adapters.ocpp.simulated.load.swarm_station import SwarmStation
from vpp.domain.session import Promise
from vpp.domain.telemetry import FloatArray, IdArray

_START = b'"StartTransaction",{"connectorId":1,"idTag":"VPP","meterStart":%d,"timestamp":"%b"}]'
METER_VALUES = (
    b'"MeterValues",{"connectorId":1,"transactionId":%d,"meterValue":[{"timestamp":"%b","sampledValue":['
    b'{"value":"%d","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},'
    b'{"value":"%d","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"}]}]}]'
)
_METER_START_WH = 1_000_000
_W = 1000.0
_STAY_S = 8.0 * 3600.0
_NEED_H = 3.0
"""Energy need of a driver, in hours at the default power."""
_DEFAULT_LEVEL = 0
_ACCEPTED = b'{"status":"Accepted"}'
_REJECTED = b'{"status":"Rejected"}'
_UNKNOWN = b'{"status":"Unknown"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmNameplates:
    """Nameplates of a swarm's stations, one connector each.

    Attributes:
        keys: Station and password.
        p_max_kw: Greatest power, shape ``(n,)``.
        floor_kw: Least power; less than that is none, shape ``(n,)``.
        phases: Number of AC phases, shape ``(n,)``.
        default_kw: What the fleet's registry has as the default value, shape ``(n,)``.
    """

    keys: Sequence[tuple[str, str]]
    p_max_kw: FloatArray
    floor_kw: FloatArray
    phases: IdArray
    default_kw: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedProfiles:
    """Charging profiles a swarm has received and those in force.

    Attributes:
        ids: Command of every SetChargingProfile in the order of arrival, 0 or below where the profile is the link's
            own, shape ``(n,)``; see ``profile_ids.command_number``.
        at_s: Epoch seconds of each arrival, shape ``(n,)``.
        holds: Command of the dispatch profile in force at every station, 0 where there is none, shape
            ``(n_stations,)``.
    """

    ids: IdArray
    at_s: FloatArray
    holds: IdArray


class ChargingSwarm(Swarm):
    """Stations with cars.

    Args:
        address: Host and port of the central system.
        nameplates: The stations.
        sources: Local addresses to connect from, in turn.
        now_s: Epoch seconds by the service's clock.
        at_once: Greatest number of stations between connecting and being ready.
    """

    def __init__(
        self,
        address: tuple[str, int],
        nameplates: SwarmNameplates,
        *,
        sources: Sequence[str],
        now_s: Callable[[], float],
        at_once: int = 256,
    ) -> None:
        super().__init__(address, nameplates.keys, sources=sources, now_s=now_s, at_once=at_once)
        count = len(nameplates.keys)
        self._nameplates = nameplates
        self._volts = Supply().volts
        self._began = stamp(now_s()).encode()
        self._transaction = [0] * count
        self._needs_sent = [False] * count
        self._limit_kw = nameplates.p_max_kw.tolist()
        self._dispatch_kw = [math.inf] * count
        self._dispatch_until_s = [-math.inf] * count
        self._dispatch_id = [0] * count
        self._energy_wh = [float(_METER_START_WH)] * count
        self._metered_s = [now_s()] * count
        self._ids, self._at_s = array("q"), array("d")

    def received(self) -> ReceivedProfiles:
        """Return the profiles received so far and those in force now."""
        now_s = self._now_s()
        alive = np.array(self._dispatch_until_s) > now_s
        return ReceivedProfiles(
            ids=np.array(self._ids, dtype=np.int64),
            at_s=np.array(self._at_s, dtype=np.float64),
            holds=np.where(alive, np.array([command_number(i) for i in self._dispatch_id], dtype=np.int64), 0),
        )

    def power_kw(self, number: int, now_s: float) -> float:
        """Return the power of the car now; below the floor it is none."""
        held = self._dispatch_until_s[number] > now_s
        limit_kw = self._dispatch_kw[number] if held else self._limit_kw[number]
        power_kw = min(limit_kw, float(self._nameplates.p_max_kw[number]))
        return power_kw if power_kw >= float(self._nameplates.floor_kw[number]) - 1e-3 else 0.0

    # Swarm.

    def _begin_metering(self, now: float, busy: int) -> None:
        if self._next_due <= 0.0:
            super()._begin_metering(now, busy)

    def _status_answered(self, station: SwarmStation, payload: bytes) -> None:
        """Start a transaction and state the charging needs, once; on later connections both continue."""
        number = station.number
        if b'"transactionId"' in payload:
            self._transaction[number] = int(orjson.loads(payload)[2]["transactionId"])
        elif self._transaction[number] and b'"status"' in payload:
            self._needs_sent[number] = True
            self.tally.errors += _ACCEPTED[1:-1] not in payload.replace(b" ", b"")
        if not self._transaction[number]:
            self._call(station, _START % (_METER_START_WH, self._began))
        elif not self._needs_sent[number]:
            self._call(station, self._charging_needs(number))
        else:
            super()._status_answered(station, payload)

    def _charging_needs(self, number: int) -> bytes:
        promise = Promise(
            energy_kwh=_NEED_H * float(self._nameplates.default_kw[number]), departure_s=self._now_s() + _STAY_S
        )
        text = write_driver_promise(self._transaction[number], promise)
        body = {"vendorId": VENDOR, "messageId": DRIVER_PROMISE, "data": text}
        return b'"DataTransfer",' + orjson.dumps(body) + b"]"

    def _answer(self, station: SwarmStation, action: bytes, payload: bytes) -> bytes:
        if action == b"SetChargingProfile":
            self.tally.profiles += 1
            return self._take_profile(station.number, orjson.loads(payload)[3])
        if action == b"ClearChargingProfile":
            return self._clear_profile(station.number, orjson.loads(payload)[3])
        return super()._answer(station, action, payload)

    def _meter(self, station: SwarmStation) -> None:
        number, now_s = station.number, self._now_s()
        power_w = self.power_kw(number, now_s) * _W
        self._energy_wh[number] += power_w * max(now_s - self._metered_s[number], 0.0) / 3600.0
        self._metered_s[number] = now_s
        # To the millisecond: an answer and the meter value after it may lie closer together than the swarm's stamp.
        at = stamp(now_s).encode()
        self._call(
            station, METER_VALUES % (self._transaction[number], at, round(self._energy_wh[number]), round(power_w))
        )

    # Profiles.

    def _take_profile(self, number: int, body: Json) -> bytes:
        profile = body["csChargingProfiles"]
        profile_id = int(profile["chargingProfileId"])
        self._ids.append(command_number(profile_id))
        self._at_s.append(self._now_s())
        if profile_id == PROBE_PROFILE_ID:
            return _ACCEPTED
        tied = profile["chargingProfilePurpose"] == ProfilePurpose.TX
        if tied and profile.get("transactionId") != self._transaction[number]:
            return _REJECTED
        limit_kw = self._first_limit_kw(number, profile["chargingSchedule"])
        if tied or profile["stackLevel"] > _DEFAULT_LEVEL:
            self._dispatch_id[number], self._dispatch_kw[number] = profile_id, limit_kw
            self._dispatch_until_s[number] = parse_stamp(profile["validTo"])
        else:
            self._limit_kw[number] = limit_kw
        return _ACCEPTED

    def _first_limit_kw(self, number: int, schedule: Json) -> float:
        period = schedule["chargingSchedulePeriod"][0]
        if schedule["chargingRateUnit"] == RateUnit.W:
            return float(period["limit"]) / _W
        phases = int(period.get("numberPhases", self._nameplates.phases[number]))
        return float(period["limit"]) * self._volts * phases / _W

    def _clear_profile(self, number: int, body: Json) -> bytes:
        if not self._dispatch_id[number] or body.get("id", self._dispatch_id[number]) != self._dispatch_id[number]:
            return _UNKNOWN
        self._dispatch_id[number], self._dispatch_until_s[number] = 0, -math.inf
        return _ACCEPTED
