"""The laws around the merit order: correction by meters, neutral drift."""

import pytest

from optimizer.tracking.law import Correction, NeutralDrift


def test_the_correction_makes_up_for_what_the_meters_lack_and_is_bounded() -> None:
    law = Correction(time_s=40.0, most_kw=10.0)
    assert law.update(expected_kw=100.0, measured_kw=80.0, elapsed_s=4.0) == pytest.approx(2.0)
    for _ in range(100):
        law.update(expected_kw=100.0, measured_kw=80.0, elapsed_s=4.0)
    assert law.value_kw == 10.0


def test_the_drift_law_gives_back_what_was_taken() -> None:
    law = NeutralDrift(time_s=3600.0, most_kw=50.0)
    assert law.update(above_base_kw=100.0, elapsed_s=360.0) == pytest.approx(-10.0)
    energy = law.energy_kwh
    for _ in range(1000):
        bias = law.update(above_base_kw=-law.energy_kwh, elapsed_s=4.0)
    assert abs(law.energy_kwh) < energy / 2.0
    assert bias < 0.0
    patient = NeutralDrift(time_s=3600.0, most_kw=50.0, spare_kwh=10.0)
    assert patient.update(above_base_kw=100.0, elapsed_s=360.0) == pytest.approx(0.0)
    assert patient.update(above_base_kw=100.0, elapsed_s=360.0) == pytest.approx(-10.0)
