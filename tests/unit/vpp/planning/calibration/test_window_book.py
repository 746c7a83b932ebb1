"""The book of standard windows: judged once, left out with a reason, and the same after a restart."""

from collections.abc import Sequence

import numpy as np
import pytest

from tests.unit.vpp.planning.parts import NOW_S
from vpp.domain.request import CITY, Direction
from vpp.planning.calibration.cells import NOTICE_STEPS, Cell, block_of
from vpp.planning.calibration.standard_windows import StandardWindows
from vpp.planning.calibration.window_book import KnownRequest, KnownWindow, WindowBook
from vpp.planning.flexibility.error_law import Z10
from vpp.record.state_codec import decode_state, encode_state
from vpp.record.stored_body import read_body, stored_body

AREAS = ("east", "west", CITY)
EXPECTED_KW = np.array([100.0, 300.0, 400.0])


def quoted(at_s: float) -> StandardWindows:
    """Return windows with a spread of a tenth; the west has nothing to give downwards."""
    law_kw = np.empty((len(NOTICE_STEPS), 2, 2, 3, 3))
    law_kw[...] = EXPECTED_KW[:, None] * (1.0 + 0.1 * np.array([-Z10, 0.0, Z10]))
    law_kw[:, :, 1, 1] = 0.0
    return StandardWindows(
        at_s=at_s,
        areas=AREAS,
        start_s=at_s // 900.0 * 900.0 + 900.0 * np.array(NOTICE_STEPS),
        law_kw=law_kw,
        quoted_kw=law_kw.copy(),
        learnt=np.zeros((2, 2), dtype=np.bool_),
    )


def known(start_s: float, steps: int, share: float = 1.0, **changes: object) -> KnownWindow:
    values: dict[str, object] = {
        "start_s": start_s,
        "steps": steps,
        "areas": AREAS,
        "deliverable_kw": np.tile(EXPECTED_KW * share, (2, 1)),
    }
    return KnownWindow(**(values | changes))  # type: ignore[arg-type]  # a test table


def entry(
    at_s: float,
    *,
    windows: Sequence[KnownWindow] = (),
    requests: Sequence[KnownRequest] = (),
    quotes: bool = True,
) -> dict[str, object]:
    """Return an entry's body as it comes out of the journal."""
    body = {
        "at_s": at_s,
        "known": [one.body() for one in windows],
        "requests": [one.body() for one in requests],
        "settled_s": at_s,
        "quoted": quoted(at_s).body() if quotes else None,
    }
    return dict(read_body(*stored_body(body)))


def test_a_window_is_due_once_it_has_ended_and_judged_once() -> None:
    book = WindowBook()
    book.follow(entry(NOW_S))
    start_s = NOW_S + 900.0
    assert book.due(start_s + 3599.0) == []
    assert book.due(start_s + 3600.0) == [(start_s, 4)]
    book.follow(entry(start_s + 3700.0, windows=[known(start_s, 4)], quotes=False))
    assert book.due(start_s + 3700.0) == []
    cell = Cell(0, 0, 0, block_of(start_s))
    assert book.tally.of(CITY, cell).windows == 1
    assert book.tally.of(CITY, cell).ratio == (1.0, 1.0, 0.0)
    book.follow(entry(start_s + 3800.0, windows=[known(start_s, 4)], quotes=False))
    assert book.tally.of(CITY, cell).windows == 1


def test_every_quote_of_a_window_is_judged_whatever_its_notice() -> None:
    book = WindowBook()
    for quarter in range(97):
        book.follow(entry(NOW_S + 900.0 * quarter))
    start_s = NOW_S + 900.0 * 96
    book.follow(entry(start_s + 3600.0, windows=[known(start_s, 4, share=0.8)], quotes=False))
    for notice in range(len(NOTICE_STEPS)):
        assert book.tally.of(CITY, Cell(0, 0, notice, block_of(start_s))).ratio == (0.0, 0.0, 0.0)
    assert book.tally.of("west", Cell(0, 1, 3, block_of(start_s))).windows == 1
    assert book.tally.of("west", Cell(1, 1, 3, block_of(start_s))).windows == 0, "nothing was promised there"


def test_windows_that_are_left_out_are_counted_by_reason_and_teach_nothing() -> None:
    book = WindowBook()
    book.follow(entry(NOW_S))
    start_s = NOW_S + 900.0
    nothing = np.full((2, 3), np.nan)
    left_out = known(start_s, 4, deliverable_kw=nothing, left_out="under_dispatch")
    book.follow(entry(start_s + 3700.0, windows=[left_out], quotes=False))
    assert book.left_out == {"under_dispatch": 5}
    assert book.tally.pooled(0, block_of(start_s)).windows == 0


def test_what_nobody_saw_is_given_up_after_some_hours() -> None:
    book = WindowBook()
    book.follow(entry(NOW_S))
    book.follow(entry(NOW_S + 13 * 3600.0, quotes=False))
    assert book.due(NOW_S + 13 * 3600.0) == []
    assert book.left_out["not_seen"] == 3 * 2 * 5
    book.follow(entry(NOW_S + 40 * 3600.0, quotes=False))
    assert book.state()["open"] == []


def test_a_finished_request_counts_as_far_as_it_is_known() -> None:
    book = WindowBook()
    one = KnownRequest(
        area=CITY,
        direction=Direction.UP,
        start_s=NOW_S,
        quoted_s=NOW_S - 3600.0,
        at_s=NOW_S + 3600.0,
        kept=(1.0, np.nan, np.nan),
    )
    book.follow(entry(NOW_S + 7200.0, requests=[one], quotes=False))
    found = book.tally.of(CITY, Cell(0, 0, 1, block_of(NOW_S)))
    assert (found.windows, found.ratio[0]) == (1, 1.0)
    assert np.isnan(found.ratio[1])
    assert book.settled_s == NOW_S + 7200.0


@pytest.mark.parametrize("cut", [0, 1, 50, 119])
def test_a_book_taken_up_again_goes_on_bit_for_bit(cut: int) -> None:
    entries = [
        entry(
            NOW_S + 900.0 * quarter,
            windows=[known(NOW_S + 900.0 * (quarter - steps), steps, 0.7 + 0.005 * quarter) for steps in (4, 8)],
        )
        for quarter in range(120)
    ]
    whole, book = WindowBook(), WindowBook()
    for one in entries:
        whole.follow(one)
    for one in entries[:cut]:
        book.follow(one)
    again = WindowBook()
    again.load(decode_state(encode_state(book.state())))
    for one in entries[cut:]:
        again.follow(one)
    assert encode_state(again.state()) == encode_state(whole.state())


def test_what_classes_could_deliver_comes_back_and_may_be_missing() -> None:
    class_kw = np.arange(24.0).reshape(2, 2, 6) + 0.5
    for one in (known(NOW_S, 4, class_kw=class_kw), known(NOW_S, 4)):
        again = KnownWindow.from_body(read_body(*stored_body(one.body())))
        assert np.array_equal(again.class_kw, one.class_kw)
