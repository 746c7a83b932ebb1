"""Merit order and the certificate, on whatever hypothesis thinks of."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.allocate import merit_order
from optimizer.exact.certificate import lower_bound_cny
from optimizer.exact.matrix import LinearProgram

AMOUNTS = st.floats(-100.0, 5000.0)
ROWS = st.lists(st.tuples(st.floats(-5.0, 100.0), st.integers(0, 4)), max_size=40)


@settings(deadline=None)
@given(AMOUNTS, ROWS)
def test_shares_sum_to_the_amount_or_exhaust_all_rows_and_stay_in_their_bounds(
    amount: float, rows: list[tuple[float, int]]
) -> None:
    room = np.array([row[0] for row in rows])
    key = np.array([float(row[1]) for row in rows])
    share = merit_order(amount, room, key)
    usable = np.maximum(room, 0.0)
    assert (share >= 0.0).all()
    assert (share <= usable).all()
    assert np.isclose(share.sum(), np.clip(amount, 0.0, usable.sum()), atol=1e-6)


@settings(deadline=None)
@given(AMOUNTS, ROWS)
def test_nobody_gives_while_a_cheaper_row_still_could(amount: float, rows: list[tuple[float, int]]) -> None:
    room = np.array([max(row[0], 0.0) for row in rows])
    key = np.array([float(row[1]) for row in rows])
    share = merit_order(amount, room, key)
    for row in np.flatnonzero(share > 1e-6):
        cheaper = key < key[row]
        assert np.allclose(share[cheaper], room[cheaper], atol=1e-6)
    assert (np.minimum(share, room - share) > 1e-6).sum() <= 1


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_any_dual_values_bound_every_feasible_point_from_below(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = 4, 6
    matrix = rng.normal(size=(rows, columns))
    point = rng.uniform(-1.0, 1.0, columns)
    activity = matrix @ point
    program = LinearProgram(
        columns=[],
        rows=[],
        cost=rng.normal(size=columns),
        low=np.full(columns, -1.0),
        high=np.full(columns, 1.0),
        row_low=np.where(rng.random(rows) < 0.3, -np.inf, activity - rng.random(rows)),
        row_high=np.where(rng.random(rows) < 0.3, np.inf, activity + rng.random(rows)),
        start=np.arange(rows + 1) * columns,
        column=np.tile(np.arange(columns), rows),
        value=matrix.ravel(),
        integral=np.zeros(columns, dtype=np.bool_),
    )
    assert lower_bound_cny(program, rng.normal(size=rows)) <= program.cost @ point + 1e-9


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.2), st.booleans())
def test_many_rows_are_shared_out_as_if_they_had_been_sorted(seed: int, part: float, coarse: bool) -> None:  # noqa: FBT001
    random = np.random.default_rng(seed)
    room = np.where(random.random(9000) < 0.3, np.nan, random.uniform(-1.0, 8.0, 9000))
    key = random.exponential(size=9000) if not coarse else random.integers(0, 3, 9000).astype(np.float64)
    usable = np.fmax(room, 0.0)
    amount = part * float(usable.sum())
    order = np.argsort(key, kind="stable")
    before = np.cumsum(usable[order]) - usable[order]
    expected = np.empty(9000)
    expected[order] = np.clip(amount - before, 0.0, usable[order])
    np.testing.assert_allclose(merit_order(amount, room, key), expected, atol=1e-6)
