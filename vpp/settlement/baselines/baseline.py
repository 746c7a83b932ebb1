"""Baseline of a request's portfolio, row by row, from meters and plans that were fixed before control.

Same-type days are adjusted only by the hours before notice, so that using more after notice gains nothing. Storage and
V2G never get an average of days: they would be paid for the cycling they do anyhow (domain.md 2.4, 6.4).
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt

from vpp.domain.errors import InputError
from vpp.domain.performance import Baseline, own_metered
from vpp.domain.request import BaselineMethod, RequestDraft, stated
from vpp.domain.resource import LOADS, STORING, ResourceClass
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.domain.units import STEP_S, WATT
from vpp.fleet.calendar import DayCalendar, local_day
from vpp.fleet.holidays import CHINA
from vpp.fleet.index import CLASSES, FleetIndex
from vpp.ports import IntervalMeter
from vpp.settlement.baselines.called_hours import NOT_CALLED, CalledHours, meter_before_kw, window_before
from vpp.settlement.baselines.frozen_estimates import FrozenEstimates
from vpp.settlement.baselines.method_choice import BEFORE, OFFERED, SAME, SCHEDULED, SHIPPED, MethodChoice
from vpp.settlement.baselines.offers import NO_METHOD, days_of, excluded_by, first_complete, instead, notes_of
from vpp.settlement.baselines.reference_days import (
    Adjustment,
    BaselineRules,
    DaySearch,
    Reference,
    adjusted,
    adjustment_ratio,
)


def compute_baseline(
    draft: RequestDraft,
    *,
    index: FleetIndex,
    portfolio: BoolArray,
    meter: IntervalMeter,
    schedule: Schedule | None,
    notice_s: float,
    start_s: float,
    end_s: float,
    event_days: Collection[date] = (),
    called: CalledHours = NOT_CALLED,
    calendar: DayCalendar = CHINA,
    rules: BaselineRules | None = None,
    choice: MethodChoice = SHIPPED,
    known_s: float = float("inf"),
) -> Baseline:
    """Return the baseline of a request's portfolio.

    Args:
        draft: What was asked; its method and notice class choose.
        index: The fleet.
        portfolio: Rows that take part, shape ``(n_resources,)``.
        meter: Read for past days, the window before notice and the steps before control.
        schedule: The plan that was in force at notice; ``None`` if there was none.
        notice_s: Epoch seconds of notice to the portfolio; nothing metered later adjusts same-type days.
        start_s: Epoch seconds of the first control action: the ramp's begin, or the preconditioning's.
        end_s: Epoch seconds of the end of the rebound watch.
        event_days: Shanghai dates on which the portfolio was called; they are no reference.
        called: Hours in which it was called; they neither adjust nor are held.
        calendar: Workdays, weekends and holidays.
        rules: The programme's settings; the recommended ones if not given.
        choice: The programme's methods by class; those of the shipped programme if not given.
        known_s: Epoch seconds until which meters count before control: acceptance, where control begins later.

    Returns:
        A baseline over the 15-minute steps from ``start_s`` to ``end_s``. Rows that no method could serve are 0 and
        named in ``excluded_ids``; every change of method is in ``notes``.

    Raises:
        InputError: The portfolio is not one flag a row, or the times are out of order.
    """
    _check(index, portfolio, notice_s, start_s, end_s)
    work = _Computation(
        draft=draft,
        index=index,
        rows=np.flatnonzero(portfolio),
        meter=meter,
        schedule=schedule,
        times=_Times(
            event=TimeGrid.covering(instant(start_s), instant(end_s)),
            notice_s=notice_s,
            start_s=start_s,
            known_s=known_s,
        ),
        event_days=event_days,
        called=called,
        calendar=calendar,
        rules=rules or BaselineRules(),
        choice=choice,
    )
    return work.run()


def scheduled_kw(schedule: Schedule | None, grid: TimeGrid, count: int) -> FloatArray:
    """Return the planned power of ``count`` rows on ``grid``, NaN where there is no plan."""
    power_kw = np.full((count, grid.count), np.nan)
    if schedule is None:
        return power_kw
    planned = min(count, len(schedule.power_kw))
    for step, at_s in enumerate(grid.starts_s().tolist()):
        if 0 <= schedule.grid.index_at(at_s) < schedule.grid.count:
            power_kw[:planned, step] = schedule.at(at_s)[:planned]
    return power_kw


@dataclass(frozen=True, slots=True, kw_only=True)
class _Times:
    """Times of a baseline.

    Attributes:
        event: Steps from the first control action to the end of the rebound watch.
        notice_s: Epoch seconds of notice to the portfolio; nothing metered later adjusts same-type days.
        start_s: Epoch seconds of the first control action.
        known_s: Epoch seconds until which meters count before control.
    """

    event: TimeGrid
    notice_s: float
    start_s: float
    known_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Computation:
    """One baseline in the making; ``rows`` are the fleet rows of the portfolio."""

    draft: RequestDraft
    index: FleetIndex
    rows: IdArray
    meter: IntervalMeter
    schedule: Schedule | None
    times: _Times
    event_days: Collection[date]
    called: CalledHours
    calendar: DayCalendar
    rules: BaselineRules
    choice: MethodChoice

    def run(self) -> Baseline:
        wanted = self.choice.wanted(self.draft, self.index)[self.rows]
        reference = self._reference(wanted)
        window_kw = self._window_kw()
        ratios = self._ratios(reference, window_kw, wanted)
        before_kw = np.repeat(self._before_kw()[:, None], self.times.event.count, axis=1)
        plan_kw = scheduled_kw(self.schedule, self.times.event, len(self.index))[self.rows]
        others, estimates = self._others().of(wanted)
        offers = {SAME: self._same_day_kw(reference, ratios), BEFORE: before_kw, SCHEDULED: plan_kw} | others
        power_kw, used = first_complete(offers, wanted)
        # A session's own baseline is known once it is there; until then a charger without history counts as 0.
        used[self._of(ResourceClass.EV) & (used == NO_METHOD)] = SAME
        return Baseline(
            grid=self.times.event,
            power_kw=self._on_all_rows(np.round(power_kw, WATT)),
            methods=self._methods(used),
            reference_days=days_of(reference, estimates),
            excluded_days=excluded_by(reference, estimates),
            adjustment_ratio=ratios | {name: 1.0 + found.adjustment for name, found in estimates.items()},
            input_sha256=self._fingerprint(reference, window_kw, before_kw, plan_kw, *others.values()),
            notes=self._notes(wanted, used, ratios, reference) + notes_of(estimates),
            excluded_ids=tuple(self.index.resources[row].id for row in self.rows[used == NO_METHOD].tolist()),
        )

    def _of(self, *classes: ResourceClass) -> BoolArray:
        """Return which rows are of ``classes`` and measured by their own meters."""
        own = [cls for cls in classes if cls in self.choice.own_meters(self.draft)]
        return np.asarray(self.index.is_class(*own)[self.rows])

    @property
    def _code(self) -> CodeArray:
        return self.index.class_code[self.rows]

    def _reference(self, wanted: CodeArray) -> Reference:
        """Return the reference days of the rows that want them; the other rows' means are NaN."""
        chosen = np.flatnonzero(wanted == SAME)
        spread = self._no_reference(self._window.count)
        if len(chosen) == 0:
            return spread
        found = self._days(chosen, self.rules)
        if len(found.days) < self.rules.min_days:
            # The level of a load that follows its own meter is its own: of days only the shape counts, so one will do.
            chosen = chosen[self._of(*LOADS)[chosen]]
            found = self._days(chosen, replace(self.rules, min_days=1)) if len(chosen) else found
        if len(chosen):
            spread.event_kw[chosen], spread.window_kw[chosen] = found.event_kw, found.window_kw
        return replace(found, event_kw=spread.event_kw, window_kw=spread.window_kw)

    def _days(self, chosen: IdArray, rules: BaselineRules) -> Reference:
        """Return the reference days of some rows."""
        return DaySearch(
            meter=self.meter,
            rows=self.rows[chosen],
            class_code=self._code[chosen],
            event=self.times.event,
            window=self._window,
            notice_s=self.times.notice_s,
            event_days=self.event_days,
            called=self.called,
            calendar=self.calendar,
            rules=rules,
        ).find()

    def _others(self) -> FrozenEstimates:
        return FrozenEstimates(
            meter=self.meter,
            rows=self.rows,
            class_code=self._code,
            event=self.times.event,
            notice_s=self.times.notice_s,
            event_days=self.event_days,
            called=self.called,
            calendar=self.calendar,
            lookback_days=self.rules.lookback_days,
        )

    def _no_reference(self, window_steps: int) -> Reference:
        return Reference(
            days=(),
            excluded=(),
            event_kw=np.full((len(self.rows), self.times.event.count), np.nan),
            window_kw=np.full((len(self.rows), window_steps), np.nan),
            inputs=(),
        )

    @property
    def _window(self) -> TimeGrid:
        return window_before(self.times.notice_s, self.rules.window_s, self.called)

    @property
    def _adjusts(self) -> bool:
        """Whether at least half a window before notice was not called."""
        wanted = int(self.rules.window_s // STEP_S)
        return 2 * int(self.called.free(self._window).sum()) >= wanted

    def _window_kw(self) -> FloatArray:
        """Return what was metered in the window before notice, NaN where another request was called."""
        power_kw = self.meter.read(self._window)[self.rows]
        return np.where(self.called.free(self._window), power_kw, np.nan)

    def _before_kw(self) -> FloatArray:
        until_s = min(self.times.start_s, self.times.known_s)
        return meter_before_kw(self.meter, until_s, self.rules.before_steps, self.called)[self.rows]

    def _ratios(self, reference: Reference, window_kw: FloatArray, wanted: CodeArray) -> dict[str, float]:
        """Return today's level by class of those averaged over days; 1 where it is unknown."""
        if self.rules.adjustment is Adjustment.NONE:
            return {}
        ratios: dict[str, float] = {}
        for code in np.unique(self._code[wanted == SAME]).tolist():
            rows = (self._code == code) & (wanted == SAME) & np.isfinite(reference.event_kw).all(axis=1)
            if rows.any():
                ratio = adjustment_ratio(window_kw[rows], reference.window_kw[rows], self.rules.clip)
                ratios[CLASSES[code].value] = ratio if np.isfinite(ratio) and self._adjusts else 1.0
        return ratios

    def _same_day_kw(self, reference: Reference, ratios: dict[str, float]) -> FloatArray:
        power_kw = reference.event_kw.copy()
        for name, ratio in ratios.items():
            rows = self._code == [cls.value for cls in CLASSES].index(name)
            power_kw[rows] = adjusted(reference.event_kw[rows], reference.window_kw[rows], ratio, self.rules.adjustment)
        return power_kw

    def _on_all_rows(self, power_kw: FloatArray) -> FloatArray:
        whole = np.zeros((len(self.index), self.times.event.count))
        whole[self.rows] = power_kw
        return whole

    def _methods(self, used: CodeArray) -> dict[str, BaselineMethod]:
        """Return the method most rows of each class got."""
        methods: dict[str, BaselineMethod] = {}
        for code in np.unique(self._code).tolist():
            counts = np.bincount(used[(self._code == code) & (used != NO_METHOD)], minlength=len(OFFERED))
            if counts.any():
                methods[CLASSES[code].value] = OFFERED[int(np.argmax(counts))]
        own = {cls.value: method for cls, method in self.choice.own_meters(self.draft).items()}
        # A store without a schedule has none that its energy could carry.
        own = {
            name: one
            for name, one in own.items()
            if one is not BaselineMethod.STORED_SCHEDULE or methods.get(name) is BaselineMethod.SCHEDULE
        }
        return {name: own.get(name, method) for name, method in methods.items()}

    def _notes(
        self, wanted: CodeArray, used: CodeArray, ratios: dict[str, float], reference: Reference
    ) -> tuple[tuple[str, str], ...]:
        notes: list[tuple[str, str]] = []
        for code in np.unique(self._code).tolist():
            rows = self._code == code
            name = CLASSES[code].value
            for asked, got in sorted({(int(a), int(b)) for a, b in zip(wanted[rows], used[rows], strict=True)}):
                if asked != got:
                    count = int((rows & (wanted == asked) & (used == got)).sum())
                    why = self._why(asked, len(reference.days))
                    notes.append((name, f"{count} of {int(rows.sum())} rows: {why}; {instead(got)}"))
            if ratios.get(name) in self.rules.clip:
                notes.append((name, f"adjustment clipped to {ratios[name]:g}"))
        if not self.called.free(window_before(self.times.notice_s, self.rules.window_s)).all():
            notes.append(("window", _moved(adjusts=self._adjusts)))
        first, last = local_day(self.times.event.start_s), local_day(self.times.event.end_s)
        notes += [
            ("calendar", f"the holidays of {year} are not announced: statutory days alone are known")
            for year in self.calendar.unannounced(first, last)
        ]
        if self._of(ResourceClass.EV).any():
            notes.append(
                ("ev", "what is frozen is the expectation; each session's own meter replaces it as it happens")
            )
        if self._of(*LOADS).any():
            notes.append(
                ("hvac, industry", "what is frozen is the shape; the level is each load's own before its order")
            )
        if (
            self.draft.baseline_method is BaselineMethod.SAME_TYPE_DAYS
            and self.index.is_class(*STORING)[self.rows].any()
        ):
            notes.append(("storage, v2g", "schedule instead of same-type days: an average pays for arbitrage twice"))
        return tuple(notes)

    def _why(self, asked: int, days: int) -> str:
        if asked == SCHEDULED:
            return "no schedule covers every step"
        if asked == BEFORE:
            return f"not metered in the {self.rules.before_steps} steps before control"
        if asked != SAME:
            return f"no {OFFERED[asked]} baseline"
        if days < self.rules.min_days:
            return f"{days} reference days of at least {self.rules.min_days}"
        return "not metered on the reference days"

    def _fingerprint(self, reference: Reference, *arrays: FloatArray) -> str:
        facts = {
            "draft": {name: str(value) for name, value in stated(self.draft).items()},
            "resources": [self.index.resources[row].id for row in self.rows.tolist()],
            "notice_s": self.times.notice_s,
            "start_s": self.times.start_s,
            "event": [self.times.event.start_s, self.times.event.step_s, self.times.event.count],
            "event_days": sorted(day.isoformat() for day in self.event_days),
            "calendar": self.calendar.facts(),
            "rules": asdict(self.rules),
            "days": [day.isoformat() for day in reference.days],
            "excluded": reference.excluded,
        } | ({"called": self.called.spans} if self.called.spans else {})
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for array in (*reference.inputs, *arrays):
            digest.update(_canonical(array))
        return digest.hexdigest()


def with_own_meters(baseline: Baseline, own_kw: FloatArray, index: FleetIndex) -> Baseline:
    """Return the baseline with what rows would have taken by their own meters in place of what was expected of them.

    Args:
        baseline: As frozen.
        own_kw: Interval means of the rows' counterfactual, NaN in rows and steps where there is none, shape
            ``(n_resources, count)``.
        index: The fleet; it may have grown since.
    """
    own = index.is_class(*own_metered(baseline))[: len(own_kw)]
    known = own[:, None] & ~np.isnan(own_kw)
    return replace(baseline, power_kw=np.where(known, own_kw, baseline.power_kw)) if own.any() else baseline


def _moved(*, adjusts: bool) -> str:
    how = "uncalled hours before them adjust instead" if adjusts else "nothing adjusts"
    return f"hours of another call lie in the window before notice: {how}"


def _canonical(array: npt.NDArray[np.float64]) -> bytes:
    """Return bytes that are equal for equal arrays on every machine; NaN has one spelling."""
    clean = np.where(np.isnan(array), np.nan, array)
    return json.dumps(array.shape).encode() + np.ascontiguousarray(clean, dtype="<f8").tobytes()


def _check(index: FleetIndex, portfolio: BoolArray, notice_s: float, start_s: float, end_s: float) -> None:
    if portfolio.shape != (len(index),):
        raise InputError("portfolio", portfolio.shape, f"one flag a row, shape ({len(index)},)")
    if not notice_s <= start_s < end_s:
        raise InputError("notice_s, start_s, end_s", (notice_s, start_s, end_s), "times in that order")
