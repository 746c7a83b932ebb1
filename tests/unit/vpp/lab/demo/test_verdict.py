"""The demo's verdict: what fails it, contributions by class, and where the report says so."""

import math

import pytest

from vpp.lab.demo.verdict import cars_share, class_contributions, failed_checks, with_contributions

KEPT = {
    "quoted_p50_kw": 1000.0,
    "accepted_kw": 900.0,
    "accuracy_ratio": 0.99,
    "accuracy_true_ratio": 0.985,
    "promises_broken": 0,
    "cap_violations": 0,
    "setpoints_unaccounted": 0,
    "limits_not_restored": 0,
}


def test_a_kept_promise_passes() -> None:
    assert failed_checks(KEPT) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accuracy_ratio", 0.979),
        ("accuracy_ratio", float("nan")),
        ("accuracy_true_ratio", 0.979),
        ("accepted_kw", 799.0),
        ("promises_broken", 1),
        ("cap_violations", 2),
        ("setpoints_unaccounted", 1),
        ("limits_not_restored", 1),
    ],
)
def test_each_thing_not_kept_fails_it_by_name(name: str, value: float) -> None:
    failed = failed_checks(KEPT | {name: value})
    assert len(failed) == 1
    assert name.split("_", maxsplit=1)[0] in failed[0]


def test_cars_are_chargers_and_v2g() -> None:
    assert cars_share({"ev": 150.0, "v2g": 50.0, "hvac": 300.0, "pv": 0.0}) == pytest.approx(0.4)
    assert math.isnan(cars_share({"ev": 0.0}))


def test_who_gave_most_comes_first_and_who_gave_nothing_not_at_all() -> None:
    rows = class_contributions(
        {"class_delivered_kw": {"ev": 190.0, "hvac": 300.0, "storage": None}},
        {"class_delivered_kw": {"ev": 200.0, "hvac": 290.0, "pv": 0.0, "storage": -5.0}},
    )
    assert rows == [("hvac", 300.0, 290.0), ("ev", 190.0, 200.0), ("storage", 0.0, -5.0)]


def test_the_report_names_givers_before_its_end_and_escapes_them() -> None:
    page = with_contributions("<html><body><main>x</main></body></html>", [("<ev>", 1.0, 2.0)])
    assert "Contribution by class" in page
    assert "&lt;ev&gt;" in page
    assert page.endswith("</main></body></html>")
