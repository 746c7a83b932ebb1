"""Lease terms: what each row is sent, for whom, and until when."""

import numpy as np

from numerics.views import read_only
from vpp.dispatch.arbitration.lease_terms import Leased, RequestTerms, leased
from vpp.dispatch.rows.assignments import NOBODY, Assignments

NOW_S, LEASE_S, LAST_S = 1000.0, 300.0, 1200.0
REQUEST, CAP = 5, 9
TERMS = RequestTerms(np.array([REQUEST, -1], dtype=np.int32), np.array([LAST_S, np.inf]), CAP)


def terms_of(assignments: Assignments, guarded_kw: list[float]) -> Leased:
    return leased(
        assignments.columns,
        read_only(np.arange(len(assignments), dtype=np.int32)),
        read_only(np.array(guarded_kw)),
        read_only(np.full(len(assignments), LEASE_S)),
        TERMS,
        NOW_S,
    )


def test_a_free_row_is_sent_nothing_whatever_the_guard_let_through() -> None:
    found = terms_of(Assignments(1), [3.0])
    assert np.isnan(found.dispatch_kw[0])
    assert (found.source[0], found.until_s[0]) == (-1, NOW_S)


def test_an_assigned_row_holds_its_lease_no_longer_than_its_request() -> None:
    assignments = Assignments(1)
    assignments.move(0, np.array([0], dtype=np.int32), np.array([4.0]), uncontrolled_kw=np.zeros(1), at_s=NOW_S)
    found = terms_of(assignments, [3.0])
    assert (found.dispatch_kw[0], found.source[0], found.until_s[0]) == (3.0, REQUEST, LAST_S)


def test_a_row_that_only_a_cap_holds_is_sent_for_the_cap() -> None:
    assignments = Assignments(1)
    assignments.cap(np.array([0]), np.array([2.0]), np.array([7.0]))
    found = terms_of(assignments, [2.0])
    assert (found.dispatch_kw[0], found.source[0], found.until_s[0]) == (2.0, CAP, NOW_S + LEASE_S)


def test_a_row_that_is_due_for_release_is_leased_until_then() -> None:
    assignments, row = Assignments(1), np.array([0], dtype=np.int32)
    assignments.move(0, row, np.array([4.0]), uncontrolled_kw=np.zeros(1), at_s=NOW_S)
    assignments.end_requests(row, np.array([False, False]), np.array([1100.0]), NOW_S)
    found = terms_of(assignments, [4.0])
    assert assignments.columns.owner[0] == NOBODY
    assert (found.dispatch_kw[0], found.until_s[0]) == (4.0, 1100.0)
