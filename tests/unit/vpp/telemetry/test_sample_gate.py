"""The plausibility gate for live samples: what is refused, what is repaired, and how a device comes back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fleets import at_one_site
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.session import SessionEnded, SessionStarted
from vpp.domain.telemetry import Quality, Quantity, TelemetryBatch
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.state.image import ProcessImage
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.quality import QualityRules, grade
from vpp.telemetry.sample_gate import AGE_S, FUTURE_S, _judged
from vpp.telemetry.verdict import Verdict

NOW_S = 1_784_088_000.0
CAR, STORE, ROOF, HALL = range(4)
KINDS = (
    ("car", ResourceClass.V2G, -11.0, 11.0, 60.0),
    ("store", ResourceClass.STORAGE, -50.0, 50.0, 100.0),
    ("roof", ResourceClass.PV, -30.0, 0.0, 0.0),
    ("hall", ResourceClass.HVAC, 0.0, 100.0, 0.0),
)
POWER, ENERGY, SOC = Quantity.POWER_KW, Quantity.ENERGY_KWH, Quantity.SOC


def fleet(count: int = len(KINDS)) -> FleetIndex:
    return at_one_site(
        tuple(
            Resource(
                id=name,
                site_id="s",
                resource_class=kind,
                adapter=Adapter.MQTT,
                address=f"s/{name}",
                p_min_kw=least,
                p_max_kw=most,
                capacity_kwh=capacity,
            )
            for name, kind, least, most, capacity in KINDS[:count]
        ),
        limit_kw=1e3,
        export_limit_kw=1e3,
    )


class Intake:
    """Ingest with a clock of its own."""

    def __init__(self, count: int = len(KINDS)) -> None:
        self.image = ProcessImage(fleet(count))
        self.ingest = Ingest(self.image, QualityRules())
        self.now_s = NOW_S

    def say(self, row: int, quantity: Quantity, value: float, *, ahead_s: float = 0.0) -> None:
        """Let a device say something now, by its clock."""
        self.ingest.telemetry(TelemetryBatch.of([(row, int(quantity), value, self.now_s + ahead_s)]), self.now_s)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds

    def see(self) -> FleetState:
        """Look."""
        return self.ingest.snapshot(self.now_s)

    def last(self, row: int) -> tuple[str, str, float, float] | None:
        """Return quantity, verdict, value and age of what was last refused."""
        found = self.ingest.gate.last_refused(row, self.now_s)
        return None if found is None else (found.quantity.name, found.verdict.word, found.value, found.age_s)


@pytest.fixture
def intake() -> Intake:
    return Intake()


@pytest.mark.parametrize(
    ("row", "kw"), [(CAR, 7000.0), (CAR, -7000.0), (CAR, 1e9), (ROOF, 20.0), (HALL, -60.0), (HALL, 60_000.0)]
)
def test_one_power_that_cannot_be_is_refused_and_the_last_good_one_ages(intake: Intake, row: int, kw: float) -> None:
    good_kw = -5.0 if row == ROOF else 5.0
    intake.say(row, POWER, good_kw)
    intake.wait(60.0)
    intake.say(row, POWER, kw)
    state = intake.see()
    assert (state.power_kw[row], state.power_at_s[row], state.quality[row]) == (good_kw, NOW_S, Quality.GOOD)
    intake.wait(12.0)
    assert intake.last(row) == ("POWER_KW", "range", kw, 12.0)
    intake.wait(150.0)
    assert intake.see().quality[row] == Quality.STALE
    assert intake.ingest.dropped == {"range": 1}


def test_a_device_that_takes_the_place_of_another_inherits_none_of_its_refusals(intake: Intake) -> None:
    for row in (CAR, STORE):
        intake.say(row, POWER, 5.0)
        for _ in range(2):
            intake.wait(20.0)
            intake.say(row, POWER, 7000.0)
    intake.ingest.vacate(np.array([CAR], dtype=np.int32), intake.now_s)
    assert intake.last(CAR) is None
    assert intake.last(STORE) is not None
    assert intake.ingest.gate.refused_since(NOW_S, Verdict.RANGE).tolist() == [False, True, False, False]


def test_what_stands_is_bad_and_never_shown_and_one_good_value_mends_it(intake: Intake) -> None:
    intake.say(CAR, POWER, 5.0)
    for _ in range(4):
        intake.wait(20.0)
        intake.say(CAR, POWER, 7000.0)
    state = intake.see()
    assert (state.power_kw[CAR], state.quality[CAR]) == (5.0, Quality.BAD)
    intake.wait(20.0)
    intake.say(CAR, POWER, 6.0)
    state = intake.see()
    assert (state.power_kw[CAR], state.quality[CAR]) == (6.0, Quality.GOOD)


def test_a_power_a_little_beyond_the_nameplate_is_kept_as_bad(intake: Intake) -> None:
    intake.say(CAR, POWER, 5.0)
    intake.wait(10.0)
    intake.say(CAR, POWER, 20.0)
    state = intake.see()
    assert (state.power_kw[CAR], state.quality[CAR], intake.ingest.dropped) == (5.0, Quality.BAD, {})


def test_a_state_of_charge_a_hair_beyond_full_is_full(intake: Intake) -> None:
    for row, said, taken in ((STORE, 1.004, 1.0), (CAR, -0.01, 0.0)):
        intake.say(row, SOC, said)
        assert intake.see().soc[row] == taken
    assert intake.ingest.healed == {"clipped": 2}
    intake.say(STORE, SOC, 100.4)
    assert intake.last(STORE) == ("SOC", "range", 100.4, 0.0)
    assert intake.see().soc[STORE] == 1.0


def test_a_state_of_charge_that_drops_for_a_moment_is_held(intake: Intake) -> None:
    for soc in (0.8, 0.8, 0.0, 0.0, 0.0, 0.0, 0.8, 0.79):
        intake.say(STORE, SOC, soc)
        assert intake.see().soc[STORE] == pytest.approx(0.8, abs=0.02)
        intake.wait(20.0)
    assert intake.last(STORE) == ("SOC", "rate", 0.0, 60.0)
    assert intake.ingest.healed == {}


def test_a_state_of_charge_that_stands_is_a_new_beginning(intake: Intake) -> None:
    intake.say(STORE, SOC, 0.8)
    for _ in range(7):
        intake.wait(60.0)
        intake.say(STORE, SOC, 0.3)
    assert intake.see().soc[STORE] == 0.3
    assert intake.ingest.healed == {"new_beginning": 1}


def test_values_that_do_not_agree_with_each_other_are_no_new_beginning(intake: Intake) -> None:
    intake.say(STORE, SOC, 0.8)
    for n in range(10):
        intake.wait(60.0)
        intake.say(STORE, SOC, (0.1, 0.5)[n % 2])
    assert intake.see().soc[STORE] == 0.8


def test_another_car_brings_its_own_state_of_charge_and_register(intake: Intake) -> None:
    intake.say(CAR, SOC, 0.9)
    intake.say(CAR, ENERGY, 5000.0)
    intake.wait(60.0)
    intake.ingest.session(SessionEnded(session_id="s", row=CAR, at_s=intake.now_s, meter_kwh=5000.0))
    intake.ingest.session(SessionStarted(session_id="t", row=CAR, at_s=intake.now_s, meter_kwh=0.0))
    intake.say(CAR, SOC, 0.2)
    intake.say(CAR, ENERGY, 0.0)
    state = intake.see()
    assert (state.soc[CAR], state.energy_kwh[CAR]) == (0.2, 0.0)


@pytest.mark.parametrize("wrong", [0.0, 4990.0, 5_000_000.0, 5020.0])
def test_a_register_that_jumps_is_held_and_taken_if_it_stands(intake: Intake, wrong: float) -> None:
    intake.say(CAR, ENERGY, 5000.0)
    intake.wait(60.0)
    intake.say(CAR, ENERGY, wrong)
    assert intake.see().energy_kwh[CAR] == 5000.0
    intake.wait(60.0)
    intake.say(CAR, ENERGY, 5000.2)
    assert intake.see().energy_kwh[CAR] == 5000.2
    for n in range(8):
        intake.wait(60.0)
        intake.say(CAR, ENERGY, wrong + 0.1 * n)
    assert intake.see().energy_kwh[CAR] == pytest.approx(wrong + 0.7)
    assert intake.ingest.healed == {"new_beginning": 1}


def test_what_a_device_took_while_it_was_away_is_no_jump(intake: Intake) -> None:
    intake.say(CAR, ENERGY, 5000.0)
    intake.wait(3600.0)
    intake.say(CAR, ENERGY, 5011.0)
    assert intake.see().energy_kwh[CAR] == 5011.0


def test_a_stamp_minutes_ahead_freezes_nothing(intake: Intake) -> None:
    intake.say(HALL, POWER, 40.0, ahead_s=590.0)
    intake.wait(60.0)
    intake.say(HALL, POWER, 50.0)
    state = intake.see()
    assert (state.power_kw[HALL], state.power_at_s[HALL]) == (50.0, intake.now_s)
    assert intake.ingest.healed == {"clock_ahead": 1}
    intake.wait(60.0)
    intake.say(HALL, POWER, 60.0, ahead_s=FUTURE_S + 1.0)
    assert intake.see().power_kw[HALL] == 50.0
    assert intake.last(HALL) == ("POWER_KW", "future", 60.0, 0.0)


def test_what_is_days_old_is_not_taken_for_the_present(intake: Intake) -> None:
    for quantity, value in ((Quantity.CONNECTED, 1.0), (POWER, 77.0)):
        intake.say(HALL, quantity, value, ahead_s=-3.0 * AGE_S)
    state = intake.see()
    assert not state.connected[HALL]
    assert np.isnan(state.power_kw[HALL])
    assert intake.ingest.dropped == {"age": 2}


def test_order_and_repeats_are_counted_and_say_nothing_of_the_device(intake: Intake) -> None:
    intake.say(HALL, POWER, 40.0)
    intake.say(HALL, POWER, 40.0)
    intake.say(HALL, POWER, 30.0, ahead_s=-5.0)
    assert intake.see().power_kw[HALL] == 40.0
    assert intake.ingest.dropped == {"duplicate": 1, "order": 1}
    assert intake.last(HALL) is None


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        (Quantity.CONNECTED, 2.0),
        (Quantity.PLUGGED, -1.0),
        (Quantity.P_MAX_KW, 1e6),
        (Quantity.P_MIN_KW, -1e6),
        (Quantity.TROUBLES, 0.5),
        (Quantity.TROUBLES, -1.0),
        (ENERGY, -1.0),
        (ENERGY, 1e12),
        (SOC, 65_535.0),
    ],
)
def test_every_quantity_has_its_range(intake: Intake, quantity: Quantity, value: float) -> None:
    intake.say(STORE, quantity, value)
    assert intake.last(STORE) == (quantity.name, "range", value, 0.0)


def test_stamps_that_are_no_numbers_are_refused(intake: Intake) -> None:
    for stamp_s in (np.nan, np.inf, -np.inf):
        intake.ingest.telemetry(TelemetryBatch.of([(HALL, int(POWER), 40.0, stamp_s)]), intake.now_s)
    assert intake.ingest.dropped == {"not_a_number": 3}


def test_a_car_in_no_row_is_dropped_and_its_neighbours_are_taken(intake: Intake) -> None:
    for row in (-1, 99):
        intake.ingest.session(SessionStarted(session_id=f"x{row}", row=row, at_s=NOW_S, meter_kwh=0.0))
    intake.ingest.session(SessionStarted(session_id="y", row=CAR, at_s=NOW_S, meter_kwh=0.0))
    assert intake.image.sessions.find("y").row == CAR
    assert intake.ingest.dropped == {"unknown_row": 2}


def test_the_gate_serves_a_fleet_that_grows_and_remembers_who_was_there() -> None:
    intake = Intake(count=1)
    intake.say(CAR, POWER, 7000.0)
    intake.image.resize(fleet())
    intake.say(HALL, POWER, 60_000.0)
    intake.say(HALL, POWER, 40.0)
    assert intake.last(CAR) == ("POWER_KW", "range", 7000.0, 0.0)
    assert intake.see().power_kw[HALL] == 40.0


def test_a_batch_of_which_all_is_taken_is_recorded_as_it_came(intake: Intake) -> None:
    batch = TelemetryBatch.of([(CAR, int(POWER), 5.0, NOW_S), (CAR, int(SOC), 0.5, NOW_S)])
    batch.values.flags.writeable = False
    intake.ingest.telemetry(batch, NOW_S)
    taken, _ = intake.ingest.taken()
    np.testing.assert_array_equal(taken.values, batch.values)


def test_the_gate_is_compiled_once_and_before_the_first_device_speaks(intake: Intake) -> None:
    assert len(_judged.signatures) == 1  # type: ignore[attr-defined]  # numba's own
    batch = TelemetryBatch.of([(CAR, int(POWER), 5.0, NOW_S)])
    for column in (batch.rows, batch.quantities, batch.values, batch.at_s):
        column.flags.writeable = False
    intake.ingest.telemetry(batch, NOW_S)
    assert len(_judged.signatures) == 1, "every array comes in one type"  # type: ignore[attr-defined]


SAMPLES = st.lists(
    st.tuples(
        st.integers(-1, 4),
        st.integers(0, 9),
        st.one_of(st.floats(width=64), st.floats(-1.0, 2.0), st.sampled_from([5.0, 7000.0, 5000.0, 0.0, 1.0])),
        st.one_of(st.floats(-2e5, 1e3), st.floats(-30.0, 5.0)),
    ),
    max_size=12,
)


@given(batches=st.lists(st.tuples(st.floats(0.0, 400.0), SAMPLES), max_size=12))
@settings(max_examples=150, deadline=None)
def test_whatever_comes_in_the_picture_is_plausible_and_the_record_alone_gives_it_again(
    batches: list[tuple[float, list[tuple[int, int, float, float]]]],
) -> None:
    intake, again = Intake(), ProcessImage(fleet())
    heard = taken_in_all = 0
    for pause_s, samples in batches:
        intake.wait(pause_s)
        stamped = [(row, quantity, value, intake.now_s + ahead) for row, quantity, value, ahead in samples]
        heard += len(stamped)
        intake.ingest.telemetry(TelemetryBatch.of(stamped), intake.now_s)
        taken, _ = intake.ingest.taken()
        taken_in_all += len(taken)
        again.write(taken)
        state = intake.see()
        index = state.index
        known = ~np.isnan(state.power_kw)
        margin_kw = 0.25 * np.maximum(-index.nameplate.p_min_kw, index.nameplate.p_max_kw) + 0.5
        assert (state.power_kw[known] >= (index.nameplate.p_min_kw - margin_kw)[known]).all()
        assert (state.power_kw[known] <= (index.nameplate.p_max_kw + margin_kw)[known]).all()
        assert ((state.soc >= 0.0) & (state.soc <= 1.0) | np.isnan(state.soc)).all()
        assert not (state.power_at_s > intake.now_s).any()
        quality = grade(
            age_s=intake.now_s - again.power_at_s(),
            power_kw=again.power_kw(),
            p_min_kw=index.nameplate.p_min_kw,
            p_max_kw=index.nameplate.p_max_kw,
            rules=QualityRules(),
        )
        replayed = again.swap(intake.now_s, quality)
        for name in ("power_kw", "power_at_s", "quality", "energy_kwh", "soc", "connected", "plugged", "limit_kw"):
            np.testing.assert_array_equal(getattr(state, name), getattr(replayed, name), err_msg=name)
    counts = intake.ingest.dropped
    stood = heard - taken_in_all - sum(counts.values())
    assert -counts.get(Verdict.RANGE.word, 0) <= stood <= 0, "every sample is taken or refused; few are both"
