"""A simulated connector: its car, its charging profiles, and the physical device that follows them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from adapters.ocpp.messages.ocpp_j import Json, parse_stamp
from adapters.ocpp.profiles.power_units import RateUnit, Supply
from adapters.ocpp.simulated.profile_stack import InstalledProfile, ProfileStack, ProfileValue, Purpose
from vpp.domain.resource import Resource
from vpp.domain.session import Promise
from vpp.domain.setpoint import Layer
from vpp.ports import DeviceWorld


@dataclass(slots=True, kw_only=True)
class CarSession:
    """A car at a simulated connector.

    Attributes:
        number: Number of the session in the model.
        transaction: Id on the wire; empty in 1.6 until the central system has assigned one.
        started_s: Epoch seconds of its begin.
        meter_kwh: Energy register at its begin.
        promise: Charging needs of the driver, if stated.
        sequence: Next ``seqNo`` (2.x).
        stopped: Stopped remotely while the car stays.
    """

    number: int
    transaction: str
    started_s: float
    meter_kwh: float
    promise: Promise | None
    sequence: "count[int]" = field(default_factory=count)
    stopped: bool = False


@dataclass(slots=True, kw_only=True)
class Connector:
    """One connector (1.6) or EVSE (2.x).

    Attributes:
        session: The car that is plugged in.
        applied: Values the physical model follows now, by layer.
        reporting: A report waits in the queue.
    """

    number: int
    row: int
    resource: Resource
    stack: ProfileStack = field(default_factory=ProfileStack)
    session: CarSession | None = None
    applied: dict[Layer, ProfileValue] = field(default_factory=dict)
    reporting: bool = False

    def transaction(self) -> CarSession | None:
        """Return the session whose transaction runs."""
        return None if self.session is None or self.session.stopped else self.session

    def fits(self, profile: InstalledProfile) -> bool:
        """Return whether a profile can be installed: a TxProfile needs its transaction (OCTT TC_058)."""
        if profile.purpose is not Purpose.TX:
            return True
        running = self.transaction()
        return running is not None and profile.transaction in (None, running.transaction)

    def apply_profiles(self, world: DeviceWorld, now_s: float) -> None:
        """Put the value in force that the profiles add up to now."""
        nameplate = ProfileValue(self.resource.p_max_kw, math.inf)
        default = self.stack.default(now_s) or nameplate
        if self.applied.get(Layer.DEFAULT, nameplate) != default:
            world.apply(self.row, Layer.DEFAULT, default.power_kw, math.inf)
        self.applied[Layer.DEFAULT] = default
        dispatch, before = self.stack.dispatch(now_s), self.applied.pop(Layer.DISPATCH, None)
        if dispatch is not None:
            self.applied[Layer.DISPATCH] = dispatch
            if dispatch != before:
                world.apply(self.row, Layer.DISPATCH, dispatch.power_kw, dispatch.until_s)
        elif before is not None and before.until_s > now_s:
            world.apply(self.row, Layer.RELEASE, math.nan, now_s)

    def in_force_kw(self, now_s: float) -> float:
        """Return the limit or setpoint in force, kW."""
        value = self.stack.dispatch(now_s) or self.stack.default(now_s)
        return self.resource.p_max_kw if value is None else value.power_kw

    def periods(
        self, schedule: Mapping[str, object], periods: Sequence[Json], supply: Supply
    ) -> tuple[tuple[float, float], ...]:
        """Return start in seconds and kW of each period of a schedule; a setpoint counts as the power to take."""
        in_watts = schedule["chargingRateUnit"] == RateUnit.W
        read = []
        for period in periods:
            value = float(period["setpoint"] if "setpoint" in period else period.get("limit", math.inf))
            phases = period.get("numberPhases", self.resource.phases)
            power_kw = value / 1000.0 if in_watts else supply.kw(value, phases)
            read.append((float(period["startPeriod"]), power_kw))
        return tuple(read)


def ends_s(body: Json, schedule: Json, from_s: float) -> float:
    """Return when a profile ends: with its validity or with its schedule, infinite where neither does."""
    valid_s, duration_s = parse_stamp(body.get("validTo")), schedule.get("duration")
    once = body["chargingProfileKind"] != "Recurring"
    lasts_s = from_s + duration_s if once and duration_s is not None else math.inf
    return lasts_s if math.isnan(valid_s) else min(valid_s, lasts_s)
