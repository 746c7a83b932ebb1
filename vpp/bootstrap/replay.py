"""Replay of the journal: every recorded cycle decided again."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from optimizer.heap import keep_freed_memory
from vpp.application.cycle_record import baseline_of, schedule_of, session_of
from vpp.application.delivery.baseline_freezing import BASELINE
from vpp.application.delivery.measurement import counted
from vpp.application.delivery.past_delivery import PastDelivery
from vpp.application.loops.cycle_inputs import CYCLE, TICK
from vpp.application.loops.slow_loop import INTENDED, PLAN
from vpp.application.recovery.folded_state import FoldedState
from vpp.application.recovery.restart import date_back, engine_version, newest_good
from vpp.application.registry.fleet_history import FleetMemory
from vpp.application.row_alignment import fitted_flags
from vpp.bootstrap.parts.policies import dispatch_settings
from vpp.bootstrap.parts.restoration import STARTED, plan_at
from vpp.bootstrap.record.replay_reach import ReplayReach
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.dispatch.commands.journal_codec import OUTCOMES, SENT, outcomes_from, sent_from
from vpp.dispatch.engine import DispatchEngine
from vpp.dispatch.regulation.agc_signal import SIGNAL
from vpp.dispatch.requests.book import TRANSITION
from vpp.dispatch.requests.forgotten import FORGOTTEN, Batch, batch_of
from vpp.domain.performance import Baseline
from vpp.domain.schedule import Schedule
from vpp.domain.setpoint import SetpointBatch
from vpp.domain.telemetry import BoolArray, IdArray, TelemetryBatch
from vpp.domain.timegrid import instant
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.changes import CHANGED, CONNECTED, LEFT, left_rows
from vpp.ports import Journal
from vpp.record.entry import JournalEntry
from vpp.state.image import ProcessImage
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.quality import QualityRules

_SHOWN = 5


def run_replay(settings: Settings, *, last: bool = False, as_json: bool) -> int:
    """Decide every recorded cycle again, or those of the last run; return 0 only if every setpoint came out as sent."""
    keep_freed_memory()
    store = Store.open(settings.database_url, archive=settings.archive_place)
    try:
        verdict = Replay(settings, store, last=last).run()
    finally:
        store.close()
    console = Console(stderr=True)
    for line in verdict.differences[:_SHOWN]:
        console.print(line)
    if as_json:
        sys.stdout.write(json.dumps(verdict.body()) + "\n")
    else:
        sys.stdout.write(verdict.text())
    return 1 if verdict.differences else 0


@dataclass(slots=True, kw_only=True)
class Verdict:
    """Findings of a replay.

    Attributes:
        cycles: Cycles decided again.
        ticks: Steps between two cycles that were.
        setpoints: Setpoints that came of both.
        differences: What came out otherwise than it was sent, in words.
        undecided: Number of cycles that cannot be decided again, by what is not kept any more.
    """

    cycles: int
    ticks: int
    setpoints: int
    differences: list[str]
    undecided: dict[str, int]

    def text(self) -> str:
        """Return it as people read it."""
        found = f"{self.cycles} cycles, {self.setpoints} setpoints, {len(self.differences)} differences"
        return "\n".join(
            [found, *(f"{n} cycles cannot be decided again: {why}" for why, n in self.undecided.items()), ""]
        )

    def body(self) -> dict[str, object]:
        """Return it as JSON-like content."""
        return {
            "cycles": self.cycles,
            "ticks": self.ticks,
            "setpoints": self.setpoints,
            "differences": len(self.differences),
            "undecided": sum(self.undecided.values()),
            "undecided_why": dict(self.undecided),
        }


class Replay:
    """Replays journal and telemetry of the runs of the service through fresh engines, in one pass.

    Args:
        settings: Of the service.
        store: Everything durable.
        last: Replay the last run only, from the checkpoint that it was restored from.
    """

    def __init__(self, settings: Settings, store: Store, *, last: bool = False) -> None:
        self._settings = settings
        self._store = store
        self._whole = store.registry.load()
        self._folded = FoldedState(lambda: self._whole, dispatch_settings(settings))
        self._first, from_s = self._start_of_last() if last else self._start_of_all()
        date_back(self._folded, store.journal)
        self._fleet = FleetMemory.before(self._whole, store.journal, self._folded.sequence)
        self._frames = store.samples.iterate(from_s=from_s)
        self._ahead = next(self._frames, None)
        kept_from_s = float("inf") if self._ahead is None else self._ahead.at_s
        self._reach = ReplayReach(store.journal, base=self._folded.sequence, frames_from_s=kept_from_s)
        self._verdict = Verdict(cycles=0, ticks=0, setpoints=0, differences=[], undecided={})

    def run(self) -> Verdict:
        """Replay the runs in order."""
        run: _Run | None = None
        journal = self._store.journal
        for passed_over in journal.entries((CYCLE,), until=self._folded.sequence) if not self._first else ():
            self._leave_undecided(passed_over)
        entries = track(
            journal.entries(after=self._folded.sequence),
            total=journal.head().sequence - self._folded.sequence,
            description="replaying",
            console=Console(stderr=True),
        )
        for group in _by_cycle(entries):
            started = group[0]
            if started.kind == STARTED and started.sequence >= self._first:
                self._reach.begin()
                run = None
                if not self._reach.why:
                    run = _Run(self._settings, self._fleet, self._folded, started, journal)
            samples = self._samples_of(started) if run is not None and started.kind == CYCLE else None
            if started.kind in {CYCLE, TICK} and not self._reach.reaches(started, samples):
                run = None
                self._leave_undecided(started)
            if run is not None:
                self._replay_group(run, group, samples)
            else:
                self._fleet.follow(group)
            self._folded.follow(group)
        return self._verdict

    def _leave_undecided(self, entry: JournalEntry) -> None:
        if entry.kind == CYCLE and entry.sequence >= self._first:
            why = self._reach.why
            self._verdict.undecided[why] = self._verdict.undecided.get(why, 0) + 1

    def _start_of_all(self) -> tuple[int, float]:
        """Load the oldest good checkpoint where the first entries were pruned; return what to replay from."""
        first = next(iter(self._store.journal.entries()), None)
        if first is None or first.sequence == 1:
            return 0, float("-inf")
        for sequence in self._store.checkpoints.sequences():
            self._folded = self._restored(sequence)
            if self._folded.sequence == sequence:
                break
        return 0, float("-inf")

    def _start_of_last(self) -> tuple[int, float]:
        """Load the newest checkpoint before the last run; return the position and instant of its first entry."""
        journal = self._store.journal
        starts = [(entry.sequence, entry.at_s) for entry in journal.entries((STARTED,))]
        sequence, at_s = max(starts, default=(0, float("-inf")))
        self._folded = self._restored(sequence)
        return sequence, at_s

    def _restored(self, until: int) -> FoldedState:
        """Return the state of the newest good checkpoint not beyond an entry, a fresh one where there is none."""
        return newest_good(
            lambda: FoldedState(lambda: self._whole, dispatch_settings(self._settings)),
            self._store.journal,
            self._store.checkpoints,
            version=engine_version(version("vpp")),
            until=until,
        )

    def _replay_group(self, run: "_Run", group: Sequence[JournalEntry], samples: TelemetryBatch | None) -> None:
        if group[0].kind == CYCLE:
            self._decide_again(run, group, samples)
        elif group[0].kind == TICK:
            self._tick_again(run, group)
        run.follow(group)

    def _decide_again(self, run: "_Run", group: Sequence[JournalEntry], samples: TelemetryBatch | None) -> None:
        cycle = int(_number(group[0].body["cycle"]))
        sent = [entry for entry in group if entry.kind == SENT]
        batch = run.cycle(group, TelemetryBatch.of([]) if samples is None else samples, sent)
        self._verdict.cycles += 1
        self._verdict.setpoints += len(batch)
        recorded: Mapping[str, Any] = sent[0].body if sent else {}
        difference = "its samples are missing" if samples is None else _difference(batch, recorded)
        if difference:
            self._verdict.differences.append(f"cycle {cycle}: {difference}")

    def _tick_again(self, run: "_Run", group: Sequence[JournalEntry]) -> None:
        sent = [entry for entry in group if entry.kind == SENT]
        batch = run.tick(group, sent)
        self._verdict.ticks += 1
        self._verdict.setpoints += len(batch)
        difference = _difference(batch, sent[0].body if sent else {})
        if difference:
            self._verdict.differences.append(f"tick of {instant(group[0].at_s).isoformat()}: {difference}")

    def _samples_of(self, entry: JournalEntry) -> TelemetryBatch | None:
        """Return the samples of one cycle; those of a cycle cut short before its decision are skipped."""
        cycle = int(_number(entry.body["cycle"]))
        while self._ahead is not None and self._ahead.at_s <= entry.at_s:
            frame, self._ahead = self._ahead, next(self._frames, None)
            if (frame.cycle, frame.at_s) == (cycle, entry.at_s):
                return frame.batch
        return None


class _Run:
    """One run of the service, from its start to its end."""

    def __init__(
        self, settings: Settings, fleet: FleetMemory, before: FoldedState, started: JournalEntry, journal: Journal
    ) -> None:
        self._fleet = fleet
        index = fleet.index.first(resources=int(_number(started.body["resources"])))
        self._ids: IdArray = np.empty(0, dtype=np.int64)
        self._engine = DispatchEngine(
            index,
            dispatch_settings(settings),
            lambda *_: None,
            take_ids=self._take_ids,
            epoch=int(_number(started.body["epoch"])),
        )
        self._image = ProcessImage(index)
        self._ingest = Ingest(self._image, QualityRules(stale_s=settings.stale_s))
        # Runs of earlier versions began without the plan of the run before.
        plan = int(_number(started.body.get("plan", 0)))
        self._schedule = plan_at(journal, plan, started.at_s)
        self._intended: Schedule | None = None
        self._baselines: dict[str, Baseline] = {}
        self._portfolios: dict[str, BoolArray] = {}
        state = before.state()
        self._engine.load(state["dispatch"], started.at_s)
        self._image.load_sessions(state["charging"])
        past = PastDelivery(journal=journal, baselines=dict(before.delivery.baselines))
        for request in self._engine.book.running(started.at_s):
            if request.id in past.baselines:
                self._keep(request.id, past.baseline(request.id))

    def cycle(
        self, group: Sequence[JournalEntry], samples: TelemetryBatch, sent: Sequence[JournalEntry]
    ) -> SetpointBatch:
        """Decide one cycle again."""
        self._image.write(samples)
        # Anchors as recorded: a fleet that grows between two cycles is snapshotted then, too.
        restore_sessions(self._image, group[0])
        self._hear(group, sent)
        state = self._ingest.snapshot(group[0].at_s)
        return self._engine.cycle(
            state,
            schedule=self._schedule,
            baselines=self._baselines,
            portfolios=self._portfolios,
            redispatch=self._intended,
        ).batch

    def tick(self, group: Sequence[JournalEntry], sent: Sequence[JournalEntry]) -> SetpointBatch:
        """Follow the regulation signals again between two cycles."""
        self._hear(group, sent)
        return self._engine.tick(group[0].at_s)

    def _hear(self, group: Sequence[JournalEntry], sent: Sequence[JournalEntry]) -> None:
        for entry in group:
            if entry.kind == OUTCOMES:
                self._engine.outcomes(outcomes_from(entry.body))
        self._ids = sent_from(sent[0].body).ids if sent else np.empty(0, dtype=np.int64)

    def follow(self, group: Sequence[JournalEntry]) -> None:
        """Apply acts of dispatchers and new plans after the cycle."""
        for entry in group:
            if entry.kind == TRANSITION and not self._has(entry.body):
                self._engine.book.restore([entry])
            elif entry.kind == SIGNAL:
                self._engine.regulation.portfolio.restore([entry])
            elif entry.kind == FORGOTTEN:
                self._forget(batch_of(entry))
            elif entry.kind == PLAN:
                self._schedule = schedule_of(entry.body)
            elif entry.kind == INTENDED:
                self._intended = schedule_of(entry.body) if entry.body else None
            elif entry.kind == CONNECTED:
                self._grow(self._fleet.index.first(resources=int(_number(entry.body["resources"]))))
            elif entry.kind in {CHANGED, LEFT}:
                self._fleet.follow((entry,))
                if entry.kind == LEFT:
                    self._engine.forget(left_rows(entry.body))
                    self._image.vacate(left_rows(entry.body))
                self._grow(self._fleet.index)
            self._take_baseline(entry)

    def _has(self, body: Mapping[str, Any]) -> bool:
        known = {request.id: request.version for request in self._engine.book.all()}
        return bool(known.get(body["id"], 0) >= body["version"])

    def _take_baseline(self, entry: JournalEntry) -> None:
        if entry.kind == BASELINE:
            self._keep(str(entry.body["request_id"]), baseline_of(entry.body))

    def _keep(self, request_id: str, baseline: Baseline) -> None:
        self._baselines[request_id] = baseline
        draft = self._engine.book.get(request_id).draft
        self._portfolios[request_id] = counted(draft, baseline, self._image.index)

    def _forget(self, batch: Batch) -> None:
        self._engine.forget_requests(batch)
        for request_id in batch.ids:
            self._baselines.pop(request_id, None)
            self._portfolios.pop(request_id, None)

    def _grow(self, index: FleetIndex) -> None:
        self._image.resize(index)
        self._engine.resize(index)
        self._portfolios = {name: fitted_flags(rows, len(index)) for name, rows in self._portfolios.items()}

    def _take_ids(self, count: int) -> IdArray:
        """Return the ids of the record; where the decision differs it shows in the comparison, not here."""
        return np.resize(self._ids, count) if len(self._ids) else np.arange(1, count + 1, dtype=np.int64)


def restore_sessions(image: ProcessImage, entry: JournalEntry) -> None:
    """Write the charging sessions and the anchored states of charge of a journalled cycle into the image."""
    events: Any = entry.body["sessions"]
    for body in events:
        image.write_session(session_of(body))
    anchors: Any = entry.body["anchors"]
    for row, soc in anchors:
        image.anchor(row, soc)


def _by_cycle(entries: Iterable[JournalEntry]) -> Iterator[list[JournalEntry]]:
    """Iterate groups of entries, each but perhaps the first beginning with a run, a cycle, or a tick between two."""
    number = 0

    def cycle_of(entry: JournalEntry) -> int:
        nonlocal number
        number += entry.kind in {STARTED, CYCLE, TICK}
        return number

    for _, group in groupby(entries, key=cycle_of):
        yield list(group)


def _difference(batch: SetpointBatch, recorded: Mapping[str, Any]) -> str:
    """Return how what was decided differs from what was sent; empty if it does not."""
    sent = sent_from(recorded) if recorded else batch.take(np.empty(0, dtype=np.int64))
    for name in ("rows", "layers", "power_kw", "until_s"):
        decided, as_sent = getattr(batch, name), getattr(sent, name)
        if not np.array_equal(decided, as_sent, equal_nan=name == "power_kw"):
            return f"{name} came out as {decided[:_SHOWN].tolist()}…, sent were {as_sent[:_SHOWN].tolist()}…"
    return ""


def _number(value: object) -> float:
    return float(str(value))
