"""What is wrong with a signal is said by row, instant and what would be taken; nothing of a bad one is."""

import numpy as np
import pytest

from vpp.dispatch.regulation.agc_signal import AgcSignals, clock_words
from vpp.dispatch.regulation.signal_table import parse_signal
from vpp.domain.errors import InputError

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
