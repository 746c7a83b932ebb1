"""Series of a fleet: rows alone in a small one, cohorts in a large one."""

import numpy as np
import pytest

from tests.unit.vpp.planning.city_parts import made
from vpp.domain.resource import CHARGING, ResourceClass
from vpp.planning.forecast import load_series
from vpp.planning.forecast.load_series import LoadSeries


def test_every_row_of_a_small_fleet_is_a_series_of_its_own_but_storage_is_none() -> None:
    index = made().index
    found = LoadSeries.of(index)
    planned = index.is_class(ResourceClass.STORAGE)
    assert (found.of_row[planned] == -1).all()
    assert sorted(found.of_row[~planned].tolist()) == list(range(len(found)))
    assert not found.chargers.any()
    np.testing.assert_array_equal(found.weight, 1.0)
    np.testing.assert_array_equal(found.widening, 1.0)


def test_chargers_of_a_large_fleet_share_a_series_behind_their_transformer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_series, "ONE_BY_ONE_ROWS", 100)
    index = made().index
    found = LoadSeries.of(index)
    steady = index.is_class(ResourceClass.HVAC, ResourceClass.INDUSTRY)
    assert len(found.single) == steady.sum()
    charging = np.flatnonzero(index.is_class(*CHARGING))
    assert found.chargers[found.of_row[charging]].all()
    for series in np.unique(found.of_row[charging]).tolist():
        members = found.of_row == series
        assert len(np.unique(index.transformer_code[members])) == 1
        assert found.widening[series] <= np.sqrt(members.sum()) + 1e-9
    np.testing.assert_allclose(found.weight[charging], index.nameplate.p_max_kw[charging])
