"""Sessions of devices at gateways: the newest holds the row, whatever arrives in whatever order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vpp.bus.device_sessions import NOBODY, HeldSessions, SessionDirectory
from vpp.bus.messages.frames import ClaimBatch


def claims(*table: tuple[int, int, int]) -> ClaimBatch:
    rows, sessions, up = (np.array(column) for column in zip(*table, strict=True))
    return ClaimBatch(
        rows=rows.astype(np.int32),
        sessions=sessions.astype(np.int64),
        up=up.astype(np.uint8),
        at_s=np.zeros(len(rows)),
    )


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int32)


def test_an_end_counts_only_for_the_very_session_it_belongs_to() -> None:
    directory = SessionDirectory()
    directory.resize(3)
    assert directory.take(0, claims((0, 10, 1), (1, 11, 1))).counts.tolist() == [True, True]
    assert directory.take(1, claims((0, 20, 1))).counts.tolist() == [True]
    assert directory.take(0, claims((0, 10, 0))).counts.tolist() == [False], "a late close"
    assert directory.take(0, claims((0, 10, 1))).counts.tolist() == [False], "an old session that is told of late"
    assert directory.gateways(rows(0, 1, 2)).tolist() == [1, 0, NOBODY]
    assert directory.take(1, claims((0, 20, 0))).counts.tolist() == [True]
    assert directory.take(1, claims((0, 20, 1))).counts.tolist() == [True], (
        "the same session, told again after a silence"
    )
    assert directory.lose(1).tolist() == [0]
    assert directory.take(0, claims((7, 99, 1))).counts.tolist() == [False], "a row beyond the fleet"


def test_of_several_claims_for_one_row_the_last_counts() -> None:
    directory = SessionDirectory()
    directory.resize(1)
    assert directory.take(0, claims((0, 10, 1), (0, 10, 0), (0, 11, 1))).counts.tolist() == [False, False, True]
    assert directory.held(0).tolist() == [0]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.booleans()), max_size=40))
def test_whatever_comes_in_whatever_order_a_row_is_at_the_gateway_of_its_newest_session(
    told: list[tuple[int, int, bool]],
) -> None:
    directory = SessionDirectory()
    directory.resize(4)
    newest: dict[int, tuple[int, int]] = {}
    for number, (gateway, row, late) in enumerate(told):
        session = 5 if late else 100 + number
        directory.take(gateway, claims((row, session, 1)))
        if row not in newest or session > newest[row][0]:
            newest[row] = (session, gateway)
    for row, (session, gateway) in newest.items():
        if session > 5:
            assert directory.gateways(rows(row)).tolist() == [gateway]


def test_sessions_of_a_gateway_are_numbered_upwards_and_never_as_anothers() -> None:
    one, other = HeldSessions("g1"), HeldSessions("g2")
    for held in (one, other):
        held.resize(2)
    up, down, at_s = np.array([True]), np.array([False]), np.zeros(1)
    first = one.note(rows(0), up, at_s, 1000.0).sessions[0]
    assert one.note(rows(0), up, at_s, 1001.0).sessions[0] == first, "still the same session"
    one.note(rows(0), down, at_s, 1002.0)
    assert one.note(rows(0), up, at_s, 1000.0).sessions[0] > first, "even if the clock went back"
    assert other.note(rows(0), up, at_s, 1000.0).sessions[0] != first
    assert len(one.note(rows(1), down, at_s, 1000.0)) == 0, "nobody's news"
