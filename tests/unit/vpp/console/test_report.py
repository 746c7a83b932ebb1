"""The report holds everything, loads nothing and says unknown where nothing is known."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import numpy as np
import pytest

from vpp.console import plots
from vpp.console.report import days_left_out, render_report, report_json
from vpp.console.wording import energy, number, percent, plain, power
from vpp.domain.performance import Baseline, IntervalResult, Performance, Shares, Unmetered
from vpp.domain.request import (
    BaselineMethod,
    BindingLimit,
    Direction,
    DispatchRequest,
    NoticeClass,
    Product,
    Quote,
    RequestDraft,
    RequestState,
    Revision,
    Shortfall,
    Transition,
    Verdict,
)
from vpp.domain.timegrid import TimeGrid
from vpp.settlement.tracking import MinuteSeries

GRID = TimeGrid(start_at=datetime(2026, 7, 15, 9, 45, tzinfo=UTC), count=9)
START_AT = GRID.start_at + timedelta(minutes=15)
END_AT = START_AT + timedelta(hours=1)
PHASES = ("ramping", *["holding"] * 4, "releasing", *["rebound_watch"] * 3)
TARGET_KW = np.array([600.0, 1200.0, 1200.0, 1200.0, 1200.0, 500.0, 0.0, 0.0, 0.0])
DELIVERED_KW = np.array([560.0, 1188.0, 1206.0, 1195.0, 1130.0, 470.0, -140.0, -90.0, -35.0])
BASELINE_KW = np.array([4100.0, 4150.0, 4220.0, 4240.0, 4260.0, 4270.0, 4230.0, 4180.0, 4100.0])
SECTIONS = (
    "Headline figures",
    "Target, baseline, measured and delivered",
    "Accuracy by interval",
    "Rebound",
    "Contribution by class",
    "Data quality",
    "Requested, quoted, accepted, delivered",
    "Intervals",
    "Baseline",
    "Shortfalls",
    "Settlement",
    "History",
)


def history() -> tuple[Transition, ...]:
    steps = [
        (-40.0, RequestState.SUBMITTED, "dispatcher", "asked"),
        (-39.9, RequestState.QUOTED, "service", "feasible"),
        (-38.0, RequestState.ACCEPTED, "dispatcher", "offer <accepted> & filed"),
        (-37.9, RequestState.SCHEDULED, "service", "reserved"),
        (-10.0, RequestState.RAMPING, "service", "ramp begins"),
        (0.0, RequestState.HOLDING, "service", "target reached"),
        (60.0, RequestState.RELEASING, "service", "end of the hold"),
        (75.0, RequestState.REBOUND_WATCH, "service", "all released"),
        (120.0, RequestState.COMPLETED, "service", "watch over"),
    ]
    states = [None, *(state for _, state, _, _ in steps)]
    return tuple(
        Transition(
            at=START_AT + timedelta(minutes=minutes),
            actor=actor,
            version=n + 1,
            from_state=states[n],
            to_state=state,
            reason=reason,
        )
        for n, (minutes, state, actor, reason) in enumerate(steps)
    )


QUOTE = Quote(
    verdict=Verdict.FEASIBLE,
    interval_starts_at=tuple(START_AT + timedelta(minutes=15 * n) for n in range(4)),
    deliverable_p10_kw=(1290.0, 1280.0, 1260.0, 1250.0),
    deliverable_p50_kw=(1420.0, 1410.0, 1390.0, 1380.0),
    deliverable_p90_kw=(1560.0, 1550.0, 1530.0, 1500.0),
    max_hold_minutes=95.0,
    ramp_kw_per_min=240.0,
    rebound_kw=(0.0, 160.0, 110.0, 50.0),
    cost_cny=812.5,
    limits=(BindingLimit(name="driver deadlines", kw=1380.0, from_at=START_AT, until_at=END_AT),),
    counter_offers=(),
    promises_broken=0,
    expires_at=START_AT - timedelta(minutes=35),
)
REQUEST = DispatchRequest(
    id="req-7f3a",
    draft=RequestDraft(
        product=Product.PEAK_SHAVING,
        direction=Direction.UP,
        target_kw=1200.0,
        area="city",
        start_at=START_AT,
        end_at=END_AT,
        notice_class=NoticeClass.INTRADAY,
        rebound_cap_kw=200.0,
    ),
    state=RequestState.COMPLETED,
    created_at=START_AT - timedelta(minutes=40),
    quote=QUOTE,
    accepted_kw=1200.0,
    history=history(),
    shortfall=Shortfall(missing_kw=70.0, cause="stations dropped out", expected_end_at=END_AT),
)
BASELINE = Baseline(
    grid=GRID,
    power_kw=BASELINE_KW[None, :],
    methods={
        "ev": BaselineMethod.SAME_TYPE_DAYS,
        "hvac": BaselineMethod.SAME_TYPE_DAYS,
        "storage": BaselineMethod.SCHEDULE,
    },
    reference_days=("2026-07-14", "2026-07-13", "2026-07-10", "2026-07-09", "2026-07-07"),
    excluded_days=(("2026-07-08", "event day"),),
    adjustment_ratio={"ev": 1.034, "hvac": 1.118},
    input_sha256="ab" * 32,
    notes=(("ev", "12 of 1000 rows: not metered on the reference days; meter before control instead"),),
    excluded_ids=("ev-0042",),
)


def intervals() -> tuple[IntervalResult, ...]:
    return tuple(
        IntervalResult(
            start_at=GRID.start_at + timedelta(minutes=15 * n),
            phase=phase,
            target_kw=float(TARGET_KW[n]),
            baseline_kw=float(BASELINE_KW[n]),
            measured_kw=float(BASELINE_KW[n] - DELIVERED_KW[n]),
            delivered_kw=float(DELIVERED_KW[n]),
            accuracy_ratio=1.0 - abs(DELIVERED_KW[n] - 1200.0) / 1200.0 if phase == "holding" else float("nan"),
            good_ratio=0.985 - 0.01 * n,
        )
        for n, phase in enumerate(PHASES)
    )


PERFORMANCE = Performance(
    request_id=REQUEST.id,
    issued_at=GRID.end_at,
    intervals=intervals(),
    accuracy_ratio=0.9792,
    worst_interval_accuracy_ratio=0.9417,
    delivered_mean_kw=1179.75,
    energy_kwh=1179.75,
    ramp_minutes=7.0,
    rebound_peak_kw=140.0,
    rebound_energy_kwh=66.25,
    good_ratio=0.963,
    baseline=BASELINE,
    spread_kw={"same_type_days": 1179.75, "meter_before": 1241.0},
    settlement_cny={"gross": 3539.25, "penalty": 0.0, "net": 3539.25, "distributable": 2831.4},
    settlement_rule="shanghai_80_120_placeholder/1",
    overshoot_kw=6.0,
    hit_ratio=0.933,
    class_delivered_kw={"ev": 640.0, "storage": 310.0, "hvac": 180.75, "v2g": 55.0, "industry": -6.0},
    quality_ratio={"good": 0.963, "stale": 0.024, "substituted": 0.008, "bad": 0.005},
    shares=Shares(
        operator_ids=("north-co", "south-co", "north-co"),
        site_ids=("mall", "roof", "yard"),
        energy_kwh=np.array([500.0, 429.75, 250.0]),
        settlement_fen={"gross": np.array([150000, 128925, 75000]), "penalty": np.array([0, 0, 0])},
        delivered_kw=np.zeros((3, 0)),
    ),
)


def series() -> MinuteSeries:
    rng = np.random.default_rng(7)
    at_s = GRID.start_s + 60.0 * np.arange(GRID.count * 15)
    minute = np.arange(len(at_s), dtype=np.float64)
    rise, fall = np.clip((minute - 5.0) / 10.0, 0.0, 1.0), np.clip((90.0 - minute) / 15.0, 0.0, 1.0)
    target = 1200.0 * np.minimum(rise, fall)
    back = np.where(minute > 88, -150.0 * np.exp(-(minute - 88.0) / 25.0), 0.0)
    delivered = target + back + rng.normal(0.0, 12.0, len(at_s))
    delivered[60:64] -= 160.0
    baseline = np.repeat(BASELINE_KW, 15)
    measured = baseline - delivered
    measured[100:103] = np.nan
    return MinuteSeries(
        at_s=at_s,
        baseline_kw=baseline,
        measured_kw=measured,
        target_kw=target,
        delivered_kw=baseline - measured,
        covered_s=np.full(len(at_s), 60.0),
    )


class Outline(HTMLParser):
    """Collects headings, ids and whether every tag is closed."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.ids: list[str] = []
        self.figures: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note ids and alternative texts."""
        found = dict(attrs)
        if "id" in found:
            self.ids.append(str(found["id"]))
        if tag == "figure":
            self.figures.append(found.get("aria-label"))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "h2":
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect the text of headings."""
        if self.open and self.open[-1] == "h2":
            self.headings[-1] += data


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(REQUEST, PERFORMANCE, series=series())


def outline(text: str) -> Outline:
    parser = Outline()
    parser.feed(text)
    return parser


def test_who_was_not_metered_or_not_enlisted_is_named_with_the_reason() -> None:
    gone = Unmetered(resource_id="hvac-0007", starts_at=(GRID.start_at, GRID.start_at + timedelta(minutes=15)))
    baseline = replace(BASELINE, excluded_why={"not connected": 1})
    performance = replace(PERFORMANCE, baseline=baseline, unmetered=(gone,), unmetered_count=3)
    page = render_report(REQUEST, performance)
    assert "hvac-0007 (2 from" in page
    assert "3 devices have intervals" in page
    assert "1 not connected" in page
    content = report_json(REQUEST, performance)
    assert content["performance"]["unmetered_count"] == 3  # type: ignore[index]  # JSON
    assert content["baseline"]["excluded_why"] == {"not connected": 1}  # type: ignore[index]  # JSON


def test_the_page_has_every_section_in_order(page: str) -> None:
    assert tuple(outline(page).headings) == SECTIONS


def test_the_page_is_well_formed_and_its_ids_are_unique(page: str) -> None:
    found = outline(page)
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert page.count("<svg") == 5


def test_every_reference_inside_a_picture_finds_its_target(page: str) -> None:
    ids = set(outline(page).ids)
    referred = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert referred
    assert referred <= ids


def test_the_page_loads_nothing_from_elsewhere(page: str) -> None:
    loaded = re.findall(r'(?:src|href)="(?!#)[^"]*"|@import|url\((?!#)', page)
    assert loaded == []
    assert "<script" not in page


def test_the_page_names_its_language_and_describes_its_pictures(page: str) -> None:
    assert '<html lang="en">' in page
    assert "size: A4" in page
    labels = outline(page).figures
    assert len(labels) == 5
    assert all(labels)


def test_the_page_shows_figures_days_history_and_hash(page: str) -> None:
    for text in (
        "97.92 %",
        "1,180 kW",
        "94.17 %",
        "2026-07-15 18:00:00+08:00",
        "2026-07-09",
        "2026-07-08 (event day)",
        "1.118",
        "12 of 1000 rows",
        "ev-0042",
        "stations dropped out",
        "driver deadlines",
        "end of the hold",
        "2,831.40",
        "shanghai_80_120_placeholder/1",
        "1,241",
        "ab" * 32,
    ):
        assert text in page, text


def test_what_people_typed_is_escaped(page: str) -> None:
    assert "offer &lt;accepted&gt; &amp; filed" in page
    assert "<accepted>" not in page


def test_the_same_input_gives_the_same_page(page: str) -> None:
    assert render_report(REQUEST, PERFORMANCE, series=series()) == page


def test_a_request_that_has_just_begun_has_a_provisional_page_without_guesses() -> None:
    nan = float("nan")
    early = replace(
        PERFORMANCE,
        intervals=(),
        accuracy_ratio=nan,
        worst_interval_accuracy_ratio=nan,
        delivered_mean_kw=nan,
        energy_kwh=nan,
        ramp_minutes=nan,
        good_ratio=nan,
        baseline=replace(BASELINE, reference_days=(), excluded_days=(), notes=(), excluded_ids=()),
        spread_kw={},
        settlement_cny={},
        class_delivered_kw={},
        quality_ratio={},
    )
    text = render_report(replace(REQUEST, quote=None, history=(), shortfall=None), early)
    assert tuple(outline(text).headings) == SECTIONS
    assert ">provisional<" in text
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL).lower()
    assert "No interval has ended yet." in text
    assert "Not settled." in text


def test_the_settlement_is_also_told_by_operator_and_by_site() -> None:
    page = render_report(REQUEST, PERFORMANCE)
    assert "north-co" in page
    assert "2,250.00" in page
    content = report_json(REQUEST, PERFORMANCE)
    assert content["operators"] == [
        {"operator_id": "north-co", "energy_kwh": 750.0, "settlement_cny": {"gross": 2250.0, "penalty": 0.0}},
        {"operator_id": "south-co", "energy_kwh": 429.75, "settlement_cny": {"gross": 1289.25, "penalty": 0.0}},
    ]
    assert [site["site_id"] for site in content["sites"]] == ["mall", "roof", "yard"]  # type: ignore[attr-defined] # JSON-like


def test_the_report_without_minutes_draws_steps() -> None:
    assert render_report(REQUEST, PERFORMANCE, title="Drill of 15 July").count("<h1>Drill of 15 July") == 1


def test_a_picture_follows_the_phases_of_the_history_or_else_of_the_intervals() -> None:
    spans = plots.phase_spans(REQUEST, PERFORMANCE)
    assert [name for name, _, _ in spans] == ["ramping", "holding", "releasing", "rebound_watch"]
    assert spans[0][1] == START_AT.timestamp() - 600.0
    stepped = plots.phase_spans(replace(REQUEST, history=()), PERFORMANCE)
    assert stepped[0][1:] == (GRID.start_s, START_AT.timestamp())


def test_the_json_report_holds_the_same_and_no_number_that_is_none() -> None:
    body = report_json(REQUEST, PERFORMANCE, series=series())
    text = json.dumps(body, allow_nan=False)
    assert json.loads(text) == body
    assert body["request"]["draft"]["start_at"] == "2026-07-15T18:00:00+08:00"
    assert body["performance"]["accuracy_ratio"] == pytest.approx(0.9792)
    assert body["intervals"][0]["accuracy_ratio"] is None
    assert body["intervals"][1]["phase"] == "holding"
    assert body["baseline"]["methods"]["storage"] == "schedule"
    assert body["quote"]["verdict"] == "feasible"
    assert body["shortfalls"][0]["missing_kw"] == 70.0
    assert body["series"]["measured_kw"][100] is None
    assert body["provisional"] is False
    assert report_json(REQUEST, PERFORMANCE)["series"] is None


def test_many_days_of_one_reason_take_one_line() -> None:
    days = tuple((f"2026-06-{30 - n}", "no metering") for n in range(20))
    baseline = replace(BASELINE, excluded_days=(("2026-07-08", "event day"), *days))
    assert days_left_out(baseline) == [
        ("2026-07-08", "event day"),
        ("20 days from 2026-06-11 to 2026-06-30", "no metering"),
    ]


def test_numbers_carry_their_unit_and_unknown_is_a_dash() -> None:
    assert power(1234.4) == "1,234 kW"
    assert power(-12_345.0) == "\u221212.35 MW"
    assert energy(20_000.0) == "20.00 MWh"
    assert percent(0.98765, 2) == "98.77 %"
    assert number(-0.2) == "0"
    assert {power(None), number(float("nan")), percent(float("inf"))} == {"\u2013"}
    assert plain({"a": np.float64("nan"), "b": (Direction.UP, np.arange(2))}) == {"a": None, "b": ["up", [0, 1]]}


def test_a_change_under_way_is_named_and_divides_no_phase() -> None:
    at = START_AT + timedelta(minutes=20)
    change = Revision(
        number=1,
        asked_at=at,
        actor="dispatcher",
        target_kw=900.0,
        end_at=END_AT,
        quote=QUOTE,
        accepted_at=at,
        accepted_kw=900.0,
        before_kw=1200.0,
        before_end_at=END_AT,
    )
    step = Transition(
        at=at,
        actor="dispatcher",
        version=7,
        from_state=RequestState.HOLDING,
        to_state=RequestState.HOLDING,
        reason="revision 1 accepted",
    )
    steps = (*REQUEST.history[:6], step, *REQUEST.history[6:])
    changed = replace(REQUEST, accepted_kw=900.0, revisions=(change,), history=steps)
    text = render_report(changed, PERFORMANCE)
    assert "Revision 1" in text
    assert "revision 1 accepted" in text
    assert plots.phase_spans(changed, PERFORMANCE) == plots.phase_spans(REQUEST, PERFORMANCE)
