"""Meters at the connection points: the true change of a request's rows against the world without its signal."""

import numpy as np
import pytest

from tests.unit.vpp.lab.twin.test_truth import NOON_S, order_batteries, twin
from vpp.domain.resource import ResourceClass
from vpp.lab.twin.connection_points import ConnectionPoints


def test_the_true_change_of_the_rows_is_read_whatever_their_own_meters_say() -> None:
    model = twin()
    model.meters.misread(np.full(len(model.index), 1.5))
    points, batteries = ConnectionPoints(model), model.index.is_class(ResourceClass.STORAGE)
    points.read("r", batteries, at_s=model.now_s, asked_kw=0.0)
    order_batteries(model, -20.0, NOON_S + 900.0)
    model.advance(NOON_S + 60.0)
    points.read("r", batteries, at_s=model.now_s, asked_kw=100.0)
    trace = points.trace("r", 500.0)

    assert trace is not None
    assert trace.time_s.tolist() == [NOON_S, NOON_S + 60.0]
    assert trace.signal_kw.tolist() == [0.0, 100.0]
    assert trace.response_kw == pytest.approx([0.0, 20.0 * batteries.sum()], abs=0.5)


def test_rows_that_do_not_count_are_not_read_and_one_reading_is_no_trace() -> None:
    model = twin()
    points, nobody = ConnectionPoints(model), np.zeros(len(model.index), dtype=np.bool_)
    order_batteries(model, -20.0, NOON_S + 900.0)
    model.advance(NOON_S + 60.0)
    points.read("r", nobody, at_s=model.now_s, asked_kw=100.0)
    assert points.trace("r", 500.0) is None
    model.advance(NOON_S + 64.0)
    points.read("r", nobody, at_s=model.now_s, asked_kw=100.0)
    trace = points.trace("r", 500.0)
    assert trace is not None
    assert trace.response_kw.tolist() == [0.0, 0.0]
