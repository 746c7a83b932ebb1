"""What is in force, as the service believes it."""

import numpy as np
import pytest

from tests.unit.vpp.dispatch.commands.test_outbox import RULES, Desk
from vpp.domain.setpoint import OutcomeStatus, Reason


def test_an_accepted_value_is_in_force_until_its_lease_ends() -> None:
    desk = Desk()
    desk.answer(desk.flush([2.0, np.nan, np.nan]))
    in_force, lease_s = desk.box.in_force, RULES.leases.lease_s
    np.testing.assert_array_equal(in_force.dispatch_kw, [2.0, np.nan, np.nan])
    assert in_force.lease_s[0] == desk.now_s + lease_s
    assert in_force.leased(desk.now_s).tolist() == [True, False, False]
    assert not in_force.leased(desk.now_s + lease_s).any()


def test_a_value_without_an_answer_may_be_in_force_though_none_is_believed() -> None:
    desk = Desk()
    batch = desk.flush([2.0, np.nan, np.nan])
    assert np.isnan(desk.box.in_force.dispatch_kw).all()
    assert desk.box.in_force.limited(desk.now_s).tolist() == [True, False, False]
    desk.answer(batch, OutcomeStatus.REJECTED, Reason.REFUSED)
    assert not desk.box.in_force.limited(desk.now_s).any()


def test_an_accepted_default_stays_in_force() -> None:
    desk = Desk()
    desk.answer(desk.flush(default=[np.nan, 4.0, np.nan]))
    np.testing.assert_array_equal(desk.box.in_force.default_kw, [np.nan, 4.0, np.nan])


def test_it_can_only_be_asked() -> None:
    desk = Desk()
    with pytest.raises(ValueError, match="read-only"):
        desk.box.in_force.dispatch_kw[0] = 1.0
