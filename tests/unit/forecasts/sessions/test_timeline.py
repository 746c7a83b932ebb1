"""The state of a connector at an instant, from what was known then."""

import numpy as np

from forecasts.sessions.timeline import Sessions, Timeline

HOUR = 3600.0


def timeline(rows: list[tuple[int, float, float, float]], instants: int = 6) -> Timeline:
    port, start, end, stated = (np.array(column) for column in zip(*rows, strict=True))
    sessions = Sessions(port=port, start_s=start * HOUR, end_s=end * HOUR, stated_s=stated * HOUR)
    return Timeline.of(sessions, 2, np.arange(instants) * HOUR)


def test_a_car_is_there_from_plugging_in_to_before_unplugging() -> None:
    made = timeline([(0, 1.0, 3.0, np.nan)])
    assert made.plugged[:, 0].tolist() == [False, True, True, False, False, False]
    assert made.since_h[1:, 0].tolist() == [0.0, 1.0, 0.0, 1.0, 2.0]
    assert np.isinf(made.since_h[0, 0])
    assert made.seen[:, 0].tolist() == [False, True, True, True, True, True]
    assert not made.seen[:, 1].any()


def test_the_statement_counts_while_the_car_is_there() -> None:
    made = timeline([(0, 1.0, 3.0, 4.0)])
    assert made.stated_h[1:3, 0].tolist() == [3.0, 2.0]
    assert np.isnan(made.stated_h[3:, 0]).all()


def test_overlapping_sessions_count_as_one() -> None:
    made = timeline([(0, 1.0, 5.0, np.nan), (0, 2.0, 3.0, np.nan)])
    assert made.plugged[:, 0].tolist() == [False, True, True, True, True, False]


def test_what_begins_or_ends_later_changes_nothing_before() -> None:
    whole = timeline([(0, 1.0, 5.0, np.nan), (1, 4.0, 6.0, np.nan)])
    later = timeline([(0, 1.0, 9.0, np.nan), (1, 5.0, 6.0, np.nan)])
    np.testing.assert_array_equal(whole.plugged[:4], later.plugged[:4])
    np.testing.assert_array_equal(whole.since_h[:4], later.since_h[:4])
