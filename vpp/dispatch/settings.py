"""Everything about the fast loop that can be tuned."""

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
class DispatchSettings:
    """Tunables of the fast loop; times are seconds or minutes of the service's clock, as the name says.

    Attributes:
        cycle_s: Nominal time between cycles.
        ramp_minutes: Ramp before ``start_at`` where the request names none.
        release_minutes: Length of the staged return.
        rebound_watch_minutes: How long the load is watched after the release.
        precondition_minutes: Time before the ramp at which a request is called preconditioning.
        min_notice_minutes: Least time from submission to ``start_at`` by notice class (lifecycle.md, section 3).
        min_hold_minutes: Shortest hold that can be settled.
        max_hold_minutes: Longest hold that is accepted.
        max_ramp_minutes: Longest ramp that is accepted.
        lease_s: Length of a dispatch lease; renewed when less than half is left.
        car_lease_ratio: Lease of a charger as a multiple of that: there are many of them, and what they hold is a
            ceiling, which harms nobody if it lasts.
        meter_s: Longest usual time from a device's yes to the first meter value after it, by adapter; until then it
            is believed (an OCPP station answers in seconds and is metered once a minute).
        confirm_s: Time within which a meter must show that an accepted command took effect.
        answer_s: Time after which a command without outcome counts as unreachable.
        refusals: Refused commands in a row after which a device counts as refusing; until then its last value holds
            and it is asked again after ``refused_retry_s``, for devices refuse now and then without meaning it.
        refused_retry_s: Wait before a device is asked again after a refusal that does not count yet.
        retry_after_s: Time for which a device that refused or ignored a command is left alone; doubles each time.
        retry_most_s: Longest such time.
        unreachable_retry_s: First wait after an unreachable outcome; doubles each time up to ``retry_after_s``.
        lost_trust_s: How long after the cycle that found its link lost a commanded row is still trusted; after that
            it counts as free, because delivered power comes from meters only. 0 forgives one cycle.
        restart_grace_s: Time after a restart in which rows that are not back yet are trusted to hold their lease.
        correction_ratio: Bound of the correction for the running interval, as a share of the target.
        correction_hold_s: Length of the interval's end in which that correction is no longer changed.
        account_gap_s: Longest time since the last look that the account of the running interval bridges; the service
            may have been away for longer.
        outage_ratio: Share of the target that must be out of reach for what is missed to be an outage, which is not
            repaid.
        horizon_s: How far ahead delivery is predicted; what a row cannot reach by then does not count yet.
        integral_s: Time constant of the slow integral.
        integral_ratio: Bound of the slow integral, as a share of the target.
        deadband_ratio: Extra give below this share of the target moves nothing.
        trim_ratio: Extra give up to this share of the target goes to the rows that modulate best.
        bulk_cost: Merit order of classes for large amounts, cheapest first.
        trim_cost: Merit order of classes for small corrections, fastest and most accurate first.
        rekey_s: How often the merit order looks at drivers and sites anew.
        haste_weight: How much of a step between two classes a driver's haste is worth in the merit order.
        arrears_weight: The same for being behind the plan.
        burden_weight: The same for having been shed before.
        site_weight: The same for the site's other rows having been shed before.
        stay_weight: The same for working for the request already.
        burden_days: Time constant in which it is forgotten who was shed.
        burden_scale_s: Shed time that counts half of ``burden_weight``.
        arrears_scale_h: Hours of charging behind the plan that count half of ``arrears_weight``.
        plan_step_ratio: Share of the target that a re-dispatch plan may move from some rows to others in one cycle.
        rotate_minutes: After that long others take a shed car's place, if there are any.
        rotation_ratio: Share of the fleet that may be exchanged in one cycle.
        pause_s: How long a charger pauses when its floor is not low enough, at least and at most.
        resume_s: How long it then charges at least before it pauses again.
        pause_margin_s: Slack a session needs to be paused, beyond what is needed to be shed.
        rebound_aim_ratio: Share of a rebound cap that is aimed at.
        rebound_s: Time constant in which a building makes good what it deferred.
        laxity_margin_s: A session with less slack than this is urgent and never shed; one that is not commanded yet
            needs twice as much to be taken.
        soc_min: State of charge storage is not discharged below.
        soc_max: State of charge storage is not charged above.
        v2g_soc_min: State of charge a car is not discharged below.
        shortfall_ratio: Delivered below this share of the target is a shortfall (domain.md, section 8, 6).
        shortfall_room_ratio: Room that lacks more than this share of the target is a shortfall at once.
        shortfall_cycles: Cycles in a row for which it must last.
        shortfall_step_ratio: Change of the missing power, as a share of the target, worth telling again.
        resend_ratio: Relative change of a whole row's setpoint below which nothing is sent.
        resend_kw: Absolute change below which nothing is sent to a whole row.
        modulated_resend_kw: The same for rows that modulate, at least.
        modulated_resend_ratio: The same as a share of the row's nameplate.
        confirm_ratio: Tolerance of the metered confirmation as a share of the row's power range.
        confirm_kw: Least tolerance of the metered confirmation.
        cap_ratio: Share of a transformer's limit that is aimed at.
        cap_release_ratio: Share of the limit below which rows limited for a cap return, unless what is not ours takes
            most of the limit: then a tenth of the room is left.
        cap_promise_ratio: Share of a limit that drivers who run out of time may bring it to.
        plan_classes: Classes whose default value carries the plan.
    """

    cycle_s: float = 10.0
    ramp_minutes: float = 10.0
    release_minutes: float = 15.0
    rebound_watch_minutes: float = 60.0
    precondition_minutes: float = 5.0
    min_notice_minutes: Mapping[NoticeClass, float] = field(default_factory=lambda: _NOTICE_MINUTES)
    min_hold_minutes: float = 15.0
    max_hold_minutes: float = 1440.0
    max_ramp_minutes: float = 120.0
    lease_s: float = 300.0
    car_lease_ratio: float = 2.0
    meter_s: Mapping[Adapter, float] = field(default_factory=lambda: _METER_S)
    confirm_s: float = 120.0
    answer_s: float = 180.0
    refusals: int = 3
    refused_retry_s: float = 20.0
    retry_after_s: float = 300.0
    retry_most_s: float = 3600.0
    unreachable_retry_s: float = 30.0
    lost_trust_s: float = 0.0
    restart_grace_s: float = 120.0
    correction_ratio: float = 0.1
    correction_hold_s: float = 60.0
    account_gap_s: float = 90.0
    outage_ratio: float = 0.03
    horizon_s: float = 60.0
    integral_s: float = 1800.0
    integral_ratio: float = 0.05
    deadband_ratio: float = 0.002
    trim_ratio: float = 0.05
    bulk_cost: Mapping[ResourceClass, float] = field(default_factory=lambda: _BULK_COST)
    trim_cost: Mapping[ResourceClass, float] = field(default_factory=lambda: _TRIM_COST)
    rekey_s: float = 60.0
    haste_weight: float = 0.25
    arrears_weight: float = 0.15
    burden_weight: float = 0.15
    site_weight: float = 0.05
    stay_weight: float = 0.3
    burden_days: float = 3.0
    burden_scale_s: float = 3600.0
    arrears_scale_h: float = 1.0
    plan_step_ratio: float = 0.02
    rotate_minutes: float = 20.0
    rotation_ratio: float = 0.0005
    pause_s: float = 300.0
    resume_s: float = 300.0
    pause_margin_s: float = 1800.0
    rebound_aim_ratio: float = 0.7
    rebound_s: float = 2400.0
    laxity_margin_s: float = 600.0
    soc_min: float = 0.1
    soc_max: float = 0.98
    v2g_soc_min: float = 0.2
    shortfall_ratio: float = 0.9
    shortfall_room_ratio: float = 0.02
    shortfall_cycles: int = 6
    shortfall_step_ratio: float = 0.05
    resend_ratio: float = 0.02
    resend_kw: float = 0.1
    modulated_resend_kw: float = 0.5
    modulated_resend_ratio: float = 0.004
    confirm_ratio: float = 0.05
    confirm_kw: float = 0.2
    cap_ratio: float = 0.97
    cap_release_ratio: float = 0.92
    cap_promise_ratio: float = 0.985
    plan_classes: tuple[ResourceClass, ...] = (ResourceClass.STORAGE, ResourceClass.V2G)
