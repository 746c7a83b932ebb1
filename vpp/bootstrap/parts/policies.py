"""Policies of planner and dispatcher out of the settings."""

from vpp.config import Settings, windows_of
from vpp.dispatch.settings import (
    BackOff,
    CommandRules,
    Confirmation,
    DispatchSettings,
    LeaseTerms,
    PhaseLengths,
    RequestRules,
)
from vpp.domain.units import SECONDS_PER_HOUR, SECONDS_PER_MINUTE
from vpp.planning.schedule.planning_policy import PlanningPolicy, ReservePolicy
from vpp.planning.schedule.reserve_energy import ReserveRefill, ReserveWindow


def planning_policy(settings: Settings) -> PlanningPolicy:
    """Return the planner's policy: reserve windows, recovery between them, power left free for regulation."""
    windows = windows_of(settings.reserve_windows)
    after_s = SECONDS_PER_MINUTE * (settings.release_minutes + settings.rebound_watch_minutes)
    power_kw = settings.reserve_recovery_kw
    refill = None if power_kw is None else ReserveRefill(power_kw=power_kw, after_h=after_s / SECONDS_PER_HOUR)
    return PlanningPolicy(
        reserve=ReservePolicy(
            windows=tuple(ReserveWindow(from_hour=first, until_hour=last, need_kw=kw) for first, last, kw in windows),
            refill=refill,
        ),
        regulation_kw=settings.regulation_kw or 0.0,
    )


def dispatch_settings(settings: Settings) -> DispatchSettings:
    """Return the fast loop's settings out of the service's."""
    phases = PhaseLengths(
        ramp_minutes=settings.ramp_minutes,
        release_minutes=settings.release_minutes,
        rebound_watch_minutes=settings.rebound_watch_minutes,
    )
    confirm_s = max(120.0, 2.0 * settings.sample_s + settings.call_timeout_s)
    return DispatchSettings(
        cycle_s=settings.cycle_s,
        requests=RequestRules(phases=phases),
        commands=CommandRules(
            leases=LeaseTerms(lease_s=settings.lease_s),
            confirmation=Confirmation(within_s=confirm_s),
            back_off=BackOff(answer_s=3.0 * settings.call_timeout_s),
        ),
    )
