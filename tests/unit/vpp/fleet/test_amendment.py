"""Members replaced in place: columns as those of a fleet made anew, shared where nothing has changed."""

from dataclasses import replace

import numpy as np
import pytest

from vpp.domain.errors import InputError, UnknownIdError
from vpp.domain.resource import Adapter
from vpp.fleet.amendment import amended, changed_rows, row_changes
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.population.presets import demo_fleet

_COLUMNS = ("class_code", "adapter_code", "area_code", "operator_code", "site_code", "transformer_code", "in_service")
_PLATE = ("p_min_kw", "p_max_kw", "default_kw", "declared_up_kw", "contract_up_kw")


def _fleet() -> FleetIndex:
    index = demo_fleet(stations=6, inverters=2, batteries=2, v2g=2, sites=3)
    for name in (*_COLUMNS, "row_of", "site_of", "by_adapter", "out_of_service", "feeders"):
        getattr(index, name)
    for name in _PLATE:
        getattr(index.nameplate, name)
    return index


def _anew(index: FleetIndex) -> FleetIndex:
    return replace(index)


def _assert_alike(one: FleetIndex, other: FleetIndex) -> None:
    for name in _COLUMNS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in _PLATE:
        np.testing.assert_array_equal(getattr(one.nameplate, name), getattr(other.nameplate, name), err_msg=name)
    np.testing.assert_array_equal(one.by_adapter, other.by_adapter)
    np.testing.assert_array_equal(one.feeders.of_row, other.feeders.of_row)
    assert one.site_of == other.site_of


def test_a_changed_device_changes_its_own_values_and_shares_the_rest() -> None:
    index = _fleet()
    after = amended(index, {"resources": {3: replace(index.resources[3], p_max_kw=44.0)}})
    _assert_alike(after, _anew(after))
    assert after.nameplate.p_max_kw[3] == 44.0
    assert after.nameplate.p_min_kw is index.nameplate.p_min_kw
    assert after.transformer_code is index.transformer_code
    assert index.nameplate.p_max_kw[3] != 44.0, "the fleet of before is as it was"


def test_a_moved_site_takes_its_rows_to_another_transformer_and_operator() -> None:
    index = _fleet()
    site = index.sites[0]
    other = next(t for t in index.transformers if t.id != site.transformer_id)
    after = amended(index, {"sites": {0: replace(site, transformer_id=other.id)}})
    _assert_alike(after, _anew(after))
    rows = np.flatnonzero(index.site_code == 0)
    assert (after.transformer_code[rows] == after.transformers.index(other)).all()
    assert after.operator_code is index.operator_code


def test_a_retired_device_and_a_withheld_one_are_not_in_service() -> None:
    index = _fleet()
    after = amended(index, {"resources": {1: replace(index.resources[1], valid_to_s=5.0)}}, withheld=(1, 4))
    assert after.out_of_service.tolist() == [1, 4]
    assert after.served.all()
    left = amended(after, {})
    assert left.out_of_service.tolist() == [1]
    assert np.flatnonzero(~left.served).tolist() == [1]
    assert int(left.by_adapter.sum()) == len(index) - 1


def test_what_a_place_has_for_ever_cannot_be_changed() -> None:
    index = _fleet()
    for field, value in (("id", "x"), ("adapter", Adapter.MQTT)):
        with pytest.raises(InputError, match=field):
            amended(index, {"resources": {0: replace(index.resources[0], **{field: value})}})  # type: ignore[arg-type] # by name
    with pytest.raises(UnknownIdError):
        amended(index, {"resources": {0: replace(index.resources[0], site_id="nowhere")}})


def test_changed_rows_are_found_whatever_is_unknown_of_them() -> None:
    index = _fleet()
    assert changed_rows(index, _anew(index)) == []
    read_twice = replace(index, resources=tuple(replace(r, default_kw=float("nan")) for r in index.resources))
    assert changed_rows(read_twice, index) == [
        row for row, r in enumerate(index.resources) if not np.isnan(r.default_kw)
    ]
    after = amended(index, {"resources": {2: replace(index.resources[2], phases=2)}}, withheld=(5,))
    assert changed_rows(index, after) == [2, 5]


def test_a_link_is_told_who_left_who_joined_and_who_changed_in_place() -> None:
    index = _fleet()
    rows = [row for row, r in enumerate(index.resources) if r.adapter is Adapter.OCPP]
    gone, moved, changed = rows[:3]
    after = amended(
        index,
        {
            "resources": {
                gone: replace(index.resources[gone], valid_to_s=1.0),
                moved: replace(index.resources[moved], address="NEW/1"),
                changed: replace(index.resources[changed], p_max_kw=3.0),
            }
        },
    )
    found = row_changes(index, after, Adapter.OCPP)
    assert (found.left, found.joined, found.changed) == ([gone, moved], [moved], [changed])
    assert row_changes(index, after, Adapter.MODBUS).left == []
    first = row_changes(FleetIndex.empty(), after, Adapter.OCPP)
    assert first.joined == [row for row in rows if row != gone]
