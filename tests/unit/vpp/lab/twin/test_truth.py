"""The record of both worlds and the verdict on a request."""

from pathlib import Path

import numpy as np
import pytest

from vpp.domain.errors import InputError
from vpp.domain.resource import STORING, ResourceClass
from vpp.domain.setpoint import Layer
from vpp.fleet.index import CLASSES
from vpp.lab.twin.delivery_truth import above_limits_kw, judge
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.physics.faults import FaultRates
from vpp.lab.twin.physics.weather import Weather
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.population.sessions import BuiltinSessions
from vpp.lab.twin.truth import Truth, TruthRecorder
from vpp.lab.twin.worlds import ORDINARY, PREPARED

NOON_S = 1_752_638_400.0


def twin(scale: float = 0.1) -> Twin:
    return Twin(
        demo_fleet(scale=scale),
        seed=1,
        start_s=NOON_S,
        sessions=BuiltinSessions(1),
        weather=Weather.builtin(),
        faults=FaultRates.none(),
    )


def order_batteries(model: Twin, power_kw: float, until_s: float) -> None:
    for row in np.flatnonzero(model.index.is_class(ResourceClass.STORAGE)).tolist():
        model.apply(row, Layer.DISPATCH, power_kw, until_s)


def test_what_batteries_gave_is_what_was_truly_delivered() -> None:
    model = twin()
    recorder = TruthRecorder(model)
    recorder.advance(NOON_S + 900)
    order_batteries(model, -50.0, NOON_S + 900 + 1800)
    recorder.advance(NOON_S + 3600)
    verdict = judge(recorder.truth(), start_s=NOON_S + 900, end_s=NOON_S + 2700, target_kw=250.0, direction="up")
    assert verdict["delivered_mean_kw"] == pytest.approx(250.0, rel=0.01)
    assert verdict["accuracy_true_ratio"] == pytest.approx(1.0, abs=0.01)
    assert len(verdict["delivered_kw"]) == 2
    assert verdict["promises_broken"] == 0
    assert verdict["cap_violations"] == 0
    assert verdict["limits_not_restored"] == 0
    assert verdict["rebound_peak_kw"] == pytest.approx(0.0, abs=1.0)


def test_down_regulation_counts_the_other_way() -> None:
    model = twin()
    recorder = TruthRecorder(model)
    order_batteries(model, 20.0, NOON_S + 900)
    recorder.advance(NOON_S + 900)
    verdict = judge(recorder.truth(), start_s=NOON_S, end_s=NOON_S + 900, target_kw=200.0, direction="down")
    assert verdict["accuracy_true_ratio"] == pytest.approx(0.5, abs=0.01)


def test_what_is_due_beside_a_request_is_judged_with_it() -> None:
    model = twin()
    recorder = TruthRecorder(model)
    order_batteries(model, -50.0, NOON_S + 1800)
    recorder.advance(NOON_S + 1800)
    hold = {"start_s": NOON_S, "end_s": NOON_S + 1800, "direction": "up"}
    both = judge(recorder.truth(), target_kw=150.0, beside_kw=np.array([100.0, 150.0]), **hold)  # type: ignore[arg-type] # a hold
    assert both["delivered_kw"] == pytest.approx([150.0, 100.0], abs=5.0)
    assert both["interval_accuracy_ratio"] == pytest.approx([1.0, 1.0 - 50.0 / 300.0], abs=0.02)


def test_values_left_behind_are_counted() -> None:
    model = twin()
    recorder = TruthRecorder(model)
    model.apply(0, Layer.DISPATCH, 1.0, NOON_S + 9000)
    model.apply(1, Layer.DEFAULT, 1.0, np.inf)
    recorder.advance(NOON_S + 900)
    verdict = judge(recorder.truth(), start_s=NOON_S, end_s=NOON_S + 900, target_kw=1.0, direction="up")
    assert verdict["limits_not_restored"] == 2


def test_the_ordinary_world_is_the_prepared_one_but_for_its_stores() -> None:
    model = twin()
    stores, count = model.devices.stores, len(CLASSES)
    recorder = TruthRecorder(model)
    recorder.advance(NOON_S + 300, 10.0)
    model.setpoints.ordinary_kw = np.where(model.index.is_class(ResourceClass.STORAGE)[stores], -7.0, np.nan)
    recorder.advance(NOON_S + 900, 10.0)
    truth = recorder.truth()
    alike, apart = truth.start_s < NOON_S + 300, truth.start_s >= NOON_S + 360
    assert np.array_equal(truth.class_kw[ORDINARY, alike], truth.class_kw[PREPARED, alike])
    change_kw = truth.class_kw[ORDINARY, apart] - truth.class_kw[PREPARED, apart]
    batteries = model.index.is_class(ResourceClass.STORAGE).sum()
    assert change_kw[:, CLASSES.index(ResourceClass.STORAGE)] == pytest.approx(-7.0 * batteries, rel=1e-6)
    others = np.isin(np.arange(count), [CLASSES.index(c) for c in STORING], invert=True)
    assert not change_kw[:, others].any()
    assert truth.area_kw[ORDINARY].sum(axis=1) == pytest.approx(truth.city_kw[ORDINARY])
    verdict = judge(truth, start_s=NOON_S + 360, end_s=NOON_S + 900, target_kw=7.0, direction="down", against=ORDINARY)
    assert verdict["delivered_mean_kw"] == pytest.approx(7.0 * batteries, rel=1e-6)


def test_a_starved_car_is_a_broken_promise() -> None:
    model = twin(scale=0.3)
    recorder = TruthRecorder(model)
    for row in np.flatnonzero(model.index.is_class(ResourceClass.EV)).tolist():
        model.apply(row, Layer.DISPATCH, 0.0, NOON_S + 6 * 3600)
    recorder.advance(NOON_S + 3 * 3600, 30.0)
    verdict = judge(recorder.truth(), start_s=NOON_S, end_s=NOON_S + 3600, target_kw=100.0, direction="up")
    assert verdict["promises_broken"] > 5


def test_an_overloaded_transformer_is_named() -> None:
    model = twin(scale=1.0)
    weak = [row for row, r in enumerate(model.index.resources) if r.site_id == "building-huangpu-01"]
    tight = model.index.transformers[model.index.transformer_code[weak[0]]]
    model.index.feeders.limit_kw[model.index.transformer_code[weak[0]]] = 400.0
    recorder = TruthRecorder(model)
    recorder.advance(NOON_S + 900)
    verdict = judge(recorder.truth(), start_s=NOON_S, end_s=NOON_S + 900, target_kw=1.0, direction="up")
    assert verdict["cap_violations"] == 15
    assert list(verdict["overloads"]) == [tight.id]
    assert verdict["base_load_violations"] == 0


def test_what_others_alone_exceed_is_not_ours() -> None:
    model = twin(scale=1.0)
    model.index.feeders.limit_kw[model.index.transformer_code[0]] = 1.0
    recorder = TruthRecorder(model)
    recorder.advance(NOON_S + 900)
    verdict = judge(recorder.truth(), start_s=NOON_S, end_s=NOON_S + 900, target_kw=1.0, direction="up")
    assert verdict["cap_violations"] == 0
    assert verdict["base_load_violations"] == 15
    assert not verdict["overloads"]


def test_a_limit_has_no_tolerance() -> None:
    load_kw = np.array([100.0, 100.0005, 100.1, -50.1])
    assert above_limits_kw(load_kw, np.full(4, 100.0), np.full(4, 50.0)).tolist() == pytest.approx([0, 0, 0.1, 0.1])


def test_a_feeder_carries_its_rows_and_the_load_of_others_once() -> None:
    recorder = TruthRecorder(twin(scale=0.2))
    recorder.advance(NOON_S + 300)
    truth = recorder.truth()
    feeders = np.array([name.startswith("feeder-") for name in truth.transformer_ids])
    assert truth.transformer_kw[:, :, feeders].sum(axis=2) == pytest.approx(
        truth.transformer_kw[:, :, ~feeders].sum(axis=2), rel=1e-3
    )


def test_a_record_survives_the_way_through_a_file(tmp_path: Path) -> None:
    model = twin()
    recorder = TruthRecorder(model)
    recorder.advance(NOON_S + 1800)
    recorder.write(tmp_path / "truth.npz")
    again, truth = Truth.load(tmp_path / "truth.npz"), recorder.truth()
    assert np.array_equal(again.transformer_kw, truth.transformer_kw)
    assert again.area_ids == truth.area_ids
    first, second = (
        judge(t, start_s=NOON_S, end_s=NOON_S + 900, target_kw=1.0, direction="up") for t in (again, truth)
    )
    assert first == second


def test_a_window_outside_the_record_is_refused() -> None:
    recorder = TruthRecorder(twin())
    recorder.advance(NOON_S + 600)
    with pytest.raises(InputError, match="inside the record"):
        judge(recorder.truth(), start_s=NOON_S, end_s=NOON_S + 900, target_kw=1.0, direction="up")


def test_areas_add_up_to_the_city() -> None:
    recorder = TruthRecorder(twin(scale=0.3))
    recorder.advance(NOON_S + 300)
    truth = recorder.truth()
    assert truth.area_kw.sum(axis=2) == pytest.approx(truth.city_kw)
