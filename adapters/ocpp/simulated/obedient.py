"""Swarm stations that have a car and do as they are told, and that count what they were told.

A ``Swarm`` answers everything and means nothing by it. These stations begin a transaction, state what their driver
wants, keep the charging profiles they are sent, meter the power these leave them, and write down when each
instruction arrived. The car stays, and takes whatever the station gives.
"""

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from adapters.ocpp.control.charging_needs import DRIVER_PROMISE, VENDOR, write_driver_promise
from adapters.ocpp.control.scripts import PROBE_PROFILE_ID
from adapters.ocpp.messages.ocpp_j import Json, parse_stamp, stamp
from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.power_units import RateUnit, Supply
from adapters.ocpp.simulated.swarm import Member, Swarm
from vpp.domain.session import Promise
from vpp.domain.telemetry import FloatArray, IdArray

_START = b'"StartTransaction",{"connectorId":1,"idTag":"VPP","meterStart":%d,"timestamp":"%b"}]'
_METER = (
    b'"MeterValues",{"connectorId":1,"transactionId":%d,"meterValue":[{"timestamp":"%b","sampledValue":['
    b'{"value":"%d","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},'
    b'{"value":"%d","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"}]}]}]'
)
_METER_START_WH = 1_000_000
_W = 1000.0
_STAY_S = 8.0 * 3600.0
_NEED_H = 3.0
"""What a driver wants: so many hours at the default power, of those it stays."""
_DEFAULT_LEVEL = 0
_ACCEPTED = b'{"status":"Accepted"}'
_REJECTED = b'{"status":"Rejected"}'
_UNKNOWN = b'{"status":"Unknown"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Posts:
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
class Heard:
    """What a swarm was told and what it holds.

    Attributes:
        ids: Profile id of every SetChargingProfile in the order of arrival, the link's own among them, shape ``(n,)``.
        at_s: Epoch seconds of each arrival, shape ``(n,)``.
        holds: Id of the dispatch profile in force at every station, 0 where there is none, shape ``(n_stations,)``.
    """

    ids: IdArray
    at_s: FloatArray
    holds: IdArray


class ObedientSwarm(Swarm):
    """Stations with cars.

    Args:
        address: Host and port of the central system.
        posts: The stations.
        sources: Local addresses to connect from, in turn.
        now_s: Epoch seconds, of the clock the service lives by.
        at_once: Stations between dialling and being ready.
    """

    def __init__(
        self,
        address: tuple[str, int],
        posts: Posts,
        *,
        sources: Sequence[str],
        now_s: Callable[[], float],
        at_once: int = 256,
    ) -> None:
        super().__init__(address, posts.keys, sources=sources, now_s=now_s, at_once=at_once)
        count = len(posts.keys)
        self._posts = posts
        self._volts = Supply().volts
        self._began = stamp(now_s()).encode()
        self._transaction = [0] * count
        self._promised = [False] * count
        self._limit_kw = posts.p_max_kw.tolist()
        self._dispatch_kw = [math.inf] * count
        self._dispatch_until_s = [-math.inf] * count
        self._dispatch_id = [0] * count
        self._energy_wh = [float(_METER_START_WH)] * count
        self._metered_s = [now_s()] * count
        self._ids, self._at_s = array("q"), array("d")

    def heard(self) -> Heard:
        """Return what was heard so far and what is in force now."""
        now_s = self._now_s()
        alive = np.array(self._dispatch_until_s) > now_s
        return Heard(
            ids=np.array(self._ids, dtype=np.int64),
            at_s=np.array(self._at_s, dtype=np.float64),
            holds=np.where(alive, np.array(self._dispatch_id, dtype=np.int64), 0),
        )

    def power_kw(self, number: int, now_s: float) -> float:
        """Return what the station gives its car now: less than its floor is none."""
        held = self._dispatch_until_s[number] > now_s
        limit_kw = self._dispatch_kw[number] if held else self._limit_kw[number]
        power_kw = min(limit_kw, float(self._posts.p_max_kw[number]))
        return power_kw if power_kw >= float(self._posts.floor_kw[number]) - 1e-3 else 0.0

    # Swarm.

    def _begin_metering(self, now: float, busy: int) -> None:
        if self._next_due <= 0.0:
            super()._begin_metering(now, busy)

    def _introduce(self, member: Member, payload: bytes) -> None:
        """Begin a transaction and state the driver's wish, once; on later connections both go on."""
        number = member.number
        if b'"transactionId"' in payload:
            self._transaction[number] = int(orjson.loads(payload)[2]["transactionId"])
        elif self._transaction[number] and b'"status"' in payload:
            self._promised[number] = True
            self.tally.errors += _ACCEPTED[1:-1] not in payload.replace(b" ", b"")
        if not self._transaction[number]:
            self._ask(member, _START % (_METER_START_WH, self._began))
        elif not self._promised[number]:
            self._ask(member, self._wish(number))
        else:
            super()._introduce(member, payload)

    def _wish(self, number: int) -> bytes:
        promise = Promise(
            energy_kwh=_NEED_H * float(self._posts.default_kw[number]), departure_s=self._now_s() + _STAY_S
        )
        text = write_driver_promise(self._transaction[number], promise)
        body = {"vendorId": VENDOR, "messageId": DRIVER_PROMISE, "data": text}
        return b'"DataTransfer",' + orjson.dumps(body) + b"]"

    def _response(self, member: Member, action: bytes, payload: bytes) -> bytes:
        if action == b"SetChargingProfile":
            self.tally.profiles += 1
            return self._take_profile(member.number, orjson.loads(payload)[3])
        if action == b"ClearChargingProfile":
            return self._clear_profile(member.number, orjson.loads(payload)[3])
        return super()._response(member, action, payload)

    def _meter(self, member: Member) -> None:
        number, now_s = member.number, self._now_s()
        power_w = self.power_kw(number, now_s) * _W
        self._energy_wh[number] += power_w * max(now_s - self._metered_s[number], 0.0) / 3600.0
        self._metered_s[number] = now_s
        # To the millisecond: an answer and the meter value after it may lie closer together than the swarm's stamp.
        at = stamp(now_s).encode()
        self._ask(member, _METER % (self._transaction[number], at, round(self._energy_wh[number]), round(power_w)))

    # Profiles.

    def _take_profile(self, number: int, body: Json) -> bytes:
        profile = body["csChargingProfiles"]
        profile_id = int(profile["chargingProfileId"])
        self._ids.append(profile_id)
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
        phases = int(period.get("numberPhases", self._posts.phases[number]))
        return float(period["limit"]) * self._volts * phases / _W

    def _clear_profile(self, number: int, body: Json) -> bytes:
        if not self._dispatch_id[number] or body.get("id", self._dispatch_id[number]) != self._dispatch_id[number]:
            return _UNKNOWN
        self._dispatch_id[number], self._dispatch_until_s[number] = 0, -math.inf
        return _ACCEPTED
