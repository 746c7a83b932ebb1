"""Nameplate columns of a growing fleet, found by row and by station."""

from dataclasses import replace

import numpy as np
import pytest

from adapters.ocpp.profiles.nameplates import Nameplates, check_places, place_of
from tests.conformance.ocpp_bench import fleet, resource
from vpp.domain.errors import InputError, UnknownIdError


def test_columns_know_every_row_and_station_before_and_after_growing() -> None:
    index = fleet()
    plates = Nameplates()
    assert plates.assign(index).joined == [0, 1, 2]
    grown = fleet(resource(3, "CP1/2"), *(resource(n, f"G{n}/1", p_max_kw=float(n)) for n in range(4, 6000)))
    plates.assign(grown)
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
        plates.assign(fleet(*grown.resources[3:], resource(6000, "NOWHERE")))


@pytest.mark.parametrize("connector", ["", "0", "-1", "1.5", "1000", str(2**31), "9" * 5000])
def test_a_connector_without_profile_ids_of_its_own_is_refused_before_it_is_registered(connector: str) -> None:
    with pytest.raises(InputError, match="from 1 to 999"):
        check_places(fleet(resource(3, f"CP9/{connector}")))
    assert place_of(resource(3, "CP9/999")) == ("CP9", 999)


def test_a_few_new_rows_are_found_without_sorting_anew() -> None:
    plates, index = Nameplates(), fleet()
    plates.assign(index)
    plates.assign(fleet(resource(3, "CP1/2")))
    assert plates.rows_of("CP1") == {1: 0, 2: 3}


def test_events_give_a_station_the_way_until_they_end() -> None:
    plates = Nameplates()
    plates.assign(fleet())
    plates.mark_events(np.array([0, 99], dtype=np.int32), np.array([50.0, 50.0]))
    assert plates.in_event("CP1", 49.0)
    assert not plates.in_event("CP1", 50.0)
    assert not plates.in_event("CP2", 49.0)


def test_a_retired_row_is_no_charging_row_and_its_station_is_known_to_have_been() -> None:
    plates, index = Nameplates(), fleet()
    plates.assign(index)
    gone = replace(index.resources[2], valid_to_s=1.0)
    station = gone.address.rpartition("/")[0]
    retired = replace(index, resources=(*index.resources[:2], gone))
    assert plates.assign(retired).left == [2]
    assert not plates.is_charging(2)
    assert plates.rows_of(station) == {}
    assert plates.has_retired(station)
    assert not plates.has_retired("NOBODY")
    anew = Nameplates()
    anew.assign(retired)
    assert (anew.rows_of(station), anew.has_retired(station)) == ({}, True)
    replaced = replace(retired, resources=(*retired.resources, replace(index.resources[2], id="new")))
    plates.assign(replaced)
    assert plates.rows_of(station) == {1: 3}
    assert not plates.has_retired(station)


def test_a_changed_nameplate_and_another_address_are_taken() -> None:
    plates, index = Nameplates(), fleet()
    plates.assign(index)
    plates.remember_default(0, 5.0)
    changed = (replace(index.resources[0], p_max_kw=7.0, default_kw=6.0), *index.resources[1:])
    assert plates.assign(replace(index, resources=changed)).changed == [0]
    assert (plates.nameplate(0).p_max_kw, plates.default_kw(0)) == (7.0, 5.0)
    moved = (replace(changed[0], address="ELSEWHERE/1"), *index.resources[1:])
    plates.assign(replace(index, resources=moved))
    assert plates.rows_of("ELSEWHERE") == {1: 0}
    assert plates.default_kw(0) == 6.0, "what was instructed was the other device's"


def test_a_changed_default_is_not_set_before_the_service_says_so() -> None:
    plates, index = Nameplates(), fleet()
    plates.assign(index)
    before_kw = plates.default_kw(0)
    changed = (replace(index.resources[0], share_kw=2.0), *index.resources[1:])
    plates.assign(replace(index, resources=changed))
    assert plates.default_kw(0) == before_kw, "in which order defaults are raised and lowered is the service's to know"
    plates.remember_default(0, 2.0)
    assert plates.default_kw(0) == 2.0
    anew = Nameplates()
    anew.assign(replace(index, resources=changed))
    assert anew.default_kw(0) == 2.0
