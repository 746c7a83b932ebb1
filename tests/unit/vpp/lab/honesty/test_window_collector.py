"""The collector: every quote of a window meets what became known of it, area by area."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.unit.vpp.lab.honesty.windows import MONDAY_S
from vpp.application.requests.shadow_quotes import WINDOWS
from vpp.domain.request import CITY
from vpp.lab.honesty.window_collector import WindowCollector, WindowJournal
from vpp.planning.calibration.cells import NOTICE_STEPS
from vpp.planning.calibration.standard_windows import StandardWindows
from vpp.planning.calibration.window_book import KnownWindow

AREAS = ("a", "b", CITY)
UNTIL_S = MONDAY_S + 86_400.0


def quoted(at_s: float, *, learnt_city: bool = False) -> StandardWindows:
    """Return windows whose p50 tells notice, length, direction and area: ``1000 n + 100 l + 10 d + area + 1``."""
    n, length, d, area = np.indices((4, 2, 2, len(AREAS)))
    p50 = 1000.0 * n + 100.0 * length + 10.0 * d + area + 1.0
    law_kw = np.stack([0.9 * p50, p50, 1.1 * p50], axis=-1)
    return StandardWindows(
        at_s=at_s,
        areas=AREAS,
        start_s=at_s + 900.0 * np.array(NOTICE_STEPS),
        law_kw=law_kw,
        quoted_kw=2.0 * law_kw,
        learnt=np.array([[learnt_city, False], [False, False]]),
    )


def entry(*known: KnownWindow, windows: StandardWindows | None = None) -> dict[str, Any]:
    return {"known": [one.body() for one in known], "quoted": None if windows is None else windows.body()}


def known(start_s: float, steps: int, deliverable_kw: Any, areas: tuple[str, ...] = AREAS) -> KnownWindow:  # noqa: ANN401
    return KnownWindow(start_s=start_s, steps=steps, areas=areas, deliverable_kw=np.asarray(deliverable_kw, float))


def collector() -> WindowCollector:
    return WindowCollector(seed=7, from_s=MONDAY_S, until_s=UNTIL_S)


def test_a_window_meets_its_quote_of_every_notice() -> None:
    made = collector()
    start_s = MONDAY_S + 86_400.0 - 900.0
    made.take(entry(windows=quoted(start_s - 900.0, learnt_city=True)))
    made.take(entry(windows=quoted(start_s - 3600.0)))
    made.take(entry(known(start_s, 8, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])))
    found = made.windows()
    assert len(found) == 2 * 2 * 3
    first = found.chosen((found.notice == 0) & (found.direction == 1))
    assert first.area.tolist() == list(AREAS)
    assert first.expected_kw.tolist() == [111.0, 112.0, 113.0]
    assert first.p50_kw.tolist() == [222.0, 224.0, 226.0]
    assert first.deliverable_kw.tolist() == [4.0, 5.0, 6.0]
    assert set(found.seed.tolist()) == {7}
    assert set(found.block.tolist()) == {3}
    of_city = found.chosen(found.is_city & found.learnt)
    assert (of_city.direction.tolist(), of_city.notice.tolist()) == ([0], [0])


def test_what_nobody_knows_and_what_is_worth_nothing_is_left_out() -> None:
    made = collector()
    made.take(entry(windows=quoted(MONDAY_S - 900.0)))
    made.take(entry(known(MONDAY_S, 4, [[np.nan, 2.0, 3.0], [1.0, 1.0, np.nan]])))
    found = made.windows()
    assert sorted(zip(found.direction.tolist(), found.area.tolist(), strict=True)) == [
        (0, "b"),
        (0, CITY),
        (1, "a"),
        (1, "b"),
    ]


def test_an_area_that_came_later_is_passed_over() -> None:
    made = collector()
    made.take(entry(windows=quoted(MONDAY_S - 900.0)))
    made.take(entry(known(MONDAY_S, 4, [[5.0, 7.0], [6.0, 8.0]], ("a", CITY))))
    assert made.windows().area.tolist() == ["a", CITY] * 2


def test_only_windows_that_begin_within_the_days_count() -> None:
    made = collector()
    for start_s in (MONDAY_S - 900.0, UNTIL_S, MONDAY_S):
        made.take(entry(windows=quoted(start_s - 900.0)))
        made.take(entry(known(start_s, 4, np.ones((2, 3)))))
    assert set(made.windows().start_s.tolist()) == {MONDAY_S}


def test_quotes_of_long_ago_are_forgotten_and_those_that_wait_are_not() -> None:
    made = collector()
    for step in range(96):
        at_s = MONDAY_S + 900.0 * step
        over = [known(at_s - 900.0 * steps, steps, np.ones((2, 3))) for steps in (4, 8) if step > 12]
        made.take(entry(*over, windows=quoted(at_s)))
    assert min(made._open) >= at_s - 900.0 * 16
    assert max(made._open) == at_s + 900.0 * 96


def test_a_journal_hands_on_windows_and_counts_everything() -> None:
    taken: list[Mapping[str, Any]] = []
    journal = WindowJournal(taken.append)
    journal.append(WINDOWS, 1.0, {"at_s": 1.0})
    journal.append("request.quoted", 2.0, {})
    assert taken == [{"at_s": 1.0}]
    assert journal.counts == {WINDOWS: 1, "request.quoted": 1}
