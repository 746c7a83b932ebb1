"""Nameplate columns of a growing fleet, found by row and by station."""

import numpy as np
import pytest

from adapters.ocpp.profiles.nameplates import Nameplates
from tests.conformance.ocpp_bench import fleet, resource
from vpp.domain.errors import InputError, UnknownIdError


def test_columns_know_every_row_and_station_before_and_after_growing() -> None:
    index = fleet()
    plates = Nameplates()
    assert list(plates.grow(index)) == [0, 1, 2]
    grown = fleet(resource(3, "CP1/2"), *(resource(n, f"G{n}/1", p_max_kw=float(n)) for n in range(4, 6000)))
    plates.grow(grown)
    assert plates.rows_of("CP1") == {1: 0, 2: 3}
    assert plates.rows_of("G5999") == {1: 5999}
    assert plates.rows_of("NOBODY") == {}
    assert (plates.connector(3), plates.nameplate(5000).p_max_kw) == (2, 5000.0)
    assert plates.connectors(np.array([3, 6000, 0, -1], dtype=np.int32)).tolist() == [2, 0, 1, 0]
    assert plates.default_kw(0) == 9.0
    plates.remember_default(0, 5.0)
    assert plates.default_kw(0) == 5.0
    with pytest.raises(UnknownIdError):
        plates.connector(6000)
    with pytest.raises(InputError):
        plates.grow(fleet(*grown.resources[3:], resource(6000, "NOWHERE")))


def test_a_few_new_rows_are_found_without_sorting_anew() -> None:
    plates, index = Nameplates(), fleet()
    plates.grow(index)
    plates.grow(fleet(resource(3, "CP1/2")))
    assert plates.rows_of("CP1") == {1: 0, 2: 3}


def test_events_give_a_station_the_way_until_they_end() -> None:
    plates = Nameplates()
    plates.grow(fleet())
    plates.mark_events(np.array([0, 99], dtype=np.int32), np.array([50.0, 50.0]))
    assert plates.in_event("CP1", 49.0)
    assert not plates.in_event("CP1", 50.0)
    assert not plates.in_event("CP2", 49.0)
