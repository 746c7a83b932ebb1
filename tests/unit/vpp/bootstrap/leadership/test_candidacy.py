"""What a process that does not lead does in its database, and when it may take the lease."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from vpp.bootstrap.leadership.candidacy import Candidacy
from vpp.bootstrap.leadership.http_address import HttpAddress
from vpp.config import Settings
from vpp.domain.errors import ConfigurationError
from vpp.runtime.clock import MachineTime
from vpp.storage.sql import open_database

TTL_S = 3.0


class Machine(MachineTime):
    """A steady counter that a test moves."""

    now_s = 100.0

    def steady_s(self) -> float:
        """Return it."""
        return self.now_s


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return f"127.0.0.1:{found.getsockname()[1]}"


class House:
    """One database and the processes that open it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.machine = folder, Machine()
        self._made: list[tuple[Candidacy, HttpAddress]] = []

    @property
    def url(self) -> str:
        """Of the database."""
        return f"sqlite:///{self.folder / 'vpp.sqlite3'}"

    def process(self, *, http: str | None = None, standby: bool = False) -> Candidacy:
        """Return a process that has begun."""
        settings = Settings.load(
            data_dir=self.folder, http=http or free_address(), standby=standby, leader_ttl_wall_s=TTL_S
        )
        address = HttpAddress(settings.http)
        made = Candidacy(settings, address, self.machine)
        self._made.append((made, address))
        made.begin()
        return made

    def close(self) -> None:
        """End all."""
        for made, address in self._made:
            made.close()
            with address:
                pass


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def test_the_first_process_leads_at_once(house: House) -> None:
    first = house.process()
    assert first.look()
    lease = first.take()
    assert lease is not None
    assert lease.epoch == 1
    assert lease.holds()


def test_another_waits_until_the_lease_has_not_been_renewed_for_its_time(house: House) -> None:
    first = house.process()
    first.look()
    lease = first.take()
    assert lease is not None
    second = house.process()
    for _ in range(5):
        assert not second.look()
        house.machine.now_s += 1.0
        lease.renew()
    assert not second.look()
    house.machine.now_s += TTL_S
    assert second.look()
    taken = second.take()
    assert taken is not None
    assert taken.epoch == 2
    assert lease.is_lost()


def test_a_lease_given_back_is_taken_at_once(house: House) -> None:
    first, second = house.process(), house.process()
    first.look()
    lease = first.take()
    assert lease is not None
    assert not second.look()
    lease.close()
    assert second.look()
    assert second.take() is not None


def test_a_standby_leaves_a_lease_that_was_never_held_to_others_for_a_while(house: House) -> None:
    standby = house.process(standby=True)
    assert not standby.look()
    house.machine.now_s += 14.0
    assert not standby.look()
    house.machine.now_s += 2.0
    assert standby.look(), "somebody has to lead"


def test_a_standby_that_has_seen_a_leader_follows_it_at_once(house: House) -> None:
    standby, first = house.process(standby=True), house.process()
    first.look()
    lease = first.take()
    assert lease is not None
    assert not standby.look()
    lease.close()
    assert standby.look()


def test_a_standby_that_begins_and_ends_changes_nothing_but_its_visit(house: House) -> None:
    first = house.process()
    first.look()
    first.take()
    engine = sa.create_engine(house.url)
    before = _content(engine)
    second = house.process()
    second.look()
    second.visit()
    second.close()
    changed = set(before) ^ set(_content(engine))
    assert changed, "the visit"
    assert all("leadership" in line for line in changed)
    engine.dispose()


def test_a_process_with_the_leaders_own_address_stands_by_without_it(house: House) -> None:
    http = free_address()
    first = house.process(http=http)
    first.look()
    lease = first.take()
    assert lease is not None
    second = house.process(http=http)
    assert not second.look()
    house.machine.now_s += TTL_S
    assert second.look()
    assert second.take() is None, "its leader still listens there"
    assert lease.renew()
    assert not lease.deposed


def test_an_address_that_somebody_else_has_is_an_error(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ConfigurationError, match="cannot listen"):
        house.process(http=f"127.0.0.1:{other.getsockname()[1]}")


def test_a_database_of_a_later_version_is_left_alone(house: House) -> None:
    first = house.process()
    first.look()
    engine = open_database(house.url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    before = _content(engine)
    with pytest.raises(ConfigurationError, match="9999"):
        first.take()
    with pytest.raises(ConfigurationError, match="later version"):
        house.process()
    assert _content(engine) == before
    engine.dispose()


def test_a_process_of_a_later_version_migrates_only_once_it_holds_the_lease(house: House) -> None:
    open_database(house.url).dispose()
    engine = sa.create_engine(house.url)
    with engine.begin() as connection:  # as a version of before the last migration would have left it
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0002'"))
    before = _content(engine)
    house.process()
    assert _content(engine) == before
    engine.dispose()


def _content(engine: sa.Engine) -> list[str]:
    """Return every row of the database as a line of SQL."""
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        return list(driver.iterdump())
