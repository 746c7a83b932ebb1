"""The received regulation signal: held, faded, refused by row and instant, rebuilt from the journal."""

import numpy as np
import pytest

from tests.unit.vpp.dispatch.regulation.parts import T0_S, Journal
from vpp.dispatch.regulation.agc_signal import SIGNAL, AgcSignals, clock_words
from vpp.dispatch.regulation.signal_table import parse_signal
from vpp.domain.errors import ConflictError, InputError

NOW_S = 1_784_100_000.0


@pytest.mark.parametrize(
    ("steps_s", "target_kw", "match"),
    [
        ((0.0, 4.0, 4.0), (1.0, 2.0, 3.0), "row 3, at: '2026-07-15T07:20:04.00:00'.* after that of row 2"),
        ((0.0, 8.0, 4.0), (1.0, 2.0, 3.0), "row 3, at"),
        ((0.0, 4.0, 8.0), (1.0, -11.0, 30.0), "row 2, target_kw: -11.0 .* from -10 to 10"),
        ((0.0,), (11.0,), "^target_kw: 11.0"),
        ((0.0, float("nan")), (1.0, 1.0), "finite"),
        ((), (), "at least one"),
    ],
)
def test_a_bad_signal_is_refused_as_a_whole_and_by_row(
    steps_s: tuple[float, ...], target_kw: tuple[float, ...], match: str
) -> None:
    taken: list[object] = []
    book = AgcSignals(lambda *entry: taken.append(entry))
    with pytest.raises(InputError, match=match):
        book.take("r", NOW_S + np.array(steps_s), np.array(target_kw), capacity_kw=10.0, now_s=NOW_S)
    assert taken == []


@pytest.mark.parametrize("at_s", [1e300, -1e300, float("inf"), float("nan"), -1.0])
def test_whatever_is_given_for_an_instant_can_be_told(at_s: float) -> None:
    assert clock_words(at_s).endswith(" s")


@pytest.mark.parametrize("cell", ["1_0", "\u0663", "0,5", "nan", "inf", ""])
def test_a_cell_other_programs_do_not_read_as_a_number_is_none(cell: str) -> None:
    with pytest.raises(InputError, match="row 1"):
        parse_signal(f'time,value\n2026-07-15T14:00:00+08:00,"{cell}"\n'.encode())


def _taken(book: AgcSignals, at_s: list[float], kw: list[float], now_s: float = T0_S) -> int:
    return book.take("r", np.array(at_s), np.array(kw), capacity_kw=300.0, now_s=now_s)


def test_a_value_holds_until_the_next_and_fades_when_none_comes() -> None:
    book = AgcSignals(Journal().record)
    _taken(book, [T0_S, T0_S + 4.0], [100.0, 200.0])
    due = {after: book.due_kw("r", T0_S + after) for after in (-1.0, 0.0, 3.9, 4.0, 64.0, 94.0, 124.0, 1e6)}
    assert due == {-1.0: 0.0, 0.0: 100.0, 3.9: 100.0, 4.0: 200.0, 64.0: 200.0, 94.0: 100.0, 124.0: 0.0, 1e6: 0.0}


def test_the_same_value_may_come_twice_and_counts_once() -> None:
    journal = Journal()
    book = AgcSignals(journal.record)
    assert [_taken(book, [T0_S], [5.0]), _taken(book, [T0_S], [5.0])] == [1, 0]
    assert [entry.kind for entry in journal.entries] == [SIGNAL]


def test_stale_and_contradicting_values_are_refused_and_nothing_of_them_is_taken() -> None:
    book = AgcSignals(Journal().record)
    _taken(book, [T0_S], [5.0])
    with pytest.raises(ConflictError, match="was taken already"):
        _taken(book, [T0_S], [6.0])
    with pytest.raises(ConflictError, match="was taken already"):
        _taken(book, [T0_S - 4.0, T0_S + 4.0], [6.0, 7.0])
    with pytest.raises(ConflictError, match=r"stale: it came 40\.0 s later"):
        _taken(book, [T0_S + 10.0], [6.0], now_s=T0_S + 50.0)
    assert book.last_at_s("r") == T0_S


@pytest.mark.parametrize(
    ("at_s", "kw"),
    [([T0_S], [301.0]), ([T0_S], [float("nan")]), ([T0_S, T0_S], [1.0, 2.0]), ([], []), ([T0_S], [1.0, 2.0])],
)
def test_values_that_make_no_sense_are_refused(at_s: list[float], kw: list[float]) -> None:
    with pytest.raises(InputError):
        _taken(AgcSignals(Journal().record), at_s, kw)


def test_the_journal_gives_the_signal_back() -> None:
    journal = Journal()
    _taken(AgcSignals(journal.record), [T0_S, T0_S + 4.0], [1.0, 2.0])
    again = AgcSignals(Journal().record)
    again.restore(journal.entries)
    assert again.due_kw("r", T0_S + 4.0) == 2.0
