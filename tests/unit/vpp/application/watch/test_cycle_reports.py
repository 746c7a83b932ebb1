"""Reports of a cycle stop neither one another nor the summary of the fleet."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.unit.vpp.planning.parts import state
from vpp.application.watch.cycle_reports import CycleReports, fleet_body


class _News:
    def __init__(self) -> None:
        self.published: list[tuple[str, Mapping[str, object]]] = []

    def publish(self, kind: str, at_s: float, body: Mapping[str, object]) -> None:
        del at_s
        self.published.append((kind, body))


def _fails(*_: object) -> None:
    raise ZeroDivisionError("a car of nought")


RESULT: Any = "the outcome of a cycle"


def test_a_fault_in_one_report_stops_no_other() -> None:
    seen: list[object] = []
    reports = CycleReports(lambda *_: None, {"bad": _fails, "good": lambda _, r: seen.append(r)}, _News())  # type: ignore[arg-type] # its part
    with capture_logs() as lines:
        for _ in range(2):
            reports.follow(state(), RESULT)
    assert seen == [RESULT, RESULT]
    assert [line["part"] for line in lines] == ["bad"], "once, not in every cycle"


def test_a_fault_in_the_requests_is_a_fault_of_the_loop() -> None:
    with pytest.raises(ZeroDivisionError):
        CycleReports(_fails, {}, _News()).follow(state(), RESULT)  # type: ignore[arg-type] # as above


def test_every_sixth_cycle_the_fleet_is_summed_up_on_the_stream() -> None:
    news = _News()
    reports = CycleReports(lambda *_: None, {}, news)  # type: ignore[arg-type] # as above
    for cycle in range(1, 13):
        reports.follow(replace(state(), cycle=cycle), RESULT)
    assert news.published == [("fleet", fleet_body(state()))] * 2
