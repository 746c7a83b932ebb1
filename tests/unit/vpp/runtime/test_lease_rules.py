"""Rules of the lease: what its holder and its watchers conclude from what they saw, by their own steady time."""

from vpp.runtime.lease import LeaseRecord
from vpp.runtime.lease_rules import Tenure, Watch


def record(holder: str = "one", renewals: int = 1) -> LeaseRecord:
    return LeaseRecord(holder=holder, epoch=1, until_s=0.0, address="", renewals=renewals, visits=0)


def test_a_holder_stops_before_its_time_to_live_is_over() -> None:
    tenure = Tenure(3.0, taken_s=0.0, visits=0)
    tenure.renewed(1.0, 1, ended_s=1.0)
    assert tenure.watched
    assert tenure.holds(3.3)
    assert not tenure.holds(3.5)


def test_a_holder_that_nobody_watches_goes_on_while_its_attempts_end() -> None:
    tenure = Tenure(3.0, taken_s=0.0, visits=0)
    for second in range(1, 60):
        tenure.tried(float(second))
    assert tenure.holds(60.0)
    assert not tenure.holds(62.0)


def test_a_slow_database_is_no_reason_to_stop_where_nobody_watches() -> None:
    alone, watched = (Tenure(3.0, taken_s=0.0, visits=0) for _ in range(2))
    watched.renewed(0.0, 1, ended_s=0.0)
    for tenure in (alone, watched):
        tenure.tries()
    assert alone.holds(9.0)
    assert not watched.holds(9.0)
    alone.renewed(1.0, 0, ended_s=9.0)
    watched.renewed(1.0, 1, ended_s=9.0)
    assert alone.holds(9.1)
    assert not watched.holds(9.1), "a standby may lead since 4.0"


def test_a_standby_that_has_left_is_forgotten() -> None:
    tenure = Tenure(3.0, taken_s=0.0, visits=0)
    tenure.renewed(1.0, 1, ended_s=1.0)
    tenure.renewed(30.9, 1, ended_s=30.9)
    assert tenure.watched
    tenure.renewed(31.1, 1, ended_s=31.1)
    assert not tenure.watched


def test_a_deposed_holder_never_acts_again() -> None:
    tenure = Tenure(3.0, taken_s=0.0, visits=0)
    tenure.lose()
    tenure.renewed(1.0, 0, ended_s=1.0)
    assert not tenure.holds(1.0)


def test_a_lease_ends_a_time_to_live_after_its_last_change_was_seen() -> None:
    watch = Watch(3.0)
    assert not watch.ended(0.0), "nothing seen yet"
    watch.saw(record(), 10.0)
    watch.saw(record(), 12.9)
    assert not watch.ended(12.9)
    assert watch.ended(13.0)
    watch.saw(record(renewals=2), 13.0)
    assert not watch.ended(15.9)


def test_a_lease_given_back_has_ended() -> None:
    watch = Watch(3.0)
    watch.saw(record(), 10.0)
    watch.saw(record(holder=""), 10.1)
    assert watch.ended(10.1)
