"""The process image and the sessions behind it."""

import numpy as np
import pytest

from tests.fleets import at_one_site
from vpp.domain.errors import UnknownIdError
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.session import Promise, SessionEnded, SessionPromised, SessionStarted
from vpp.domain.telemetry import Quality, Quantity, TelemetryBatch
from vpp.fleet.index import FleetIndex
from vpp.state.image import ProcessImage
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.quality import QualityRules


def fleet(count: int = 3) -> FleetIndex:
    return at_one_site(
        tuple(
            Resource(
                id=f"cp{i}",
                site_id="s",
                resource_class=ResourceClass.EV,
                adapter=Adapter.OCPP,
                address=f"CP{i}/1",
                p_min_kw=0.0,
                p_max_kw=7.0,
                floor_kw=1.32,
            )
            for i in range(count)
        ),
        limit_kw=100.0,
        export_limit_kw=100.0,
    )


def sample(row: int, quantity: Quantity, value: float, at_s: float) -> TelemetryBatch:
    return TelemetryBatch.of([(row, quantity, value, at_s)])


def test_what_was_never_measured_is_nan_and_bad() -> None:
    ingest = Ingest(ProcessImage(fleet()), QualityRules())
    state = ingest.snapshot(100.0)
    assert np.isnan(state.power_kw).all()
    assert (state.quality == Quality.BAD).all()
    assert not state.connected.any()
    np.testing.assert_array_equal(state.available_max_kw, 7.0)


def test_a_snapshot_does_not_change_when_more_arrives_and_cannot_be_written() -> None:
    image = ProcessImage(fleet())
    ingest = Ingest(image, QualityRules())
    ingest.telemetry(sample(0, Quantity.POWER_KW, 3.0, 10.0), 10.0)
    before = ingest.snapshot(10.0)
    ingest.telemetry(sample(0, Quantity.POWER_KW, 5.0, 20.0), 20.0)
    assert before.power_kw[0] == 3.0
    assert ingest.snapshot(20.0).power_kw[0] == 5.0
    with pytest.raises(ValueError, match="read-only"):
        before.power_kw[0] = 1.0


def test_late_samples_do_not_turn_the_picture_back() -> None:
    ingest = Ingest(ProcessImage(fleet()), QualityRules())
    ingest.telemetry(TelemetryBatch.of([(1, Quantity.POWER_KW, 6.0, 50.0), (1, Quantity.POWER_KW, 2.0, 40.0)]), 50.0)
    ingest.telemetry(sample(1, Quantity.POWER_KW, 1.0, 30.0), 51.0)
    assert ingest.snapshot(60.0).power_kw[1] == 6.0


def test_quality_goes_from_good_over_stale_and_impossible_is_bad() -> None:
    ingest = Ingest(ProcessImage(fleet()), QualityRules(stale_s=100.0))
    ingest.telemetry(TelemetryBatch.of([(0, Quantity.POWER_KW, 3.0, 0.0), (1, Quantity.POWER_KW, 700.0, 0.0)]), 0.0)
    assert ingest.snapshot(50.0).quality.tolist() == [Quality.GOOD, Quality.BAD, Quality.BAD]
    assert ingest.snapshot(101.0).quality[0] == Quality.STALE


def test_bad_samples_are_counted_and_their_neighbours_kept() -> None:
    ingest = Ingest(ProcessImage(fleet()), QualityRules())
    power = Quantity.POWER_KW
    ingest.telemetry(
        TelemetryBatch.of([(9, power, 1.0, 0.0), (0, 99, 1.0, 0.0), (0, power, np.nan, 0.0), (0, power, 1.0, 9e9)]), 5.0
    )
    ingest.telemetry(TelemetryBatch.of([(-1, power, 1.0, 0.0), (2, power, 4.0, 0.0)]), 5.0)
    assert dict(ingest.dropped) == {"unknown_row": 2, "unknown_quantity": 1, "not_a_number": 1, "future": 1}
    assert ingest.snapshot(5.0).power_kw[2] == 4.0


def test_a_session_without_promise_is_never_sheddable_and_with_one_only_above_its_floor() -> None:
    image = ProcessImage(fleet())
    image.write_session(SessionStarted(session_id="CP0:1", row=0, at_s=0.0, meter_kwh=100.0))
    image.write(sample(0, Quantity.ENERGY_KWH, 100.0, 0.0))
    quality = np.zeros(3, dtype=np.uint8)
    assert not image.swap(0.0, quality).sheddable[0]
    image.write_session(
        SessionPromised(session_id="CP0:1", promise=Promise(energy_kwh=10.0, departure_s=7200.0, floor_kwh=2.0))
    )
    assert not image.swap(0.0, quality).sheddable[0]
    image.write(sample(0, Quantity.ENERGY_KWH, 103.0, 60.0))
    state = image.swap(60.0, quality)
    assert state.sheddable[0]
    assert state.need_kwh[0] == pytest.approx(7.0)
    assert state.laxity_s(np.full(3, 7.0))[0] == pytest.approx(7200.0 - 60.0 - 3600.0)


def test_opted_out_and_boosting_drivers_are_left_alone() -> None:
    image = ProcessImage(fleet())
    for row, promise in enumerate(
        (Promise(energy_kwh=5.0, departure_s=9e3, opted_out=True), Promise(energy_kwh=5.0, departure_s=9e3, boost=True))
    ):
        image.write_session(SessionStarted(session_id=str(row), row=row, at_s=0.0, meter_kwh=0.0))
        image.write_session(SessionPromised(session_id=str(row), promise=promise))
        image.write(sample(row, Quantity.ENERGY_KWH, 1.0, 0.0))
    assert not image.swap(0.0, np.zeros(3, dtype=np.uint8)).sheddable[:2].any()


def test_repeated_starts_late_ends_and_early_promises_do_no_harm() -> None:
    image = ProcessImage(fleet())
    sessions = image.sessions
    sessions.apply(SessionPromised(session_id="new", promise=Promise(energy_kwh=4.0, departure_s=10.0)))
    sessions.apply(SessionStarted(session_id="old", row=0, at_s=0.0, meter_kwh=0.0))
    sessions.apply(SessionStarted(session_id="new", row=0, at_s=5.0, meter_kwh=3.0))
    sessions.apply(SessionStarted(session_id="new", row=0, at_s=5.0, meter_kwh=3.0))
    sessions.apply(SessionEnded(session_id="old", row=0, at_s=6.0, meter_kwh=3.0))
    assert sessions.find("new").promise == Promise(energy_kwh=4.0, departure_s=10.0)
    ended = sessions.apply(SessionEnded(session_id="new", row=0, at_s=9.0, meter_kwh=7.0))
    assert ended is not None
    assert ended.delivered_kwh == pytest.approx(4.0)
    with pytest.raises(UnknownIdError, match="new"):
        sessions.find("new")


def test_the_fleet_grows_without_moving_a_row() -> None:
    image = ProcessImage(fleet(2))
    image.write(sample(1, Quantity.POWER_KW, 2.5, 1.0))
    image.write_session(SessionStarted(session_id="x", row=1, at_s=0.0, meter_kwh=0.0))
    image.resize(fleet(4))
    state = image.swap(2.0, np.zeros(4, dtype=np.uint8))
    assert state.power_kw[1] == 2.5
    assert np.isnan(state.power_kw[2:]).all()
    assert image.sessions.find("x").row == 1


@pytest.mark.parametrize(
    ("meter_kwh", "delivered_kwh"), [(-1.0, np.nan), (np.nan, np.nan), (4999.99, 0.0), (5009.0, 9.0)]
)
def test_a_register_that_makes_no_sense_at_the_end_leaves_the_energy_unknown(
    meter_kwh: float, delivered_kwh: float
) -> None:
    sessions = ProcessImage(fleet()).sessions
    sessions.apply(SessionStarted(session_id="a", row=0, at_s=0.0, meter_kwh=5000.0))
    ended = sessions.closing(SessionEnded(session_id="a", row=0, at_s=9.0, meter_kwh=meter_kwh))
    assert ended is not None
    assert ended.delivered_kwh == pytest.approx(delivered_kwh, nan_ok=True)


def test_nobody_needs_more_than_was_promised_for_a_register_that_fell() -> None:
    image = ProcessImage(fleet())
    image.write_session(SessionStarted(session_id="a", row=0, at_s=0.0, meter_kwh=5000.0))
    image.write_session(SessionPromised(session_id="a", promise=Promise(energy_kwh=30.0, departure_s=9e3)))
    image.write(sample(0, Quantity.ENERGY_KWH, 2.0, 60.0))
    assert image.swap(60.0, np.zeros(3, dtype=np.uint8)).need_kwh[0] == 30.0


def test_promises_for_sessions_that_never_start_do_not_pile_up() -> None:
    sessions = ProcessImage(fleet()).sessions
    promise = Promise(energy_kwh=4.0, departure_s=10.0)
    for number in range(10_100):
        sessions.apply(SessionPromised(session_id=f"s{number}", promise=promise))
    for name, kept in (("s10099", promise), ("s3", None)):
        sessions.apply(SessionStarted(session_id=name, row=0, at_s=0.0, meter_kwh=0.0))
        assert sessions.find(name).promise == kept
    assert len(sessions._early) < 10_100
