"""The normal law of a deliverable power is that of a world which follows its assumptions, and no narrower one."""

import numpy as np
import pytest

from tests.unit.vpp.planning.city_parts import basis, now
from vpp.domain.request import Direction
from vpp.domain.telemetry import FloatArray
from vpp.fleet.index import ADAPTERS
from vpp.planning.flexibility.deliverable import Deliverable, deliverable
from vpp.planning.flexibility.error_law import NORMAL, Z10, ErrorLaw
from vpp.planning.flexibility.flexibility_envelope import flexibility_envelope
from vpp.planning.flexibility.flexibility_inputs import Window
from vpp.planning.flexibility.transformer_headroom import limited_by_feeders

WINDOW = Window(first=8, last=12)
DRAWS = 20_000


def found(direction: Direction, law: ErrorLaw = NORMAL) -> Deliverable:
    return deliverable(
        basis(),
        direction=direction,
        window=WINDOW,
        chosen=np.ones(len(basis().groups), dtype=np.bool_),
        committed_kw=np.zeros(basis().inputs.grid.count),
        now_s=now().at_s,
        law=law,
    )


def drawn_kw(direction: Direction) -> FloatArray:
    """Return what the fleet delivers in the first interval in many worlds: rows that obey or not, links that fail."""
    random, groups, policy = np.random.default_rng(4), basis().groups, basis().inputs.policy
    first, length = np.array([WINDOW.first]), np.array([len(WINDOW)])
    sums = flexibility_envelope(basis(), direction, first, length).sums
    share = limited_by_feeders(basis(), direction, first, sums.potential_kw).share[groups.node, 0, 0]
    mean, spread = sums.mean_kw[:, 0, 0] * share, np.sqrt(sums.variance[:, 0, 0]) * share
    delivered = mean + spread * random.standard_normal((DRAWS, len(groups)))
    for code, count, outage in (
        (groups.operator, len(now().index.operators), policy.operator_outage),
        (groups.adapter, len(ADAPTERS), policy.adapter_outage),
    ):
        delivered *= (random.random((DRAWS, count)) >= outage)[:, code]
    common = 1.0 + policy.common_error_ratio * random.standard_normal(DRAWS)
    return np.asarray(delivered.sum(axis=1) * common)


@pytest.mark.parametrize("direction", list(Direction))
def test_the_normal_law_is_kept_in_a_world_that_follows_it(direction: Direction) -> None:
    world, law = drawn_kw(direction), found(direction)
    p10, p50, p90 = ((world >= values[0]).mean() for values in (law.p10_kw, law.p50_kw, law.p90_kw))
    assert 0.88 <= p10 <= 0.975, "loss of whole operators is rarer and larger than any normal law's"
    assert 0.44 <= p50 <= 0.54
    assert 0.06 <= p90 <= 0.12


@pytest.mark.parametrize("direction", list(Direction))
def test_a_spread_cut_to_a_tenth_is_found_out(direction: Direction) -> None:
    world, law = drawn_kw(direction), found(direction, ErrorLaw(z10=-Z10 / 10.0, z90=Z10 / 10.0))
    assert (world >= law.p10_kw[0]).mean() < 0.7
    assert (world >= law.p90_kw[0]).mean() > 0.3


def test_the_normal_law_changes_no_bit_and_another_one_names_what_it_takes() -> None:
    plain, given = found(Direction.UP), found(Direction.UP, ErrorLaw())
    for name in ("p10_kw", "p50_kw", "p90_kw", "sigma_kw"):
        assert np.array_equal(getattr(plain, name), getattr(given, name))
    lower = found(Direction.UP, ErrorLaw(z10=-6.0, z50=-2.0, z90=0.5))
    taken = lower.lost_kw["error of quotes measured so far"]
    assert plain.p50_kw - lower.p50_kw == pytest.approx(taken)
    assert taken == pytest.approx(2.0 * plain.sigma_kw)
    assert lower.sigma_kw == pytest.approx(4.0 * plain.sigma_kw / Z10)
    assert not plain.lost_kw["error of quotes measured so far"].any()
