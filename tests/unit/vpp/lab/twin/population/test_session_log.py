"""The record of all sessions, however many."""

import numpy as np

from vpp.lab.twin.population.session_log import SessionLog
from vpp.lab.twin.population.sessions import Arrivals


def arrivals(count: int, arrive_s: float) -> Arrivals:
    return Arrivals(
        rows=np.arange(count, dtype=np.int32),
        arrive_s=np.full(count, arrive_s),
        depart_s=np.full(count, arrive_s + 3600.0),
        need_kwh=np.full(count, 10.0),
        power_kw=np.full(count, 7.0),
        opted_out=np.zeros(count, dtype=np.bool_),
        boost=np.zeros(count, dtype=np.bool_),
    )


def test_numbers_go_on_over_batches_and_nothing_is_lost_while_it_grows() -> None:
    log = SessionLog()
    first = log.open(arrivals(200, 0.0), np.full(200, 9.0), now_s=5.0)
    second = log.open(arrivals(900, 50.0), np.full(900, 8.0), now_s=60.0)
    assert np.concatenate([first, second]).tolist() == list(range(1100))
    assert len(log) == 1100
    assert log.column("promised_kwh").tolist() == [9.0] * 200 + [8.0] * 900
    assert log.column("arrive_s").tolist() == [0.0] * 200 + [50.0] * 900


def test_energy_is_kept_for_both_worlds_and_only_closed_sessions_are_finished() -> None:
    log = SessionLog()
    log.open(arrivals(3, 0.0), np.full(3, 9.0), now_s=0.0)
    log.update(np.array([0, 1]), np.array([[1.0, 2.0], [3.0, 4.0]]))
    log.close(np.array([1]), np.array([[5.0], [6.0]]))
    assert log.column("delivered_kwh").tolist() == [[1.0, 5.0, 0.0], [3.0, 6.0, 0.0]]
    assert log.column("finished").tolist() == [0.0, 1.0, 0.0]
