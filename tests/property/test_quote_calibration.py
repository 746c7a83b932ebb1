"""Quotes by the learnt law are kept as often as they say, whatever law the errors follow, and a narrower law is not.

A world draws the relative error of quotes: heavy tails, errors that last for hours and for days, one factor that all
areas share, a bias, a drift. Quotes begin with the normal law, whose spread has nothing to do with the world's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vpp.domain.request import CITY, Direction
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from vpp.planning.calibration.calibration import Calibration, Judged
from vpp.planning.calibration.cells import cell_of
from vpp.planning.calibration.error_scores import scores
from vpp.planning.flexibility.error_law import Z10, ErrorLaw

DAYS, WARM_DAYS, A_DAY = 120, 40, 96
EXPECTED_KW, SIGMA_KW = 1_000.0, 20.0
LAW_KW = EXPECTED_KW + SIGMA_KW * np.array([-Z10, 0.0, Z10])
NOTICE_S = 4.0 * SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """How the errors of quotes come about.

    Attributes:
        seed: Of its random numbers.
        scale_kw: Size of the errors.
        freedom: Degrees of freedom of Student's law: few for heavy tails.
        hourly: Correlation of one quarter of an hour with the next.
        common: Share of the error that a whole day has in common.
        daily: Correlation of one day with the next.
        bias_kw: Mean error.
        drift: Step of a mean that wanders from day to day, as a share of the size.
    """

    seed: int
    scale_kw: float
    freedom: float
    hourly: float
    common: float
    daily: float
    bias_kw: float
    drift: float

    def days(self) -> Iterator[FloatArray]:
        """Yield the deliverable power of every quarter of an hour of one day after the other, kW."""
        random = np.random.default_rng(self.seed)
        own, day, mean_kw = 0.0, 0.0, self.bias_kw
        for _ in range(DAYS):
            day = self.daily * day + np.sqrt(1.0 - self.daily**2) * random.standard_normal()
            mean_kw += self.drift * self.scale_kw * random.standard_normal()
            errors = np.empty(A_DAY)
            for step, new in enumerate(random.standard_t(self.freedom, A_DAY)):
                own = self.hourly * own + np.sqrt(1.0 - self.hourly**2) * new
                errors[step] = own
            spread = self.common * day + np.sqrt(1.0 - self.common**2) * errors
            yield np.maximum(EXPECTED_KW + mean_kw + self.scale_kw * spread, 0.0)


def kept(world: World, *, spread: float = 1.0) -> FloatArray:
    """Return the shares of windows whose p10, p50 and p90 were deliverable; quotes have a share of the law's spread."""
    calibration, flags = Calibration(), []
    for day, deliverable_kw in enumerate(world.days()):
        start_s = day * SECONDS_PER_DAY + np.arange(A_DAY) * SECONDS_PER_DAY / A_DAY
        judged = []
        for block in np.split(np.arange(A_DAY), 4):
            law = calibration.law(
                CITY, Direction.UP, start_s=float(start_s[block[0]]), now_s=float(start_s[block[0]]) - NOTICE_S
            )
            quoted_kw = quoted(law, spread)
            found = (deliverable_kw[block, None] >= quoted_kw).astype(np.float64)
            flags.append((day, found))
            judged += [
                Judged(
                    cell=cell_of(CITY, Direction.UP, start_s=at_s, now_s=at_s - NOTICE_S),
                    at_s=at_s,
                    scores=scores(deliverable_kw[[step]], LAW_KW),
                    kept=one[None],
                    learnt=calibration.learns(0, 0),
                )
                for step, at_s, one in zip(block, start_s[block].tolist(), found, strict=True)
            ]
        calibration.take(judged)  # late: a day's windows are judged together at its end
    return np.concatenate([found for day, found in flags if day >= WARM_DAYS]).mean(axis=0)


def quoted(law: ErrorLaw, spread: float) -> FloatArray:
    """Return p10, p50 and p90 as they are quoted, kW."""
    z = np.array([law.z10, law.z50, law.z90])
    return np.asarray(EXPECTED_KW + SIGMA_KW * (law.z50 + spread * (z - law.z50)))


worlds = st.builds(
    World,
    seed=st.integers(0, 2**32 - 1),
    scale_kw=st.floats(1.0, 150.0),
    freedom=st.floats(2.0, 30.0),
    hourly=st.floats(0.0, 0.98),
    common=st.floats(0.0, 0.9),
    daily=st.floats(0.0, 0.7),
    bias_kw=st.floats(-200.0, 200.0),
    drift=st.floats(0.0, 0.15),
)
KIND = World(seed=1, scale_kw=40.0, freedom=30.0, hourly=0.5, common=0.3, daily=0.0, bias_kw=0.0, drift=0.0)


@settings(max_examples=10, deadline=None)
@given(worlds)
@example(KIND)
def test_the_learnt_law_is_kept_as_often_as_it_says(world: World) -> None:
    p10, p50, p90 = kept(world)
    assert 0.86 <= p10 <= 0.94
    assert 0.40 <= p50 <= 0.60
    assert 0.05 <= p90 <= 0.16


@pytest.mark.parametrize("seed", range(3))
def test_a_spread_cut_to_a_tenth_is_found_out(seed: int) -> None:
    p10, _, p90 = kept(replace(KIND, seed=seed), spread=0.1)
    assert p10 < 0.8
    assert p90 > 0.2
