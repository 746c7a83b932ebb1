"""Urgency keys: who is owed more comes earlier, who cannot wait is not asked."""

import numpy as np

from optimizer.tracking.urgency import Wants, Weights, keys


def _keys(**changes: float) -> int:
    """The key of one 10 kW row of which 1.25 kWh are due in a quarter of an hour, with some things changed."""
    wanted = {"low": 0.0, "high": 10.0, "due": 1.25, "slack": np.inf, "told": np.nan, "burden": 0.0, **changes}
    key = np.zeros(1, dtype=np.uint8)
    keys(np.zeros(1, dtype=np.int64), Wants(*(np.array([v]) for v in wanted.values())), Weights(), 900.0, key)
    return int(key[0])


def test_who_is_owed_more_comes_earlier() -> None:
    assert _keys(due=2.5) < _keys() < _keys(due=0.0)


def test_who_takes_power_already_and_who_was_shed_lately_come_earlier() -> None:
    assert _keys(told=10.0) < _keys(told=0.0)
    assert _keys(burden=1.0) < _keys()


def test_who_could_not_wait_has_key_nought_and_nobody_else_has() -> None:
    assert _keys(slack=60.0) == 0
    assert _keys(due=1e9) == 1
    assert _keys(due=-1e9) == 255


def test_who_has_no_range_or_no_part_comes_last() -> None:
    assert _keys(high=0.0) == 255
    assert _keys(low=np.nan) == 255
