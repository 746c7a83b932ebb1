"""The tracking controller, as steps of input and expected output."""

import numpy as np
import pytest

from vpp.dispatch.allocation.tracking_controller import Delivered, Tracking, account, wanted_kw
from vpp.dispatch.settings import DispatchSettings

SETTINGS = DispatchSettings()


def accounted(memory: Tracking, now_s: float, delivered: Delivered) -> Tracking:
    law, most_s = SETTINGS.tracking, 60.0 * SETTINGS.requests.phases.ramp_minutes
    return account(
        memory, now_s=now_s, target_kw=100.0, delivered=delivered, holding=True, law=law, outage_most_s=most_s
    )


def follow(memory: Tracking, now_s: float, delivered_kw: float) -> Tracking:
    delivered = Delivered(believed_kw=delivered_kw, held_kw=delivered_kw)
    return accounted(memory, now_s, delivered)


def test_energy_owed_is_spread_over_what_is_left_of_the_interval() -> None:
    memory = follow(Tracking(at_s=0.0), 90.0, 90.0)
    assert memory.deficit_kwh == pytest.approx(0.25)
    assert memory.correction_kw == pytest.approx(900.0 / 810.0)


def test_the_correction_is_bounded_and_left_alone_in_the_last_minute() -> None:
    memory = Tracking(at_s=0.0)
    for now_s in range(60, 601, 60):
        memory = follow(memory, now_s, 20.0)
    assert memory.correction_kw == pytest.approx(10.0)
    assert follow(memory, 850.0, 180.0).correction_kw == pytest.approx(10.0)


def test_a_new_interval_starts_with_a_clean_account() -> None:
    memory = follow(Tracking(at_s=890.0, deficit_kwh=5.0, correction_kw=15.0), 910.0, 100.0)
    assert memory.deficit_kwh == 0.0
    assert memory.correction_kw == 0.0
    assert wanted_kw(memory, 100.0) == pytest.approx(100.0)


def apart(memory: Tracking, now_s: float, *, believed_kw: float, held_kw: float) -> Tracking:
    delivered = Delivered(believed_kw=believed_kw, held_kw=held_kw)
    return accounted(memory, now_s, delivered)


def test_what_devices_out_of_reach_may_still_deliver_winds_nothing_up() -> None:
    memory = Tracking(at_s=0.0)
    for now_s in range(10, 310, 10):
        memory = apart(memory, now_s, believed_kw=0.0, held_kw=100.0)
    assert (memory.deficit_kwh, memory.correction_kw, memory.integral_kw) == (0.0, 0.0, 0.0)


def test_what_was_missed_in_an_outage_is_not_repaid_on_the_way_back() -> None:
    memory = apart(Tracking(at_s=0.0), 10.0, believed_kw=0.0, held_kw=100.0)
    for now_s in range(20, 320, 10):  # leases have ended, then slow plants come back
        memory = apart(memory, now_s, believed_kw=now_s / 4.0, held_kw=now_s / 4.0)
    assert wanted_kw(memory, 100.0) == pytest.approx(100.0)
    memory = apart(memory, 320.0, believed_kw=98.0, held_kw=98.0)
    assert np.isnan(memory.outage_s)
    assert apart(memory, 330.0, believed_kw=95.0, held_kw=95.0).deficit_kwh > 0.0, "later misses are owed again"


def test_an_outage_excuses_no_longer_than_a_ramp_takes() -> None:
    memory = apart(Tracking(at_s=0.0), 10.0, believed_kw=0.0, held_kw=100.0)
    for now_s in range(20, 20 + 60 * int(SETTINGS.requests.phases.ramp_minutes) + 60, 10):
        memory = apart(memory, now_s, believed_kw=90.0, held_kw=90.0)
    assert memory.integral_kw > 0.0


def test_what_no_row_had_room_for_is_not_owed() -> None:
    memory = follow(Tracking(at_s=0.0, lacking_kw=30.0), 60.0, 70.0)
    assert memory.deficit_kwh == 0.0
    assert follow(Tracking(at_s=0.0, lacking_kw=20.0), 60.0, 70.0).deficit_kwh == pytest.approx(10.0 / 60.0)


def test_a_time_in_which_nobody_looked_is_not_accounted_for() -> None:
    memory = follow(Tracking(at_s=0.0), 600.0, 20.0)
    assert memory.deficit_kwh == 0.0
    assert memory.outage_s == 600.0


def test_an_earlier_memory_without_an_outage_is_read() -> None:
    body = {name: value for name, value in Tracking(at_s=5.0).body().items() if name not in {"outage_s", "lacking_kw"}}
    memory = Tracking.from_body(body)  # type: ignore[arg-type] # a JSON object of numbers
    assert np.isnan(memory.outage_s)
    assert memory.lacking_kw == 0.0


def test_the_memory_survives_the_journal() -> None:
    memory = follow(Tracking(at_s=0.0, fallback_kw=3.0), 90.0, 50.0)
    again = Tracking.from_body(memory.body())  # type: ignore[arg-type] # a JSON object of numbers
    assert again.body() == memory.body()


def test_repaying_a_debt_is_no_error_for_the_integral() -> None:
    memory = follow(Tracking(at_s=100.0, correction_kw=8.0), 110.0, 108.0)
    assert memory.integral_kw == pytest.approx(0.0)
    assert follow(Tracking(at_s=100.0), 110.0, 108.0).integral_kw < 0.0


@pytest.mark.parametrize(("delivered_kw", "end"), [(20.0, 1.0), (180.0, -1.0)])
def test_the_slow_integral_stops_at_its_bound(delivered_kw: float, end: float) -> None:
    memory = Tracking(at_s=0.0)
    for now_s in range(60, 3601, 60):
        memory = follow(memory, now_s, delivered_kw)
    assert memory.integral_kw == pytest.approx(end * SETTINGS.tracking.integral_ratio * 100.0)


def test_low_cycles_count_in_a_row_only() -> None:
    memory, counts = Tracking(at_s=0.0), []
    for number, delivered_kw in enumerate((89.0, 50.0, 91.0, 89.0)):
        memory = follow(memory, 10.0 * (number + 1), delivered_kw)
        counts.append(memory.low_cycles)
    assert counts == [1, 2, 0, 1]
