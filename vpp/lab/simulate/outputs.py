"""Outputs of a simulated day: tables, charts and the printable report."""

from pathlib import Path

from vpp.console.cityplots import CityDay, LoadingBands, city_pictures
from vpp.console.cityreport import CityRequest, render_city_day
from vpp.console.plots import to_png
from vpp.fleet.index import CLASSES
from vpp.lab.simulate.outcome import JudgedRequest, Outcome
from vpp.lab.simulate.tables import RATIO_EDGES, true_minutes, write_classes, write_intervals, write_sessions
from vpp.lab.twin.worlds import ACTUAL, ORDINARY, PREPARED


def write_outputs(out: Path, outcome: Outcome, summary: dict[str, object]) -> None:
    """Write everything but ``summary.json`` and ``transformers.parquet``, which is written during the day."""
    write_intervals(out / "intervals.parquet", outcome.minutes, outcome.truth)
    write_classes(out / "classes.parquet", outcome.classes, outcome.truth)
    sessions = outcome.truth.sessions
    write_sessions(out / "sessions.parquet", sessions, outcome.index, from_s=outcome.from_s, until_s=outcome.until_s)
    pictures = city_pictures(_city_day(outcome), _bands(outcome))
    for name, figure in pictures.items():
        (out / f"{name}.png").write_bytes(to_png(figure))
    page = render_city_day(
        summary, pictures, requests=[CityRequest(request=j.request, performance=j.performance) for j in outcome.judged]
    )
    (out / "report.html").write_text(page, encoding="utf-8")


def _city_day(outcome: Outcome) -> CityDay:
    minutes, truth = outcome.minutes, outcome.truth
    shown = truth.start_s >= outcome.from_s
    return CityDay(
        at_s=minutes.start_s,
        measured_kw=minutes.measured_kw[:, 0],
        baseline_kw=minutes.baseline_kw[:, 0],
        counterfactual_kw=true_minutes(minutes.start_s, truth, PREPARED)[:, 0],
        ordinary_kw=true_minutes(minutes.start_s, truth, ORDINARY)[:, 0],
        target_kw=minutes.target_kw[:, 0],
        delivered_kw=minutes.delivered_kw[:, 0],
        class_at_s=truth.start_s[shown],
        class_change_kw={
            str(cls): (truth.class_kw[PREPARED, :, code] - truth.class_kw[ACTUAL, :, code])[shown]
            for code, cls in enumerate(CLASSES)
        },
        rebound_caps=tuple(
            _cap(judged) for judged in outcome.judged if judged.request.draft.rebound_cap_kw is not None
        ),
    )


def _cap(judged: JudgedRequest) -> tuple[float, float, float]:
    """Return begin and end of a rebound cap and the cap in kW."""
    grid = judged.performance.baseline.grid
    return judged.request.draft.end_at.timestamp(), grid.end_s, judged.request.draft.rebound_cap_kw or 0.0


def _bands(outcome: Outcome) -> LoadingBands:
    return LoadingBands(
        edges=RATIO_EDGES,
        minutes=outcome.loads.histogram[ACTUAL],
        minutes_without=outcome.loads.histogram[PREPARED],
        peak_ratio=outcome.loads.peak_ratio,
    )
