"""The keeper of the lease: renewed in a thread of its own, given back at the end, lost without harm."""

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.patience import PATIENCE_WALL_S
from vpp.domain.errors import StorageError
from vpp.runtime.clock import MachineTime
from vpp.runtime.lease_keeper import LeaseKeeper
from vpp.runtime.lease_rules import Tenure
from vpp.storage.leadership import SqlLeaseTable
from vpp.storage.sql import open_database


class Watched(SqlLeaseTable):
    """The lease, whose renewals a test can wait for, and whose database can be away."""

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__(engine)
        self.away = False
        self.tried = threading.Semaphore(0)

    def renew(self, holder: str, epoch: int, *, until_s: float) -> int | None:
        """Renew, unless the database is away."""
        try:
            if self.away:
                raise StorageError("cut off")
            return super().renew(holder, epoch, until_s=until_s)
        finally:
            self.tried.release()


@pytest.fixture
def table() -> Iterator[Watched]:
    engine = open_database("sqlite://")
    yield Watched(engine)
    engine.dispose()


def keeper_of(table: SqlLeaseTable, *, ttl_s: float = 0.03) -> LeaseKeeper:
    machine = MachineTime()
    began_s = machine.steady_s()
    epoch = table.take(table.look(), "me", address="", until_s=0.0)
    assert epoch is not None
    tenure = Tenure(ttl_s, taken_s=began_s, visits=0)
    return LeaseKeeper(table, holder="me", epoch=epoch, tenure=tenure, ttl_s=ttl_s, machine=machine)


def test_a_lease_is_renewed_until_it_is_given_back(table: Watched) -> None:
    keeper = keeper_of(table)
    keeper.start(lambda: None)
    for _ in range(3):
        assert table.tried.acquire(timeout=PATIENCE_WALL_S)
    keeper.close()
    assert table.look().renewals >= 3
    assert table.look().free


def test_an_outage_is_outlived_and_renewing_goes_on(table: Watched) -> None:
    keeper = keeper_of(table)
    table.away = True
    keeper.start(lambda: None)
    for _ in range(3):
        assert table.tried.acquire(timeout=PATIENCE_WALL_S)
    assert not keeper.deposed
    table.away = False
    before = table.look().renewals
    for _ in range(3):
        assert table.tried.acquire(timeout=PATIENCE_WALL_S)
    keeper.close()
    assert table.look().renewals > before


def test_a_lost_lease_is_told_once_and_left_to_its_new_holder(table: Watched) -> None:
    keeper, lost = keeper_of(table), threading.Event()
    assert table.take(table.look(), "other", address="", until_s=0.0) == 2
    keeper.start(lost.set)
    assert lost.wait(PATIENCE_WALL_S)
    assert keeper.deposed
    assert not keeper.holds()
    keeper.close()
    assert table.look().holder == "other"


def test_a_lost_lease_is_known_as_soon_as_it_is_asked_for(table: Watched) -> None:
    keeper = keeper_of(table, ttl_s=60.0)
    assert keeper.holds()
    assert not keeper.is_lost()
    table.take(table.look(), "other", address="", until_s=0.0)
    table.away = True
    assert not keeper.is_lost(), "not known while the database is away"
    table.away = False
    assert keeper.is_lost()
