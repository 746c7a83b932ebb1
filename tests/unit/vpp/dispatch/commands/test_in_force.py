"""What is in force, as the service believes it."""

import numpy as np
import pytest

from tests.unit.vpp.dispatch.commands.test_outbox import RULES, Bench
from vpp.domain.setpoint import OutcomeStatus, Reason


def test_an_accepted_value_is_in_force_until_its_lease_ends() -> None:
    bench = Bench()
    bench.answer(bench.flush([2.0, np.nan, np.nan]))
    in_force, lease_s = bench.box.in_force, RULES.leases.lease_s
    np.testing.assert_array_equal(in_force.dispatch_kw, [2.0, np.nan, np.nan])
    assert in_force.lease_s[0] == bench.now_s + lease_s
    assert in_force.leased(bench.now_s).tolist() == [True, False, False]
    assert not in_force.leased(bench.now_s + lease_s).any()


def test_a_value_without_an_answer_may_be_in_force_though_none_is_believed() -> None:
    bench = Bench()
    batch = bench.flush([2.0, np.nan, np.nan])
    assert np.isnan(bench.box.in_force.dispatch_kw).all()
    assert bench.box.in_force.limited(bench.now_s).tolist() == [True, False, False]
    bench.answer(batch, OutcomeStatus.REJECTED, Reason.REFUSED)
    assert not bench.box.in_force.limited(bench.now_s).any()


def test_an_accepted_default_stays_in_force() -> None:
    bench = Bench()
    bench.answer(bench.flush(default=[np.nan, 4.0, np.nan]))
    np.testing.assert_array_equal(bench.box.in_force.default_kw, [np.nan, 4.0, np.nan])


def test_it_can_only_be_asked() -> None:
    bench = Bench()
    with pytest.raises(ValueError, match="read-only"):
        bench.box.in_force.dispatch_kw[0] = 1.0
