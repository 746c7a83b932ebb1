"""One definition of who can be counted on."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.unit.vpp.planning.parts import EV, HVAC, NOW, NOW_S, state
from tests.unit.vpp.settlement.baselines.baseline_parts import Ledger, at, baseline_of, draft, fleet, plan
from vpp.domain.regulation import FOLLOWING
from vpp.domain.request import Direction, NoticeClass, Product, Purpose
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import Quality
from vpp.domain.timegrid import TimeGrid, instant
from vpp.domain.trouble import Trouble, mask_of
from vpp.fleet.amendment import amended
from vpp.fleet.calendar import local_day
from vpp.planning.flexibility.flexibility_inputs import usable_rows
from vpp.settlement.baselines.measurable import measurable_rows
from vpp.settlement.baselines.reference_days import BaselineRules
from vpp.state.eligibility import (
    REFERENCE_RATIO,
    WORDS,
    Standing,
    barred_rows,
    drawn_rows,
    part_rows,
    reference_roofs,
    standing,
)

RULES = BaselineRules()


def stands(row: int, **changes: object) -> Standing:
    """Return how one row stands after some changes of its columns."""
    everybody = np.ones(len(state()), dtype=np.bool_)
    flags = {"part": everybody.copy(), "measurable": everybody.copy(), "refusing": ~everybody}
    columns: dict[str, object] = {}
    for name, value in changes.items():
        if name in flags:
            flags[name][row] = value
            continue
        column = np.zeros(len(state()), dtype=np.int64) if name == "troubles" else np.array(getattr(state(), name))
        column[row] = value
        columns[name] = column
    return Standing(int(standing(state(**columns), **flags)[row]))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, Standing.ELIGIBLE),
        ({"connected": False}, Standing.DISCONNECTED),
        ({"quality": Quality.STALE}, Standing.STALE),
        ({"quality": Quality.BAD}, Standing.STALE),
        ({"quality": Quality.SUBSTITUTED}, Standing.ELIGIBLE),
        ({"power_kw": np.nan}, Standing.STALE),
        ({"troubles": mask_of((Trouble.FAULTED,))}, Standing.OUT_OF_SERVICE),
        ({"troubles": mask_of((Trouble.MEASURED_ONLY, Trouble.CLOCK_OFF))}, Standing.OUT_OF_SERVICE),
        ({"troubles": mask_of((Trouble.CLOCK_OFF, Trouble.WHOLE_AMPERES_ONLY))}, Standing.ELIGIBLE),
        ({"refusing": True}, Standing.REFUSING),
        ({"measurable": False}, Standing.NO_BASELINE),
        ({"part": False}, Standing.NO_PART),
        ({"connected": False, "measurable": False}, Standing.DISCONNECTED),
        ({"connected": False, "refusing": True}, Standing.DISCONNECTED),
        ({"quality": Quality.STALE, "refusing": True}, Standing.STALE),
        ({"connected": False, "troubles": mask_of((Trouble.FAULTED,))}, Standing.DISCONNECTED),
        ({"quality": Quality.STALE, "troubles": mask_of((Trouble.FAULTED,))}, Standing.OUT_OF_SERVICE),
        ({"refusing": True, "measurable": False}, Standing.REFUSING),
        ({"part": False, "connected": False}, Standing.NO_PART),
    ],
)
def test_a_row_stands_by_the_first_reason_that_applies(changes: dict[str, object], found: Standing) -> None:
    assert stands(HVAC, **changes) is found


def test_every_reason_but_having_no_part_has_words() -> None:
    assert set(WORDS) == set(Standing) - {Standing.ELIGIBLE, Standing.NO_PART, Standing.RETIRED}


def test_a_retired_device_is_neither_quoted_nor_commanded() -> None:
    now = state()
    index = amended(now.index, {"resources": {EV: replace(now.index.resources[EV], valid_to_s=1.0)}})
    gone = replace(now, index=index)
    assert usable_rows(now)[EV]
    assert not usable_rows(gone)[EV]
    assert barred_rows(gone)[EV]
    assert not barred_rows(now)[EV]


def test_a_device_that_is_out_of_service_is_not_quoted() -> None:
    troubles = np.zeros(len(state()), dtype=np.int64)
    troubles[EV] = mask_of((Trouble.OUT_OF_SERVICE,))
    assert not usable_rows(state(troubles=troubles))[EV]
    assert usable_rows(state())[EV]
    assert NOW.timestamp() == NOW_S


def metered_until(known_s: float, *kw: float) -> Ledger:
    """Return meters of the last hour before ``known_s`` alone."""
    meter = Ledger(len(kw))
    day = np.full((len(kw), 96), np.nan)
    first = round((known_s - at(0)) / 900.0)
    day[:, first - 4 : first] = np.array(kw)[:, None]
    meter.days[local_day(known_s)] = day
    return meter


@pytest.mark.parametrize("notice", [NoticeClass.FAST, NoticeClass.INTRADAY])
@pytest.mark.parametrize("hours", [0.5, 3.0, 20.0])
def test_who_was_metered_in_the_last_hour_has_a_baseline_however_far_ahead_the_request_is(
    hours: float, notice: NoticeClass
) -> None:
    known_s = at(12)
    start_s = known_s + 3600.0 * hours
    index, meter = fleet(ResourceClass.HVAC, ResourceClass.INDUSTRY), metered_until(known_s, 100.0, np.nan)
    event = TimeGrid(start_at=instant(start_s), count=4)
    asked = draft(notice_class=notice)
    found = measurable_rows(asked, index=index, meter=meter, schedule=None, event=event, known_s=known_s, rules=RULES)
    assert found.tolist() == [True, False]
    baseline = baseline_of(
        meter, index, asked, notice_s=known_s, start_s=start_s, end_s=start_s + 3600.0, known_s=known_s
    )
    assert baseline.excluded_ids == ("r1",)
    assert (baseline.power_kw[0] == 100.0).all()


def test_chargers_are_measured_by_their_sessions_and_stores_by_their_plan_without_any_history() -> None:
    index = fleet(ResourceClass.EV, ResourceClass.STORAGE, ResourceClass.V2G, ResourceClass.HVAC)
    nothing, schedule = Ledger(4), plan(0.0, 5.0, np.nan, 7.0)
    event = TimeGrid(start_at=instant(at(18)), count=4)
    found = measurable_rows(
        draft(), index=index, meter=nothing, schedule=schedule, event=event, known_s=at(12), rules=RULES
    )
    assert found.tolist() == [True, True, False, False]
    baseline = baseline_of(nothing, index, schedule=schedule, start_s=at(18), end_s=at(19), known_s=at(12))
    assert baseline.excluded_ids == ("r2", "r3")
    assert baseline.methods["ev"] == "session_course"


def test_a_cut_counts_no_photovoltaics_and_a_signal_only_who_can_follow_it() -> None:
    index = state().index
    asked = draft(area="west")
    up, down = (part_rows(replace(asked, direction=direction), index) for direction in (Direction.UP, Direction.DOWN))
    here = index.in_area("west")
    pv = index.is_class(ResourceClass.PV)
    assert (here & pv).any()
    np.testing.assert_array_equal(up, here & ~pv)
    np.testing.assert_array_equal(down, here)
    signal = part_rows(replace(asked, product=Product.REGULATION), index)
    np.testing.assert_array_equal(signal, here & index.is_class(*FOLLOWING))
    assert not signal[HVAC]


def test_a_drill_draws_its_share_the_same_again_and_another_at_another_time() -> None:
    drill = draft(purpose=Purpose.DRILL, drawn_ratio=0.2)
    drawn = drawn_rows(drill, 20_000)
    assert drawn.mean() == pytest.approx(0.2, abs=0.01)
    assert np.array_equal(drawn, drawn_rows(drill, 30_000)[:20_000]), "whoever joins later changes nobody's lot"
    other = drawn_rows(replace(drill, start_at=drill.start_at + timedelta(minutes=15)), 20_000)
    assert (drawn & other).mean() == pytest.approx(0.04, abs=0.01), "independent lots"
    elsewhere = drawn_rows(replace(drill, area="north"), 20_000)
    assert (drawn & elsewhere).mean() == pytest.approx(0.04, abs=0.01)


def test_one_roof_in_ten_is_left_alone_the_same_all_day_and_others_the_next() -> None:
    index = fleet(*[ResourceClass.PV] * 2000, ResourceClass.EV)
    morning = draft(direction=Direction.DOWN)
    left_alone = reference_roofs(morning, index)
    assert left_alone[:2000].mean() == pytest.approx(REFERENCE_RATIO, abs=0.02)
    assert not left_alone[2000]
    hours, day = timedelta(hours=2), timedelta(days=1)
    later, tomorrow = (
        replace(morning, start_at=morning.start_at + on, end_at=morning.end_at + on) for on in (hours, day)
    )
    assert np.array_equal(left_alone, reference_roofs(later, index))
    assert (left_alone & reference_roofs(tomorrow, index)).mean() == pytest.approx(REFERENCE_RATIO**2, abs=0.01)


def test_only_drawn_rows_take_part_in_a_drill() -> None:
    index = state().index
    drill = draft(purpose=Purpose.DRILL, drawn_ratio=0.5)
    assert np.array_equal(part_rows(drill, index), part_rows(draft(), index) & drawn_rows(drill, len(index)))
    assert np.array_equal(part_rows(replace(drill, drawn_ratio=1.0), index), part_rows(draft(), index))
