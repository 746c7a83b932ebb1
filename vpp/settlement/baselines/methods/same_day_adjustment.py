"""Same-day adjustment: a baseline of other days moved to the level of the event's day."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from vpp.domain.telemetry import FloatArray, IdArray
from vpp.settlement.baselines.methods.evidence import Evidence
from vpp.settlement.baselines.reference_days import adjustment_ratio, mean_known

_NO_LOAD_KW = 1e-9


class Form(StrEnum):
    """How the hours before move the baseline."""

    RATIO = "ratio"
    """Times today's load over the baseline's (scalar adjustment)."""
    SHIFT = "shift"
    """Plus the difference of the two, the same at every step; also where load crosses zero."""


class Anchor(StrEnum):
    """What the hours are counted back from."""

    START = "start"
    """The event's begin: follows the load best, and can be raised after notice."""
    NOTICE = "notice"
    """The notice: using more after it gains nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SameDayAdjustment:
    """Rule of a same-day adjustment.

    Attributes:
        form: Ratio or shift.
        anchor: Begin of the event or notice.
        begin_h: Hours before the anchor at which the window begins.
        end_h: Hours before it at which the window ends.
        clip: Bounds of the ratio; of a shift, relative to the baseline's mean magnitude, less 1.
    """

    form: Form = Form.RATIO
    anchor: Anchor = Anchor.START
    begin_h: float = 4.0
    end_h: float = 1.0
    clip: tuple[float, float] = (0.8, 1.2)

    def window(self, evidence: Evidence) -> IdArray:
        """Return the steps of the day that adjust."""
        if self.anchor is Anchor.START:
            return evidence.hours_before(self.begin_h, self.end_h)
        step = evidence.steps_per_hour
        steps = np.arange(evidence.notice - round(self.begin_h * step), evidence.notice - round(self.end_h * step))
        return steps[steps >= 0]

    def applied(self, evidence: Evidence, event_kw: FloatArray, window_kw: FloatArray) -> tuple[FloatArray, float]:
        """Return the adjusted baseline and the adjustment as a ratio of the unadjusted one.

        Args:
            evidence: Today's meters.
            event_kw: Baseline of other days on the event's steps, shape ``(n_rows, n_event)``.
            window_kw: The same on the window's steps, shape ``(n_rows, n_window)``.
        """
        actual_kw = evidence.today_kw[:, self.window(evidence)]
        if self.form is Form.RATIO:
            ratio = adjustment_ratio(actual_kw, window_kw, self.clip)
            ratio = ratio if np.isfinite(ratio) else 1.0
            return event_kw * ratio, ratio - 1.0
        shift_kw = mean_known((actual_kw - window_kw).T)
        shift_kw = np.where(np.isfinite(shift_kw), shift_kw, 0.0)
        size_kw = float(np.abs(mean_known(event_kw.T)[np.isfinite(event_kw).all(axis=1)]).sum())
        if size_kw < _NO_LOAD_KW:
            return event_kw + shift_kw[:, None], 0.0
        total = float(shift_kw.sum()) / size_kw
        kept = float(np.clip(total, self.clip[0] - 1.0, self.clip[1] - 1.0))
        scale = kept / total if total != 0.0 else 1.0
        return event_kw + scale * shift_kw[:, None], kept


UNBOUNDED = (-np.inf, np.inf)
