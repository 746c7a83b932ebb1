"""Tracking controller: the delivery to aim at now, from what was due and what the meters showed.

Settlement judges the mean of each 15-minute interval, so the controller keeps an account of the energy still owed in
the running interval and spreads it over what is left of it; a slow integral takes out what the account cannot see.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from vpp.dispatch.settings import TrackingLaw
from vpp.domain.timegrid import floor_s
from vpp.domain.units import SECONDS_PER_HOUR, STEP_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """Memory of one running request; all of it goes to the journal every cycle, under these names.

    Attributes:
        at_s: When it was last brought up to date.
        deficit_kwh: Energy owed in the running interval, negative where too much was delivered.
        correction_kw: What is asked on top of the target to repay it.
        integral_kw: Slow integral of the error.
        low_cycles: Cycles in a row in which delivery was far below the target.
        lacking_kw: Power due that no row had available in the last cycle.
        outage_s: When a large part was last out of reach, NaN once delivery is back at the target since.
        release_kw: Sum of the activations at the begin of the release, NaN before it.
        fallback_kw: Net load at the first cycle, the baseline where none was frozen.
    """

    at_s: float
    deficit_kwh: float = 0.0
    correction_kw: float = 0.0
    integral_kw: float = 0.0
    low_cycles: int = 0
    lacking_kw: float = 0.0
    outage_s: float = float("nan")
    release_kw: float = float("nan")
    fallback_kw: float = float("nan")

    def body(self) -> dict[str, object]:
        """Return the memory as JSON-like content, NaN as ``None``."""
        return {name: None if value != value else value for name, value in asdict(self).items()}  # noqa: PLR0124 - NaN

    @classmethod
    def from_body(cls, body: Mapping[str, float | None]) -> "Tracking":
        """Return the memory that ``body`` wrote."""
        known = {name: float("nan") if value is None else value for name, value in body.items()}
        return cls(
            at_s=known["at_s"],
            deficit_kwh=known["deficit_kwh"],
            correction_kw=known["correction_kw"],
            integral_kw=known["integral_kw"],
            low_cycles=int(known["low_cycles"]),
            lacking_kw=known.get("lacking_kw", 0.0),
            outage_s=known.get("outage_s", float("nan")),
            release_kw=known["release_kw"],
            fallback_kw=known["fallback_kw"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Delivered power; the truth lies between the two while rows are out of reach.

    Attributes:
        believed_kw: By meters and accepted commands, rows out of reach counting as uncontrolled.
        held_kw: The same with rows out of reach keeping their leases.
    """

    believed_kw: float
    held_kw: float

    def missing_kw(self, wanted_kw: float) -> float:
        """Return the power missing for certain, negative for a certain surplus, else 0."""
        least, most = sorted((self.believed_kw, self.held_kw))
        return max(wanted_kw - most, 0.0) + min(wanted_kw - least, 0.0)


def account(
    memory: Tracking,
    *,
    now_s: float,
    target_kw: float,
    delivered: Delivered,
    holding: bool,
    law: TrackingLaw,
    outage_most_s: float,
) -> Tracking:
    """Bring the memory up to date with what was delivered since the last cycle.

    Nothing winds up while it could do nothing (conditional integration, Astrom and Rundqwist 1989): only what is
    missing for certain is owed, and only where power was available for it; not what was missed in an outage, from
    which delivery comes back to the target and no further; and a time without cycles is not accounted for.

    Args:
        memory: As it was.
        now_s: Epoch seconds.
        target_kw: Power due now.
        delivered: Baseline less power in the direction asked.
        holding: The full target is due; the integral and the count of low cycles run only then.
        law: Bounds and time constants.
        outage_most_s: Longest outage; what is missing after it is owed.
    """
    begin_s = floor_s(now_s, STEP_S)
    owed_kwh = memory.deficit_kwh if memory.at_s >= begin_s else 0.0
    span_s = min(now_s - max(memory.at_s, begin_s), law.account_gap_s)
    outage_s = _outage_s(memory, now_s, target_kw, delivered, law=law, most_s=outage_most_s)
    excused_kw = memory.lacking_kw if np.isnan(outage_s) else np.inf
    error_kw = _owed(delivered.missing_kw(target_kw), excused_kw)
    deficit_kwh = owed_kwh + error_kw * span_s / SECONDS_PER_HOUR
    deficit_kwh = deficit_kwh if np.isnan(outage_s) else min(deficit_kwh, 0.0)
    left_s = begin_s + STEP_S - now_s
    bound_kw = law.correction_ratio * target_kw
    fresh = memory.at_s >= begin_s and left_s <= law.correction_hold_s
    repay_kw = memory.correction_kw if fresh else deficit_kwh * SECONDS_PER_HOUR / left_s
    # Against what was asked, not against the target: repaying a debt is no error.
    repaying_kw = memory.correction_kw if memory.at_s >= begin_s else 0.0
    missed_kw = _owed(delivered.missing_kw(target_kw + repaying_kw), excused_kw)
    slow_kw = memory.integral_kw + (missed_kw * span_s / law.integral_s if holding else 0.0)
    low = holding and delivered.believed_kw < law.low_ratio * target_kw
    return replace(
        memory,
        at_s=now_s,
        deficit_kwh=deficit_kwh,
        correction_kw=float(np.clip(repay_kw, -bound_kw, bound_kw)),
        integral_kw=float(np.clip(slow_kw, -law.integral_ratio * target_kw, law.integral_ratio * target_kw)),
        low_cycles=memory.low_cycles + 1 if low else 0,
        outage_s=outage_s,
    )


def _outage_s(
    memory: Tracking, now_s: float, target_kw: float, delivered: Delivered, *, law: TrackingLaw, most_s: float
) -> float:
    """Return when a large part was last out of reach, NaN once delivery is back, or has had the time to be."""
    unheard_kw = abs(delivered.held_kw - delivered.believed_kw)
    if unheard_kw > law.outage_ratio * target_kw or now_s - memory.at_s > law.account_gap_s:
        return now_s
    back = delivered.believed_kw >= (1.0 - law.outage_ratio) * target_kw
    late = now_s - memory.outage_s > most_s
    return float("nan") if back or late else memory.outage_s


def _owed(missing_kw: float, lacking_kw: float) -> float:
    """Return the missing power for which power was available."""
    return missing_kw - min(max(missing_kw, 0.0), lacking_kw)


def wanted_kw(memory: Tracking, target_kw: float) -> float:
    """Return the delivery to aim at now."""
    return max(0.0, target_kw + memory.correction_kw + memory.integral_kw)
