"""The outcome of a finished request says of its quote what delivery can say, and no more."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.unit.vpp.planning.city_parts import city_draft
from tests.unit.vpp.planning.parts import NOW
from vpp.domain.performance import Baseline, IntervalResult, Performance
from vpp.domain.request import DispatchRequest, Product, Quote, RequestState, Revision, Transition, Verdict
from vpp.domain.timegrid import TimeGrid
from vpp.planning.calibration.request_outcome import known_request

TARGET_KW = 1_000.0


def request(**changes: object) -> DispatchRequest:
    """Return a settled request for 1,000 kW, quoted with p10 900, p50 1,200 and p90 1,500 kW."""
    states = (RequestState.SUBMITTED, RequestState.QUOTED, RequestState.ACCEPTED, RequestState.SETTLED)
    values: dict[str, object] = {
        "id": "r1",
        "draft": city_draft(target_kw=TARGET_KW),
        "state": RequestState.SETTLED,
        "created_at": NOW,
        "accepted_kw": TARGET_KW,
        "quote": Quote(
            verdict=Verdict.FEASIBLE,
            interval_starts_at=(),
            deliverable_p10_kw=(950.0, 900.0),
            deliverable_p50_kw=(1_200.0, 1_250.0),
            deliverable_p90_kw=(1_500.0, 1_500.0),
            max_hold_minutes=60.0,
            ramp_kw_per_min=1.0,
            rebound_kw=(),
            cost_cny=0.0,
            limits=(),
            counter_offers=(),
            promises_broken=0,
            expires_at=NOW,
        ),
        "history": tuple(
            Transition(
                at=NOW + timedelta(minutes=number), actor="x", version=number, from_state=None, to_state=to, reason=""
            )
            for number, to in enumerate(states)
        ),
    }
    return DispatchRequest(**(values | changes))  # type: ignore[arg-type]  # a test table


def performance(*held_kw: float) -> Performance:
    intervals = tuple(
        IntervalResult(
            start_at=NOW,
            phase=RequestState.HOLDING.value,
            target_kw=TARGET_KW,
            baseline_kw=0.0,
            measured_kw=0.0,
            delivered_kw=value,
            accuracy_ratio=1.0,
            good_ratio=1.0,
            held_kw=value,
        )
        for value in held_kw
    )
    nothing = Baseline(
        grid=TimeGrid(start_at=NOW),
        power_kw=np.zeros((0, 96)),
        methods={},
        reference_days=(),
        excluded_days=(),
        adjustment_ratio={},
        input_sha256="",
    )
    unknown = dict.fromkeys(
        (
            "accuracy_ratio",
            "worst_interval_accuracy_ratio",
            "delivered_mean_kw",
            "energy_kwh",
            "ramp_minutes",
            "rebound_peak_kw",
            "rebound_energy_kwh",
            "good_ratio",
        ),
        float("nan"),
    )
    return Performance(request_id="r1", issued_at=NOW, intervals=intervals, baseline=nothing, **unknown)


@pytest.mark.parametrize(
    ("held_kw", "kept"),
    [
        ((1_010.0, 990.0), (1.0, np.nan, np.nan)),  # it met the target: p50 and p90 were never asked for
        ((1_000.0, 930.0), (1.0, 0.0, 0.0)),  # less than asked, and more than p10
        ((1_000.0, 700.0), (0.0, 0.0, 0.0)),
        ((1_600.0, 1_550.0), (1.0, 1.0, 1.0)),
    ],
)
def test_the_least_quarter_of_an_hour_of_the_hold_decides(
    held_kw: tuple[float, ...], kept: tuple[float, float, float]
) -> None:
    found = known_request(request(), performance(*held_kw))
    assert found is not None
    assert found.kept == pytest.approx(kept, nan_ok=True)
    assert (found.area, found.quoted_s) == ("city", (NOW + timedelta(minutes=1)).timestamp())


def test_what_cannot_be_judged_is_no_outcome() -> None:
    whole = request()
    revision = Revision(
        number=1,
        asked_at=NOW,
        actor="x",
        target_kw=500.0,
        end_at=NOW,
        quote=whole.quote,  # type: ignore[arg-type]  # it has one
        accepted_at=NOW,
    )
    regulation = replace(whole, draft=replace(whole.draft, product=Product.REGULATION))
    cases = [
        (whole, None),
        (whole, performance()),
        (whole, performance(1_000.0, float("nan"))),
        (request(quote=None), performance(1_000.0)),
        (request(accepted_kw=None), performance(1_000.0)),
        (request(history=()), performance(1_000.0)),
        (request(revisions=(revision,)), performance(1_000.0)),
        (regulation, performance(1_000.0)),
    ]
    assert [known_request(*case) for case in cases] == [None] * len(cases)
