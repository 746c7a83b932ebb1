"""The CPU time of a cycle at city scale, by stage: ``python -m tests.load.fast_loop [--share 0.1] [--profile]``.

Prints CPU milliseconds; asserts nothing.
"""

import argparse
import cProfile
import pstats
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import process_time

import numpy as np

from vpp.dispatch.engine import CycleResult, DispatchEngine
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.request import Direction, NoticeClass, Product, RequestDraft
from vpp.fleet.fleet_state import FleetState
from vpp.lab.bench.journal.city_rows import Devices, city_fleet, flat_schedule, level_baseline, quote_of
from vpp.record.chain import link
from vpp.record.stored_body import stored_body
from vpp.settlement.tracking import Tracker
from vpp.state.image import ProcessImage
from vpp.storage.codec import encode
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.metering import MeteredMeans
from vpp.telemetry.quality import QualityRules

T0 = datetime(2026, 7, 15, 4, 0, tzinfo=UTC)
START = T0 + timedelta(minutes=15)
_SAME_KW = 1e-6
END = START + timedelta(minutes=120)


class Stopwatch:
    """CPU seconds by name."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time a block."""
        began = process_time()
        yield
        self.spent[name].append(process_time() - began)

    def show(self, title: str) -> None:
        """Print milliseconds and forget them."""
        sys.stdout.write(f"--- {title}\n")
        for name, spent in self.spent.items():
            ms = 1e3 * np.array(spent)
            sys.stdout.write(
                f"{name:26s} n={len(ms):4d} mean={ms.mean():9.2f} p50={np.median(ms):9.2f} max={ms.max():9.2f} ms\n"
            )
        self.spent.clear()


class Loop:
    """The fast loop's parts in their order, timed one by one."""

    def __init__(self, share: float, watch: Stopwatch, cycle_s: float) -> None:
        self.watch, self.cycle_s = watch, cycle_s
        with watch("fleet objects"):
            fleet = city_fleet(share)
        with watch("FleetIndex"):
            self.index = type(fleet)(
                areas=fleet.areas,
                operators=fleet.operators,
                transformers=fleet.transformers,
                sites=fleet.sites,
                resources=fleet.resources,
            )
        with watch("engine construction"):
            self.engine = DispatchEngine(self.index, DispatchSettings(cycle_s=cycle_s), self.record)
        self.image = ProcessImage(self.index)
        self.ingest = Ingest(self.image, QualityRules())
        self.devices = Devices(self.index, T0.timestamp())
        with watch("sessions told"):
            self.devices.populate(self.image)
        self.means = MeteredMeans(self.index, T0.timestamp(), QualityRules().stale_s)
        self.schedule = flat_schedule(self.index, T0)
        self.baselines: dict[str, object] = {}
        self.trackers: dict[str, Tracker] = {}
        self.sha256, self.entries, self.bytes = "0" * 64, 0, 0
        self.journal_s = 0.0
        self.sent: list[int] = []
        self.changed: list[int] = []
        self.results: list[CycleResult] = []
        self.whole_city = False

    def record(self, kind: str, at_s: float, body: Mapping[str, object]) -> None:
        """Write and chain a journal entry as the journal would."""
        began = process_time()
        stored = stored_body(body)
        self.entries += 1
        self.bytes += stored.size
        self.sha256 = link(self.sha256, self.entries, kind, at_s, *stored)
        self.journal_s += process_time() - began

    def cycle(self) -> FleetState:
        """Run one cycle."""
        devices, watch = self.devices, self.watch
        devices.advance(self.cycle_s)
        batch = devices.meters(devices.due(self.cycle_s))
        if self.whole_city:
            batch = devices.meters(np.arange(len(self.index), dtype=np.int32))
        with watch("ingest.telemetry"):
            self.ingest.telemetry(batch, devices.now_s)
        with watch("snapshot"):
            state = self.ingest.snapshot(devices.now_s)
            samples, _ = self.ingest.taken()
        with watch("samples encoded"):
            encode(samples)
        with watch("interval means"):
            self.means.take(samples, state.at_s)
        before_s = self.journal_s
        with watch("engine.cycle"):
            result = self.engine.cycle(state, schedule=self.schedule, baselines=self.baselines)
        watch.spent["  of which journal"].append(self.journal_s - before_s)
        self.sent.append(len(result.batch))
        told, holds = result.batch.power_kw, devices.dispatch[result.batch.rows]
        self.changed.append(int(np.count_nonzero(~(np.abs(told - holds) <= _SAME_KW))))
        answers = devices.obey(result.batch)
        with watch("engine.outcomes"):
            self.engine.outcomes(answers)
        for progress in result.progress:
            tracker = self.trackers.get(progress.request_id)
            if tracker is not None:
                with watch("tracker.observe"):
                    tracker.observe(state, target_kw=progress.target_kw, baseline_kw=progress.baseline_kw)
        self.results.append(result)
        return state

    def run(self, until: datetime) -> None:
        """Cycle until then."""
        while self.devices.now_s < until.timestamp():
            self.cycle()

    def commit(self, target_kw: float, rebound_cap_kw: float | None) -> None:
        """Accept a cut of the whole city's net load."""
        now = datetime.fromtimestamp(self.devices.now_s, tz=UTC)
        draft = RequestDraft(
            product=Product.PEAK_SHAVING,
            direction=Direction.UP,
            target_kw=target_kw,
            area="city",
            start_at=START,
            end_at=END,
            notice_class=NoticeClass.FAST,
            rebound_cap_kw=rebound_cap_kw,
        )
        book = self.engine.book
        request, _ = book.submit(draft, key=None, actor="load", now=now, known_areas=())
        book.quoted(request.id, quote_of(target_kw, start_at=START, expires_at=now + timedelta(minutes=5)), now)
        baseline = level_baseline(self.index, self.devices.power, T0, 20)
        self.baselines[request.id] = baseline
        everyone = np.ones(len(self.index), dtype=np.bool_)
        self.trackers[request.id] = Tracker(baseline=baseline, portfolio=everyone, direction=Direction.UP)
        book.accept(request.id, offer=None, actor="load", now=now)

    def told(self) -> None:
        """Print what was sent and journalled since the last time."""
        sent = np.array(self.sent)
        rows = len(self.index)
        sys.stdout.write(
            f"commands per cycle mean={sent.mean():.1f} ({100 * sent.mean() / rows:.3f} %) max={sent.max()}, "
            f"of which changed a setpoint {np.mean(self.changed):.1f} ({100 * np.mean(self.changed) / rows:.3f} %), "
            f"journal {self.bytes / len(sent) / 1e3:.1f} kB a cycle\n"
        )
        for progress in self.results[-1].progress:
            sys.stdout.write(
                f"{progress.phase.value}: target {progress.target_kw:.0f} delivered {progress.delivered_kw:.0f} "
                f"rows {progress.rows} shortfall {progress.shortfall}\n"
            )
        self.sent.clear()
        self.changed.clear()
        self.bytes = 0


def main() -> None:
    """Run idle cycles, a ramp, a hold and a release."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--target-mw", type=float, default=1000.0)
    parser.add_argument("--cycle-s", type=float, default=10.0)
    parser.add_argument("--hold-minutes", type=float, default=10.0)
    parser.add_argument("--rebound-cap-mw", type=float, default=None)
    parser.add_argument("--release", action="store_true")
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    watch = Stopwatch()
    loop = Loop(args.share, watch, args.cycle_s)
    watch.show("set-up")
    loop.run(T0 + timedelta(minutes=1))
    watch.show("first cycles (default values go out)")
    loop.told()
    profiled = _profiled if args.profile else _plain
    profiled("idle", lambda: loop.run(T0 + timedelta(minutes=4)), loop)
    loop.whole_city = True
    profiled("idle, everybody reports every cycle", lambda: loop.run(T0 + timedelta(minutes=4.5)), loop)
    loop.whole_city = False
    loop.commit(1e3 * args.target_mw * args.share, args.rebound_cap_mw and 1e3 * args.rebound_cap_mw * args.share)
    profiled("ramp", lambda: loop.run(START), loop)
    profiled("hold", lambda: loop.run(START + timedelta(minutes=args.hold_minutes)), loop)
    if args.release:
        loop.run(END)
        profiled("release", lambda: loop.run(END + timedelta(minutes=30)), loop)


def _plain(title: str, work: Callable[[], None], loop: Loop) -> None:
    work()
    loop.watch.show(title)
    loop.told()


def _profiled(title: str, work: Callable[[], None], loop: Loop) -> None:
    profile = cProfile.Profile(process_time)
    profile.runcall(work)
    loop.watch.show(title)
    loop.told()
    pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(28)


if __name__ == "__main__":
    main()
