"""Counter-offers: round amounts, and the search for the longest hold."""

import pytest

from vpp.planning.quote.counter_offers import _last_true, _round_down


@pytest.mark.parametrize(
    ("amount_kw", "offered_kw"),
    [(0.9, 0.0), (7.8, 7.0), (43.9, 43.0), (999.0, 990.0), (1_234.0, 1_200.0), (98_765.0, 98_000.0)],
)
def test_amounts_are_cut_to_two_significant_figures(amount_kw: float, offered_kw: float) -> None:
    assert _round_down(amount_kw) == offered_kw


@pytest.mark.parametrize("longest", range(6))
def test_the_longest_hold_is_found_without_trying_every_length(longest: int) -> None:
    asked: list[int] = []

    def holds(steps: int) -> bool:
        asked.append(steps)
        return steps <= longest

    assert _last_true(5, holds) == longest
    assert len(asked) <= 3
