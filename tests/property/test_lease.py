"""The lease of leadership on virtual time: never two processes that may act, whatever is frozen, cut off or set."""

from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpp.domain.errors import StorageError
from vpp.runtime.clock import MachineTime
from vpp.runtime.lease import LeaseRecord
from vpp.runtime.lease_keeper import LeaseKeeper
from vpp.runtime.lease_rules import Tenure, Watch
from vpp.storage.leadership import SqlLeaseTable
from vpp.storage.sql import open_database

TTL_S = 3.0
PROCESSES = 2


class Machine(MachineTime):
    """Clocks of one machine: the wall may be set, the counter begins anywhere and cannot."""

    def __init__(self, begin_s: float) -> None:
        self.steady, self.wall = begin_s, 1e9 + begin_s

    def wall_s(self) -> float:
        """Return what the wall shows."""
        return self.wall

    def steady_s(self) -> float:
        """Return the counter."""
        return self.steady


class Cut(SqlLeaseTable):
    """The lease in a database that can be cut off from one process."""

    away = False

    def look(self) -> LeaseRecord:
        """Look, if the database is there."""
        self._reach()
        return super().look()

    def renew(self, holder: str, epoch: int, *, until_s: float) -> int | None:
        """Renew, if the database is there."""
        self._reach()
        return super().renew(holder, epoch, until_s=until_s)

    def take(self, seen: LeaseRecord, holder: str, *, address: str, until_s: float) -> int | None:
        """Take, if the database is there."""
        self._reach()
        return super().take(seen, holder, address=address, until_s=until_s)

    def _reach(self) -> None:
        if self.away:
            raise StorageError("cut off")


NAMES = count()


@dataclass
class Process:
    """A service: it looks, takes, renews and gives back whenever the draw lets it; frozen in between."""

    table: Cut
    machine: Machine
    watch: Watch = field(default_factory=lambda: Watch(TTL_S))
    keeper: LeaseKeeper | None = None
    seen: LeaseRecord | None = None

    def turn(self) -> None:
        """Do what the process does next."""
        if self.keeper is not None:
            self.keeper.renew()
            if self.keeper.deposed:
                self.keeper = None
            return
        try:
            self.seen = self.table.look()
            self.watch.saw(self.seen, self.machine.steady)
            if self.watch.ended(self.machine.steady):
                self.take()
            else:
                self.table.visit()
        except StorageError:
            return

    def take(self) -> None:
        """Take the lease as it was seen last."""
        assert self.seen is not None
        name = f"process {next(NAMES)}"
        epoch = self.table.take(self.seen, name, address="", until_s=self.machine.wall + TTL_S)
        if epoch is not None:
            tenure = Tenure(TTL_S, taken_s=self.machine.steady, visits=self.seen.visits)
            self.keeper = LeaseKeeper(
                self.table, holder=name, epoch=epoch, tenure=tenure, ttl_s=TTL_S, machine=self.machine
            )

    def stop(self) -> None:
        """End cleanly."""
        if self.keeper is not None:
            self.keeper.close()
            self.keeper = None

    @property
    def watched(self) -> bool:
        """Whether it leads and knows of a standby."""
        return self.keeper is not None and self.keeper._tenure.watched


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["turn"] * 12 + ["cut", "mend", "stop", "set"]),
        st.integers(0, PROCESSES - 1),
        st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    ),
    min_size=20,
    max_size=60,
)


@given(STEPS)
def test_no_two_processes_may_act_at_once(steps: list[tuple[str, int, float]]) -> None:
    engine = open_database("sqlite://")
    processes = [Process(Cut(engine), Machine(1000.0 * number)) for number in range(PROCESSES)]
    epochs: list[int] = []
    for act, number, seconds in steps:
        for process in processes:
            process.machine.steady += seconds
            process.machine.wall += seconds
        one = processes[number]
        match act:
            case "turn":
                one.turn()
            case "cut":  # a leader that knows of no standby goes on through an outage
                one.table.away = one.keeper is None or one.watched
            case "mend":
                one.table.away = False
            case "stop":
                one.stop()
            case "set":
                one.machine.wall -= 1e4 * (seconds - 0.7)
        acting = [process for process in processes if process.keeper is not None and process.keeper.holds()]
        assert len(acting) <= 1
        epochs += [process.keeper.epoch for process in acting]
    assert epochs == sorted(epochs), "an epoch only ever rises"
    engine.dispose()


@pytest.mark.parametrize("watched", [True, False])
def test_only_a_watched_leader_stops_while_the_database_is_away(*, watched: bool) -> None:
    engine = open_database("sqlite://")
    leader, standby = (Process(Cut(engine), Machine(0.0)) for _ in range(2))
    leader.turn()
    if watched:
        standby.turn()
    leader.turn()
    leader.table.away = True
    for _ in range(20):
        leader.machine.steady += 1.0
        leader.turn()
    assert leader.keeper is not None
    assert leader.keeper.holds() is not watched
    leader.machine.steady += TTL_S
    assert not leader.keeper.holds(), "frozen: nothing was tried for a time to live"
    leader.table.away = False
    leader.turn()
    assert leader.keeper.holds(), "nobody has taken the lease"
    engine.dispose()
