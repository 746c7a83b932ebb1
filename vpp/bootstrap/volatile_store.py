"""Volatile store: a service's memory that ends with the process, for runs that nobody resumes.

A simulated city day would record gigabytes that nobody reads. The service uses its ports the same way: the SQL store
(`vpp.bootstrap.store.Store`) and this one are exchangeable.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vpp.domain.errors import InputError
from vpp.domain.resource import Resource
from vpp.domain.telemetry import FloatArray, RowArray, TelemetryBatch
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import SECONDS_PER_DAY, STEP_S
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.changes import FleetChange, UnrecordedChange
from vpp.fleet.members.member_codec import kind_of
from vpp.fleet.members.tenure import FormerMember
from vpp.ports import (
    LEAST_METERED_RATIO,
    Checkpoints,
    IntervalMemory,
    Journal,
    JournalArchive,
    Registry,
    Sequences,
    TelemetryLog,
)
from vpp.record.chain import GENESIS
from vpp.record.checkpoint import Checkpoint
from vpp.record.entry import Head, JournalEntry
from vpp.record.stored_body import StoredBody

Frame = npt.NDArray[np.float32]
Share = npt.NDArray[np.float16]


class Memory(Protocol):
    """Everything a service remembers, behind the ports."""

    @property
    def journal(self) -> Journal:
        """Decisions."""
        ...

    @property
    def samples(self) -> TelemetryLog:
        """Measurements, sample by sample."""
        ...

    @property
    def meters(self) -> IntervalMemory:
        """Metered quarters of an hour."""
        ...

    @property
    def registry(self) -> Registry:
        """The fleet."""
        ...

    @property
    def leases(self) -> Sequences:
        """Numbers that never come twice."""
        ...

    @property
    def archive(self) -> JournalArchive | None:
        """Archive of the journal, ``None`` where nothing is archived."""
        ...

    @property
    def checkpoints(self) -> Checkpoints:
        """States of earlier moments, to restart from."""
        ...


class CountingJournal:
    """Counts entries by kind and discards them.

    Attributes:
        counts: How many entries of each kind there were.
    """

    pending = pending_bytes = 0
    """Nothing waits to be written."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def append(self, kind: str, at_s: float, body: Mapping[str, object]) -> int:  # noqa: ARG002 - the port's
        """Count one entry."""
        self.counts[kind] += 1
        return 0

    def prepared(self, kind: str, body: Mapping[str, object]) -> StoredBody:  # noqa: ARG002 - the port's
        """Return nothing: entries are not kept."""
        return StoredBody("{}")

    def append_prepared(self, kind: str, at_s: float, stored: StoredBody) -> int:  # noqa: ARG002 - the port's
        """Count one entry."""
        self.counts[kind] += 1
        return 0

    def head(self) -> Head:
        """Return the head of an empty journal: nothing is kept."""
        return Head(0, GENESIS)

    async def flush(self) -> None:
        """Do nothing: there is nothing to make durable."""

    def flush_now(self) -> None:
        """Do nothing, likewise."""

    def set_torn_aside(self, at_s: float) -> int:  # noqa: ARG002 - the port's
        """Find nothing: there is no earlier run."""
        return 0

    def entries(
        self,
        kinds: Sequence[str] = (),  # noqa: ARG002 - as above
        *,
        after: int = 0,  # noqa: ARG002
        until: int | None = None,  # noqa: ARG002
    ) -> Iterator[JournalEntry]:
        """Iterate nothing: entries are not kept."""
        return iter(())

    def salvage(
        self,
        lost: Callable[[int, str], object],  # noqa: ARG002 - as above
        *,
        after: int = 0,  # noqa: ARG002
        until: int | None = None,  # noqa: ARG002
    ) -> Iterator[JournalEntry]:
        """Iterate nothing: entries are not kept."""
        return iter(())

    def opened(self, tree: Any, sessions: Sequence[str] = ()) -> Any:  # noqa: ANN401, ARG002 - the port's
        """Return a tree as it is: nothing is sealed."""
        return tree


class CountingLog:
    """Counts samples and discards them.

    Attributes:
        samples: How many there were.
    """

    pending = dropped = 0
    """Nothing waits to be written, or had to be dropped."""

    def __init__(self) -> None:
        self.samples = 0

    def append(self, cycle: int, at_s: float, batch: TelemetryBatch) -> None:  # noqa: ARG002 - the port's
        """Count the samples of one cycle."""
        self.samples += len(batch)

    async def flush(self) -> None:
        """Do nothing."""

    def since(self, from_s: float) -> Iterator[tuple[float, TelemetryBatch]]:  # noqa: ARG002 - the port's
        """Iterate nothing: samples are not kept."""
        return iter(())


class FrameMemory:
    """Metered quarters of an hour as 32-bit frames in memory; implements ``vpp.ports.IntervalMemory``.

    Args:
        keep_days: How far back frames are kept, counted from the newest.
    """

    pending = 0
    """Nothing waits to be written."""

    def __init__(self, *, keep_days: float = 46.0) -> None:
        self._keep_s = keep_days * SECONDS_PER_DAY
        self._frames: dict[int, Frame] = {}
        self._shares: dict[int, Share] = {}
        self._count = 0

    def grow(self, n_resources: int) -> None:
        """Serve a larger fleet."""
        self._count = max(self._count, n_resources)

    def write(self, start_s: float, mean_kw: FloatArray | Frame, completeness: FloatArray) -> None:
        """Store one interval of the whole fleet, NaN where nothing was metered; a 32-bit frame is shared, not copied.

        Raises:
            InputError: It does not start on a quarter of an hour.
        """
        if start_s % STEP_S:
            raise InputError("start_s", start_s, f"a multiple of {STEP_S}")
        self._keep(round(start_s), mean_kw.astype(np.float32, copy=False), completeness.astype(np.float16))
        self.grow(len(mean_kw))
        for old in [s for s in self._frames if s < start_s - self._keep_s]:
            del self._frames[old]
            self._shares.pop(old, None)

    def keep(self, start_s: float, mean_kw: FloatArray | Frame, completeness: FloatArray) -> None:
        """Store one interval; nothing here is slow."""
        self.write(start_s, mean_kw, completeness)

    async def flush(self) -> None:
        """Do nothing: there is nothing to make durable."""

    def forget(self, before_s: float) -> int:
        """Delete the intervals that start before an instant, epoch seconds; return how many."""
        old = [start for start in self._frames if start < before_s]
        for start in old:
            del self._frames[start]
            self._shares.pop(start, None)
        return len(old)

    def import_rows(self, grid: TimeGrid, rows: RowArray, mean_kw: FloatArray) -> int:
        """Merge means of some rows, shape ``(len(rows), grid.count)``; return the number of values stored."""
        self.grow(int(rows.max(initial=-1)) + 1)
        for step, start_s in enumerate(grid.starts_s().tolist()):
            merged = np.full(self._count, np.nan, dtype=np.float32)
            present, share = self._frames.get(round(start_s)), self._share(round(start_s))
            if present is not None:
                merged[: len(present)] = present
            known = np.isfinite(mean_kw[:, step])
            merged[rows[known]] = mean_kw[known, step]
            share[rows[known]] = 1.0
            self._keep(round(start_s), merged, share)
        return int(np.isfinite(mean_kw).sum())

    def read(self, grid: TimeGrid) -> FloatArray:
        """Return mean net power, NaN where too little was metered, shape ``(n_resources, grid.count)``.

        Raises:
            InputError: The grid's step is not the settlement step.
        """
        if grid.step_s != STEP_S:
            raise InputError("grid.step_s", grid.step_s, f"{STEP_S}, the length of a metered interval")
        table = np.full((grid.count, self._count), np.nan)
        for step, start_s in enumerate(grid.starts_s().tolist()):
            frame = self._frames.get(round(start_s))
            if frame is not None:
                table[step, : len(frame)] = frame
                if round(start_s) in self._shares:
                    table[step, self._share(round(start_s)) < LEAST_METERED_RATIO] = np.nan
        return np.ascontiguousarray(table.T)

    def read_completeness(self, grid: TimeGrid) -> FloatArray:
        """Return the share of each interval that was metered, 0 where nothing was, shape as ``read``."""
        return np.array([self._share(round(start_s)) for start_s in grid.starts_s().tolist()], dtype=np.float64).T

    def _keep(self, start: int, frame: Frame, share: Share) -> None:
        """Keep an interval; its completeness only where that is not 1 for every known mean."""
        self._frames[start] = frame
        if np.array_equal(share, np.isfinite(frame)):
            self._shares.pop(start, None)
        else:
            self._shares[start] = share

    def _share(self, start: int) -> Share:
        """Return a copy of the metered shares of one interval, shape ``(n_resources,)``."""
        whole = np.zeros(self._count, dtype=np.float16)
        frame = self._frames.get(start)
        if frame is not None:
            whole[: len(frame)] = self._shares.get(start, np.isfinite(frame))
        return whole


class HeldRegistry:
    """The fleet, held."""

    def __init__(self) -> None:
        self._index = FleetIndex.empty()
        self._former: dict[int, Resource] = {}
        self._history: list[FormerMember] = []

    def fleet_id(self, given: str | None = None) -> str:
        """Return the id of a fleet nobody shares a bus with."""
        return given or "volatile"

    def load(self) -> FleetIndex:
        """Return the fleet as registered so far."""
        return self._index

    def save(self, before: FleetIndex, change: FleetChange, unrecorded: UnrecordedChange | None = None) -> None:
        """Hold the changed fleet, and what it was; what ends with the process needs no entries kept."""
        del unrecorded
        self._former |= {row: before.resources[row] for row in change.leaving}
        self._history += [
            FormerMember(member=one.old, until_s=change.at_s, actor=change.actor)
            for one in change.members
            if one.old is not None
        ]
        self._index = change.applied(before)

    def unrecorded(self) -> UnrecordedChange | None:
        """Return nothing: a process that has ended has left nothing."""
        return None

    def recorded(self) -> None:
        """Keep nothing."""

    def former_devices(self) -> Mapping[int, Resource]:
        """Return the devices that may still hold a value of ours."""
        return self._former

    def forget_devices(self, rows: Sequence[int]) -> None:
        """Forget former devices."""
        for row in rows:
            self._former.pop(row, None)

    def history(self, kind: str, identity: str | None = None) -> list[FormerMember]:
        """Return former versions of members, the oldest first."""
        return [one for one in self._history if kind_of(one.member).name == kind and identity in {None, one.member.id}]


class CountingSequences:
    """Numbers that rise until the process ends."""

    def __init__(self) -> None:
        self._epoch = 0
        self._id = 1

    def next_epoch(self) -> int:
        """Return a leader epoch above every earlier one."""
        self._epoch += 1
        return self._epoch

    def reserve_ids(self, count: int) -> int:
        """Reserve ``count`` command ids and return the first."""
        first, self._id = self._id, self._id + count
        return first


class NoCheckpoints:
    """No checkpoints: nobody restarts from what ends with the process."""

    def newest(self) -> Iterator[Checkpoint]:
        """Iterate nothing."""
        return iter(())

    def sequences(self) -> Sequence[int]:
        """Return none."""
        return ()

    def write(self, checkpoint: Checkpoint) -> None:
        """Keep nothing."""

    def prune(self, keep: int, also: int = 0) -> None:
        """Delete nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolatileMemory:
    """A service's memory that ends with the process; a ``Memory``."""

    archive = None
    """Nothing is archived."""

    journal: CountingJournal = field(default_factory=CountingJournal)
    samples: CountingLog = field(default_factory=CountingLog)
    meters: FrameMemory = field(default_factory=FrameMemory)
    registry: HeldRegistry = field(default_factory=HeldRegistry)
    leases: CountingSequences = field(default_factory=CountingSequences)
    checkpoints: NoCheckpoints = field(default_factory=NoCheckpoints)
