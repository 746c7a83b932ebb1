"""A standby has the state of a restart from the journal, bit for bit, and takes its leader's entries as they come."""

import gzip
import math
from importlib.metadata import version
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.places import FIXTURES
from vpp.application.loops.cycle_inputs import TICK
from vpp.application.recovery.folded_state import FoldedState
from vpp.application.recovery.restart import engine_version, recover
from vpp.bootstrap.leadership.following import Followed, Following
from vpp.bootstrap.parts.policies import dispatch_settings
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.domain.site import Area
from vpp.record.state_codec import encode_state
from vpp.runtime.clock import MachineTime, VirtualClock
from vpp.storage.journal import SqlJournal

NOW_S = 1_784_120_000.0


class Machine(MachineTime):
    """A steady counter that a test moves."""

    now_s = 100.0

    def steady_s(self) -> float:
        """Return it."""
        return self.now_s


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings of a service whose journal ends in a hold."""
    (kept, *_) = sorted((FIXTURES / "journal-2f8590a").glob("*.sqlite3.gz"))
    (tmp_path / "vpp.sqlite3").write_bytes(gzip.decompress(kept.read_bytes()))
    return Settings.load(data_dir=tmp_path)


def folded(settings: Settings, store: Store) -> bytes:
    """Return the state of a restart."""
    recovered = recover(
        lambda: FoldedState(store.registry.load, dispatch_settings(settings)),
        store.journal,
        store.checkpoints,
        version=engine_version(version("vpp")),
    )
    return encode_state(recovered.state.state())


def test_a_standby_has_the_state_of_a_restart(settings: Settings) -> None:
    leader = Store.open(settings.database_url)
    following = Following(settings, Machine())
    assert math.isnan(following.lag_entries)
    assert following.requests is None
    following.catch_up()
    service = Service(settings, leader, VirtualClock(NOW_S), ())
    service.lead()  # writes what it finds unanswered, and its start
    leader.journal.flush_now()
    following.catch_up()
    assert following.lag_entries == 0
    assert following.requests == service.plant.requests()
    state = following.hand_over().state
    assert state is not None
    assert state.sequence == leader.journal.sequence
    assert encode_state(state.state()) == folded(settings, leader)
    following.close()
    leader.close()


def test_a_service_that_was_followed_leads_with_the_same_state(settings: Settings) -> None:
    Store.open(settings.database_url).close()
    following = Following(settings, Machine())
    following.catch_up()
    store = Store.open(settings.database_url)
    followed = following.hand_over()
    service = Service(settings, store, VirtualClock(NOW_S), (), index=followed.index)
    assert service.core.index is followed.index
    service.lead(ahead=followed.state)
    led = service.core.engine.in_force
    requests = service.plant.requests()
    following.close()

    again = Service(settings, store, VirtualClock(NOW_S), ())
    again.lead()
    assert again.plant.requests() == requests
    assert again.core.engine.in_force.dispatch_kw.tobytes() == led.dispatch_kw.tobytes()
    assert again.core.engine.in_force.lease_s.tobytes() == led.lease_s.tobytes()
    store.close()


def test_names_are_read_again_only_where_a_request_has_changed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(settings.database_url)
    following = Following(settings, Machine())
    following.catch_up()
    read = following.requests
    assert read
    monkeypatch.setattr(SqlJournal, "opened", lambda *_: pytest.fail("names are read"))
    store.journal.append(TICK, NOW_S, {"cycle": 1})
    store.journal.flush_now()
    following.catch_up()
    assert (following.fault, following.lag_entries) == ("", 0)
    assert following.requests is read
    following.close()
    store.close()


def test_the_lag_is_the_time_since_the_end_was_last_reached(settings: Settings) -> None:
    Store.open(settings.database_url).close()
    machine = Machine()
    following = Following(settings, machine)
    assert math.isnan(following.lag_s)
    following.catch_up()
    machine.now_s += 7.0
    assert following.lag_s == 7.0
    following.catch_up()
    assert following.lag_s == 0.0
    following.close()


def test_an_older_schema_is_waited_for_and_left_alone(settings: Settings) -> None:
    engine = sa.create_engine(settings.database_url)
    tables = sa.inspect(engine).get_table_names()
    following = Following(settings, Machine())
    following.catch_up()
    assert "older schema" in following.fault
    assert following.hand_over() == Followed()
    assert sa.inspect(engine).get_table_names() == tables
    Store.open(settings.database_url).close()
    following.catch_up()
    assert following.fault == ""
    assert following.hand_over().state is not None
    following.close()
    engine.dispose()


def test_a_fleet_that_has_changed_since_it_was_read_is_not_handed_over(settings: Settings) -> None:
    store = Store.open(settings.database_url)
    following = Following(settings, Machine())
    following.catch_up()
    before = store.registry.load()
    store.registry.add(before, before.extended(areas=[Area(id="new", name="New")]))
    followed = following.hand_over()
    assert followed.index is None, "its entry in the journal may have been lost with the leader"
    assert followed.state is not None
    following.close()
    store.close()


def test_entries_that_went_while_nobody_followed_are_no_part_of_a_state(settings: Settings) -> None:
    store = Store.open(settings.database_url)
    following = Following(settings, Machine())
    following.catch_up()
    last = store.journal.sequence
    for number in range(3):
        store.journal.append("alarm", NOW_S, {"number": number})
    store.journal.flush_now()
    with store.database.begin() as connection:  # as archived and pruned since
        connection.execute(sa.text("DELETE FROM journal WHERE sequence = :gone"), {"gone": last + 1})
    following.catch_up()
    assert f"{last + 1} to {last + 1}" in following.fault
    assert following.hand_over() == Followed()
    following.close()
    store.close()
