"""Settings of the fast loop, room by room; each module is given its part only.

Times are seconds or minutes of the service's clock, as the name says; ratios are shares of what the text names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from vpp.domain.request import NoticeClass
from vpp.domain.resource import Adapter, ResourceClass

_NOTICE_MINUTES = MappingProxyType(
    {
        NoticeClass.DAY_AHEAD: 480.0,
        NoticeClass.INTRADAY: 15.0,
        NoticeClass.FAST: 5.0,
        NoticeClass.REALTIME: 1.0,
        NoticeClass.SECOND: 0.0,
    }
)
_BULK_COST = MappingProxyType(
    {
        ResourceClass.EV: 1.0,
        ResourceClass.V2G: 2.0,
        ResourceClass.HVAC: 3.0,
        ResourceClass.STORAGE: 4.0,
        ResourceClass.INDUSTRY: 5.0,
        ResourceClass.PV: 9.0,
    }
)
_TRIM_COST = MappingProxyType(
    {
        ResourceClass.STORAGE: 1.0,
        ResourceClass.V2G: 2.0,
        ResourceClass.INDUSTRY: 3.0,
        ResourceClass.HVAC: 4.0,
        ResourceClass.EV: 5.0,
        ResourceClass.PV: 9.0,
    }
)
_METER_S = MappingProxyType({Adapter.OCPP: 90.0, Adapter.MODBUS: 45.0, Adapter.MQTT: 60.0})


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseLengths:
    """Lengths of a request's phases.

    Attributes:
        precondition_minutes: Time before the ramp at which a request is called preconditioning.
        ramp_minutes: Ramp before ``start_at`` where the request names none.
        release_minutes: Length of the staged release.
        rebound_watch_minutes: How long the load is watched after the release.
    """

    precondition_minutes: float = 5.0
    ramp_minutes: float = 10.0
    release_minutes: float = 15.0
    rebound_watch_minutes: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftLimits:
    """Bounds of what may be asked.

    Attributes:
        min_notice_minutes: Least time from submission to ``start_at`` by notice class (lifecycle.md, section 3).
        min_hold_minutes: Shortest hold that can be settled.
        max_hold_minutes: Longest hold that is accepted.
        max_ramp_minutes: Longest ramp that is accepted.
    """

    min_notice_minutes: Mapping[NoticeClass, float] = field(default_factory=lambda: _NOTICE_MINUTES)
    min_hold_minutes: float = 15.0
    max_hold_minutes: float = 1440.0
    max_ramp_minutes: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRules:
    """Rules of requests: their phases, and what may be asked."""

    phases: PhaseLengths = field(default_factory=PhaseLengths)
    limits: DraftLimits = field(default_factory=DraftLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTerms:
    """Terms of dispatch leases.

    Attributes:
        lease_s: Length of a lease; renewed when less than half is left.
        car_lease_ratio: Lease of a charger as a multiple of that: chargers are many, and what they hold is a ceiling,
            which is harmless if it lasts.
    """

    lease_s: float = 300.0
    car_lease_ratio: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SetpointDeadband:
    """Least change of a setpoint that is worth a command.

    Attributes:
        kw: Absolute change below which nothing is sent to a row that is switched or stepped.
        ratio: The same, relative to the value in force.
        modulated_kw: Absolute change below which nothing is sent to a row that modulates.
        modulated_ratio: The same as a share of the row's power range.
    """

    kw: float = 0.1
    ratio: float = 0.02
    modulated_kw: float = 0.5
    modulated_ratio: float = 0.004


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """Metered confirmation of accepted commands.

    Attributes:
        within_s: Time within which a meter must show that an accepted command took effect.
        least_kw: Least tolerance.
        ratio: Tolerance as a share of the row's power range.
    """

    within_s: float = 120.0
    least_kw: float = 0.2
    ratio: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """Waits after commands that failed.

    Attributes:
        answer_s: Time after which a command without outcome counts as unreachable.
        unreachable_retry_s: First wait after an unreachable outcome; doubles each time up to ``retry_after_s``.
        refusals: Refused commands in a row after which a device counts as refusing; until then its last value holds
            and it is asked again after ``refused_retry_s``, since devices refuse now and then without meaning it.
        refused_retry_s: Wait before a device is asked again after a refusal that does not count yet.
        retry_after_s: Time for which a device that refused or ignored a command is left alone; doubles each time.
        retry_most_s: Longest such time.
    """

    answer_s: float = 180.0
    unreachable_retry_s: float = 30.0
    refusals: int = 3
    refused_retry_s: float = 20.0
    retry_after_s: float = 300.0
    retry_most_s: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRules:
    """Rules of commands: leases, dead bands, confirmation and waits after failure."""

    leases: LeaseTerms = field(default_factory=LeaseTerms)
    deadband: SetpointDeadband = field(default_factory=SetpointDeadband)
    confirmation: Confirmation = field(default_factory=Confirmation)
    back_off: BackOff = field(default_factory=BackOff)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingLaw:
    """Tracking of a request's target, in shares of the target.

    Attributes:
        correction_ratio: Bound of the correction for the running interval.
        correction_hold_s: Length of the interval's end in which that correction is no longer changed.
        account_gap_s: Longest time since the last cycle that the account of the running interval bridges.
        integral_s: Time constant of the slow integral.
        integral_ratio: Bound of the slow integral.
        outage_ratio: Power that must be out of reach for an outage; energy missed in one is not repaid.
        low_ratio: Delivered below this is a shortfall (domain.md, section 8, 6).
        deadband_ratio: A missing or surplus activation below this moves nothing.
        trim_ratio: A missing or surplus activation up to this goes to the rows that modulate best.
    """

    correction_ratio: float = 0.1
    correction_hold_s: float = 60.0
    account_gap_s: float = 90.0
    integral_s: float = 1800.0
    integral_ratio: float = 0.05
    outage_ratio: float = 0.03
    low_ratio: float = 0.9
    deadband_ratio: float = 0.002
    trim_ratio: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class MeritWeights:
    """Shares of a step between two classes in the merit order.

    Attributes:
        haste: For little slack until departure.
        arrears: For charging that is behind the plan.
        shed: For having been shed before.
        site: For the site's other rows having been shed before.
        stay: For being assigned to the request already; this one makes a row come earlier.
    """

    haste: float = 0.25
    arrears: float = 0.15
    shed: float = 0.15
    site: float = 0.05
    stay: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class MeritOrderRules:
    """Merit order of classes, and of devices within a class.

    Attributes:
        bulk_cost: Order of classes for large amounts, cheapest first.
        trim_cost: Order of classes for small corrections, fastest and most accurate first.
        rekey_s: Seconds between two looks at drivers and sites.
        weights: Of a device within its class.
        forget_days: Time constant in which shed time is forgotten.
        shed_scale_s: Shed time that counts half of its weight.
        arrears_scale_h: Hours of charging behind the plan that count half of their weight.
    """

    bulk_cost: Mapping[ResourceClass, float] = field(default_factory=lambda: _BULK_COST)
    trim_cost: Mapping[ResourceClass, float] = field(default_factory=lambda: _TRIM_COST)
    rekey_s: float = 60.0
    weights: MeritWeights = field(default_factory=MeritWeights)
    forget_days: float = 3.0
    shed_scale_s: float = 3600.0
    arrears_scale_h: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyCycle:
    """Pauses of chargers whose floor is not low enough.

    Attributes:
        pause_s: How long a charger pauses, at least and at most.
        resume_s: How long it then charges at least before it pauses again.
        margin_s: Slack a session needs to be paused, beyond what is needed to be shed.
    """

    pause_s: float = 300.0
    resume_s: float = 300.0
    margin_s: float = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """Exchange of shed cars for others.

    Attributes:
        after_minutes: After that long another car takes a shed car's place, if there is one.
        ratio: Share of the fleet that may be exchanged in one cycle.
    """

    after_minutes: float = 20.0
    ratio: float = 0.0005


@dataclass(frozen=True, slots=True, kw_only=True)
class ReboundRules:
    """Rebound after the hold.

    Attributes:
        aim_ratio: Share of a rebound cap that is aimed at.
        recovery_s: Time constant in which a building makes good what it deferred.
    """

    aim_ratio: float = 0.7
    recovery_s: float = 2400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRules:
    """Rules of single devices: prediction, meters, trust in silent ones.

    Attributes:
        horizon_s: How far ahead delivery is predicted; what a row cannot reach by then does not count yet.
        meter_s: Longest usual time from a device's acceptance to the first meter value after it, by adapter; until then
            the acceptance is believed (an OCPP station answers in seconds and is metered once a minute).
        lost_trust_s: How long after the cycle that found its link lost a commanded row is still trusted; after that
            it counts as uncontrolled, because delivered power comes from meters only. 0 forgives one cycle.
        restart_grace_s: Time after a restart in which rows that are not back yet are trusted to hold their lease.
        plan_classes: Classes whose default value carries the plan.
    """

    horizon_s: float = 60.0
    meter_s: Mapping[Adapter, float] = field(default_factory=lambda: _METER_S)
    lost_trust_s: float = 0.0
    restart_grace_s: float = 120.0
    plan_classes: tuple[ResourceClass, ...] = (ResourceClass.STORAGE, ResourceClass.V2G)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortfallThresholds:
    """When a shortfall is flagged, in shares of the target.

    Attributes:
        missing_ratio: Available power that lacks more than this is a shortfall at once.
        cycles: Cycles in a row for which delivery must be low.
        step_ratio: Change of the missing power that changes the flag.
    """

    missing_ratio: float = 0.02
    cycles: int = 6
    step_ratio: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class CapMargins:
    """Shares of a transformer's limit.

    Attributes:
        aim_ratio: Load that is aimed at.
        release_ratio: Below this, rows held for a cap return, unless what is not ours takes most of the limit: then a
            tenth of the headroom is left.
        promise_ratio: Load that sessions short of slack may bring it to.
    """

    aim_ratio: float = 0.97
    release_ratio: float = 0.92
    promise_ratio: float = 0.985


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationRules:
    """Allocation of a request to devices.

    Attributes:
        plan_step_ratio: Share of the target that a re-dispatch plan may move from some rows to others in one cycle.
    """

    plan_step_ratio: float = 0.02
    duty: DutyCycle = field(default_factory=DutyCycle)
    rotation: Rotation = field(default_factory=Rotation)
    rebound: ReboundRules = field(default_factory=ReboundRules)
    shortfall: ShortfallThresholds = field(default_factory=ShortfallThresholds)


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchSettings:
    """All settings of the fast loop.

    Attributes:
        cycle_s: Nominal time between cycles.
    """

    cycle_s: float = 10.0
    requests: RequestRules = field(default_factory=RequestRules)
    devices: DeviceRules = field(default_factory=DeviceRules)
    merit: MeritOrderRules = field(default_factory=MeritOrderRules)
    tracking: TrackingLaw = field(default_factory=TrackingLaw)
    allocation: AllocationRules = field(default_factory=AllocationRules)
    caps: CapMargins = field(default_factory=CapMargins)
    commands: CommandRules = field(default_factory=CommandRules)
