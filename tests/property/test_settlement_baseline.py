"""Invariants of every baseline."""

from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fleets import at_one_site
from vpp.domain.performance import Baseline
from vpp.domain.request import Direction, NoticeClass, Product, RequestDraft
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.calendar import day_grid
from vpp.settlement.baselines.baseline import compute_baseline
from vpp.settlement.baselines.reference_days import Adjustment, adjusted, adjustment_ratio

ROWS = 3
DAY = date(2026, 7, 15)
MIDNIGHT_S = day_grid(DAY).start_s
HISTORY = TimeGrid(start_at=datetime(2026, 6, 30, 16, 0, tzinfo=UTC), count=96 * 15)


class Recorder:
    """Meters of July 2026 from the 1st to the 15th, one array."""

    def __init__(self, power_kw: FloatArray) -> None:
        self.power_kw = power_kw

    def read(self, grid: TimeGrid) -> FloatArray:
        """Return what was recorded, NaN elsewhere."""
        found = np.full((ROWS, grid.count), np.nan)
        for step, at_s in enumerate(grid.starts_s().tolist()):
            column = HISTORY.index_at(at_s)
            if 0 <= column < HISTORY.count:
                found[:, step] = self.power_kw[:, column]
        return found


INDEX = at_one_site(
    tuple(
        Resource(
            id=f"r{row}",
            site_id="s",
            resource_class=cls,
            adapter=Adapter.MQTT,
            address=f"s/{row}",
            p_min_kw=0.0,
            p_max_kw=500.0,
        )
        for row, cls in enumerate((ResourceClass.HVAC, ResourceClass.HVAC, ResourceClass.EV))
    ),
    limit_kw=1e6,
    export_limit_kw=1e6,
)
IDS = np.array([resource.id for resource in INDEX.resources])


def history(seed: int, gap_ratio: float = 0.0) -> FloatArray:
    rng = np.random.default_rng(seed)
    power_kw = 100.0 + 10.0 * rng.standard_normal((ROWS, HISTORY.count))
    return np.where(rng.random(power_kw.shape) < gap_ratio, np.nan, power_kw)


def baseline_of(power_kw: FloatArray, notice_step: int, start_step: int) -> Baseline:
    return compute_baseline(
        RequestDraft(
            product=Product.PEAK_SHAVING,
            direction=Direction.UP,
            target_kw=100.0,
            area="city",
            start_at=datetime(2026, 7, 15, 10, 0, tzinfo=UTC),
            end_at=datetime(2026, 7, 15, 11, 0, tzinfo=UTC),
            notice_class=NoticeClass.INTRADAY,
        ),
        index=INDEX,
        portfolio=np.ones(ROWS, dtype=np.bool_),
        meter=Recorder(power_kw),
        schedule=None,
        notice_s=MIDNIGHT_S + notice_step * 900.0,
        start_s=MIDNIGHT_S + start_step * 900.0,
        end_s=MIDNIGHT_S + (start_step + 6) * 900.0,
    )


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    notice_step=st.integers(10, 60),
    lead=st.integers(0, 20),
    raised_kw=st.floats(-90.0, 5000.0),
)
def test_using_more_after_notice_changes_nothing(seed: int, notice_step: int, lead: int, raised_kw: float) -> None:
    honest = history(seed)
    gamed = honest.copy()
    gamed[:, HISTORY.index_at(MIDNIGHT_S) + notice_step :] += raised_kw
    first, second = (baseline_of(power_kw, notice_step, notice_step + lead) for power_kw in (honest, gamed))
    assert np.array_equal(first.power_kw, second.power_kw)
    assert first.adjustment_ratio == second.adjustment_ratio


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), gap_ratio=st.floats(0.0, 0.6))
def test_a_baseline_is_never_nan_and_never_silently_zero(seed: int, gap_ratio: float) -> None:
    result = baseline_of(history(seed, gap_ratio), 40, 50)
    assert np.isfinite(result.power_kw).all()
    silent, excluded = (result.power_kw == 0.0).any(axis=1), np.isin(IDS, result.excluded_ids)
    assert (silent | ~excluded).all()
    # A charger may be expected to take nothing: its session's own meter replaces the expectation as it happens.
    assert (excluded | ~silent | INDEX.is_class(ResourceClass.EV)).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100.0))
def test_the_baseline_scales_with_the_meters(seed: int, scale: float) -> None:
    one, many = baseline_of(history(seed), 40, 50), baseline_of(scale * history(seed), 40, 50)
    assert many.power_kw == pytest.approx(scale * one.power_kw, abs=0.0005 * (1.0 + scale))
    assert many.reference_days == one.reference_days
    assert np.array_equal(many.power_kw, np.round(many.power_kw, 3)), "frozen to the watt"


@given(
    actual=st.lists(st.floats(0.0, 1e6), min_size=8, max_size=8),
    reference=st.lists(st.floats(0.0, 1e6), min_size=8, max_size=8),
)
def test_the_adjustment_stays_within_its_clip_or_is_unknown(actual: list[float], reference: list[float]) -> None:
    ratio = adjustment_ratio(np.array([actual]), np.array([reference]), (0.8, 1.2))
    assert np.isnan(ratio) == (sum(reference) < 1e-6)
    assert np.isnan(ratio) or 0.8 <= ratio <= 1.2


@given(ratio=st.floats(0.8, 1.2), seed=st.integers(0, 1000))
def test_both_adjustments_agree_on_a_flat_profile(ratio: float, seed: int) -> None:
    level = np.random.default_rng(seed).uniform(1.0, 100.0, (4, 1))
    event, window = np.repeat(level, 6, axis=1), np.repeat(level, 8, axis=1)
    times = adjusted(event, window, ratio, Adjustment.MULTIPLICATIVE)
    assert adjusted(event, window, ratio, Adjustment.ADDITIVE) == pytest.approx(times)
