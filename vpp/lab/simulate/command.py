"""``vpp simulate``: composition of the city, the simulated day, and its outputs."""

import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from optimizer.heap import keep_freed_memory
from vpp.api.schemas.standing.availability import AvailabilityView
from vpp.bootstrap.runner import run
from vpp.bootstrap.volatile_store import Memory, VolatileMemory
from vpp.domain.request import Product
from vpp.domain.timegrid import instant
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE
from vpp.fleet.calendar import SHANGHAI
from vpp.lab.compose.input_files import InputFiles
from vpp.lab.compose.standing_file import standing_file
from vpp.lab.simulate.calls import drawn_calls
from vpp.lab.simulate.city import CpuMeter, VirtualCity, fresh_twin, virtual_settings
from vpp.lab.simulate.day import Day, Pace
from vpp.lab.simulate.outcome import Outcome, print_summary, summary_of
from vpp.lab.simulate.outputs import write_outputs
from vpp.lab.simulate.planned_requests import PlannedRequest, planned_requests, request_bodies, requests_of_days
from vpp.lab.simulate.presets import Preset, own_fleet, preset
from vpp.lab.simulate.prices import prices_from_csv
from vpp.lab.simulate.recorder import MinuteRecorder
from vpp.lab.simulate.tables import TransformerTable
from vpp.lab.twin.environment.environment import weather_of
from vpp.lab.twin.environment.session_conduct import conducted_sessions
from vpp.lab.twin.environment.world_file import HOSTILE, world
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.population.sessions import SessionSource
from vpp.lab.twin.truth import TruthRecorder, final_defaults_kw
from vpp.runtime.observability import configure_logging

_PREROLL_STEP_S = 300.0
"""Step of the week before, of which only quarters of an hour are kept."""

_BREATH_S = 6 * 3600.0
_WARM_UP_S = 15.0 * SECONDS_PER_MINUTE
"""Lead of the service's start before midnight, so that the day begins with a plan."""

_KEPT_FREE_RATIO = 1.2
"""Power that plans keep free for regulation, as a multiple of what will be asked; the rest makes up for losses."""

_DAY_MINUTES = 24 * 60
_SETTLED_MINUTES = 6 * 60
"""What a request at the end of the last day needs to be settled."""

STOPPED = 130
"""Exit code after Ctrl-C, as shells know it."""

_SETTINGS = {
    "sample_s": 60.0,
    "cycle_s": Pace().busy_s,
    "rebound_watch_minutes": 60.0,
    # A day must not depend on how busy the machine was, so the ladder is for solvers that fail, not for slow ones.
    "plan_deadline_wall_s": 600.0,
}
_PLANNING_S = 900.0
"""Plans are made a planning period ahead, beside the cycles of that period."""
_ANSWER_S = 600.0
"""Re-dispatch for a request is computed beside the cycles of ten minutes, which the fast loop corrects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateOptions:
    """Options of ``vpp simulate``; see its ``--help``."""

    preset: str
    fleet: Path | None
    scale: float
    day: date | None
    requests: Sequence[str]
    inputs: InputFiles
    share: float
    hours: float
    seed: int
    out: Path
    world: str = HOSTILE
    hours_known: bool = False
    standing: str | None = None
    days: int = 1
    calls_per_day: float = 0.0
    sure: bool = False
    learns: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """What a run is given from outside by whoever plays it.

    Attributes:
        memory: Stores of the service.
        founded: Called with the city once its fleet is connected and has a plan, before the first day.
    """

    memory: Memory = field(default_factory=VolatileMemory)
    founded: Callable[[VirtualCity], None] = lambda _: None


def run_simulate(options: SimulateOptions, *, as_json: bool) -> int:
    """Simulate a day and return the exit code: 0 once it was played to its end, 130 after Ctrl-C."""
    console = Console(stderr=True, highlight=False)
    summary, finished = simulated(options, console)
    print_summary(console, summary, options.out)
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
    return 0 if finished else STOPPED


def simulated(
    options: SimulateOptions, console: Console, company: Company | None = None
) -> tuple[dict[str, Any], bool]:
    """Play the days, write the outputs, and return the summary and whether they were played to their end."""
    began_s = time.perf_counter()
    configure_logging(json=False, level="error")
    keep_freed_memory()
    simulation = Simulation(options, console, company)
    finished = run(simulation.run())
    return simulation.finish(began_s, complete=finished is not None), finished is not None


class Simulation:
    """One run: reads, composes, plays and writes.

    Args:
        options: Of the command.
        console: Shows progress.
        company: What it is given from outside.
    """

    def __init__(self, options: SimulateOptions, console: Console, company: Company | None = None) -> None:
        self._options = options
        self._company = company or Company()
        self._console = console
        self._cpu = CpuMeter()
        self._world = world(options.world)
        given = options.inputs.weather is not None
        self._weather = options.inputs.read_weather() if given else weather_of(self._world, seed=options.seed)
        prices = options.inputs.prices
        self._tariff = None if prices is None else prices_from_csv(prices)
        own = options.inputs.read_sessions(options.seed)
        self._sessions: SessionSource = conducted_sessions(own, self._world, seed=options.seed)
        with self._cpu.of("preset"):
            self._preset = own_fleet(options.fleet) if options.fleet else preset(options.preset, scale=options.scale)
        day = options.day or self._preset.day
        self._midnight_s = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI).timestamp()
        options.out.mkdir(parents=True, exist_ok=True)
        self._standing = None if options.standing is None else standing_file(options.standing, options.out)
        self._planned = _planned_requests(options, self._preset, day)
        self._loads = TransformerTable(
            self._preset.fleet, options.out / "transformers.parquet", from_s=self._midnight_s
        )
        self._day: Day | None = None
        self._recorder: MinuteRecorder | None = None

    @property
    def hours_known(self) -> bool:
        """The preset's reserve is held: the hours in which it is called are known before any request."""
        return self._options.hours_known or self._world.hours_known

    @property
    def played_s(self) -> float:
        """Seconds of the day that have been played."""
        return 0.0 if self._day is None else max(self._day.city.clock.now_s() - self._midnight_s, 0.0)

    async def run(self) -> bool:
        """Play the day; return true once it was played to its end."""
        with self._progress() as progress, tempfile.TemporaryDirectory(prefix="vpp-simulate-") as data:
            city = await self._started(progress, Path(data))
            try:
                await self._play(progress, city)
            finally:
                await city.close()
        return True

    def finish(self, began_s: float, *, complete: bool) -> dict[str, Any]:
        """Write the outputs and return the summary."""
        began_cpu_s = time.thread_time()
        self._loads.close()
        outcome = None
        if self._day is not None and self._recorder is not None:
            outcome = Outcome.of(
                self._day, loads=self._loads, recorder=self._recorder, from_s=self._midnight_s, complete=complete
            )
        summary = summary_of(outcome, self._preset, scale=self._options.scale, seed=self._options.seed)
        summary |= {"world": self._world.title, "hours_known": self.hours_known, "days": self._options.days}
        summary |= {} if self._standing is None else {"standing": self._kept()}
        if outcome is not None:
            write_outputs(self._options.out, outcome, summary)
        self._cpu.cpu_s["output"] += time.thread_time() - began_cpu_s
        summary["cpu_by_part_s"] = {part: round(s, 2) for part, s in sorted(self._cpu.cpu_s.items())}
        summary["wall_s"] = round(time.perf_counter() - began_s, 1)
        summary["cpu_s"] = round(_cpu_s(), 1)
        summary["peak_rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0)
        text = json.dumps(summary, indent=2, ensure_ascii=False)
        (self._options.out / "summary.json").write_text(text + "\n", encoding="utf-8")
        return summary

    def _kept(self) -> list[dict[str, Any]]:
        """Return what each standing commitment kept available and what that pays, by day."""
        if self._day is None:
            return []
        parts = self._day.city.service.requests
        days = [day for one in parts.standing.service.all() for day in parts.availability.days(one)]
        return [AvailabilityView.of(day).model_dump(mode="json") for day in days]

    async def _started(self, progress: Progress, data: Path) -> VirtualCity:
        fleet, begin_s = self._preset.fleet, self._midnight_s - _WARM_UP_S
        bar = progress.add_task(f"the week before, {len(fleet):,} devices", total=None)
        twin = await self._prerolled(begin_s)
        minutes = self._options.days * _DAY_MINUTES + _SETTLED_MINUTES
        self._recorder = MinuteRecorder(fleet, start_s=self._midnight_s, minutes=minutes)
        city = VirtualCity(
            twin,
            settings=virtual_settings(data, **(_SETTINGS | self._regulation() | self._reserve() | self._promised())),
            memory=self._company.memory,
            recorder=TruthRecorder(twin, installed_kw=final_defaults_kw(fleet), loads=self._loads.take),
            observer=self._recorder.observe,
            tariff=self._tariff,
            planning_s=_PLANNING_S,
            answer_s=_ANSWER_S,
            scraped=False,
            ordinary=True,
        )
        city.cpu = self._cpu
        progress.update(bar, description="connecting the fleet, first plan")
        await city.found()
        self._recorder.follow(city.service.requests.measurement, city.service.core.engine)
        self._company.founded(city)
        progress.remove_task(bar)
        return city

    def _reserve(self) -> dict[str, float | str]:
        """Return the preset's reserve settings, where its hours are known beforehand.

        None for a day of regulation alone, which keeps its own power free.
        """
        if not self.hours_known:
            return {}
        if self._planned and all(one.draft.product is Product.REGULATION for one in self._planned):
            return {}
        recovery_kw = self._preset.reserve_recovery_kw
        return {"reserve_windows": self._preset.reserve_windows} | (
            {} if recovery_kw is None else {"reserve_recovery_kw": recovery_kw}
        )

    def _promised(self) -> dict[str, float | str]:
        """Return the settings of the standing commitments that the plan knows, and of the refill between their calls.

        The refill follows from the rebound cap that the calls of this city have, whenever they come.
        """
        if self._standing is None:
            return {}
        recovery_kw = self._preset.reserve_recovery_kw
        return {"standing_commitments": str(self._standing)} | (
            {} if recovery_kw is None else {"reserve_recovery_kw": recovery_kw}
        )

    def _regulation(self) -> dict[str, float]:
        """Return the settings of a service that follows a regulation signal: power kept free, and fresh meters."""
        asked_kw = [one.draft.target_kw for one in self._planned if one.draft.product is Product.REGULATION]
        if not asked_kw:
            return {}
        return {"sample_s": Pace().regulating_s, "regulation_kw": _KEPT_FREE_RATIO * max(asked_kw)}

    async def _prerolled(self, begin_s: float) -> Twin:
        options = self._options
        with self._cpu.of("pre-roll"):
            twin = fresh_twin(
                self._preset.fleet,
                self._sessions,
                begin_s=begin_s,
                seed=options.seed,
                weather=self._weather,
                promised_share=self._preset.promised_share,
                world=self._world,
            )
            while twin.now_s < begin_s:
                twin.advance(min(begin_s, twin.now_s + _BREATH_S), step_s=_PREROLL_STEP_S)
                await asyncio.sleep(0)  # a signal may be waiting
        return twin

    async def _play(self, progress: Progress, city: VirtualCity) -> None:
        options, begin_s = self._options, city.clock.now_s()
        end_s = self._midnight_s + SECONDS_PER_DAY * (options.days - 1) + SECONDS_PER_HOUR * options.hours
        self._day = day = Day(
            city=city,
            planned=self._planned,
            end_s=end_s,
            share=options.share,
            seed=options.seed,
            sure=options.sure,
            learns=options.learns,
        )
        bar = progress.add_task("", total=end_s - begin_s)
        more, printed_s, began_s = True, begin_s, time.perf_counter()
        while more:
            more = await day.step()
            now_s = city.clock.now_s()
            status = _status(now_s, city)
            progress.update(bar, completed=now_s - begin_s, total=day.last_s - begin_s, description=status)
            if not self._console.is_terminal and now_s >= printed_s + SECONDS_PER_HOUR:
                printed_s = now_s
                self._console.print(f"{status}  after {time.perf_counter() - began_s:,.0f} s")

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )


def _planned_requests(options: SimulateOptions, chosen: Preset, day: date) -> list[PlannedRequest]:
    """Return the requests of all days; drawn ones are also written out, to be played again with ``--request``."""
    if options.calls_per_day:
        usual_kw = max((float(body["target_kw"]) for body in chosen.requests), default=0.0)
        bodies = drawn_calls(
            day, days=options.days, per_day=options.calls_per_day, usual_kw=usual_kw, seed=options.seed
        )
        (options.out / "requests.json").write_text(json.dumps(bodies, indent=1) + "\n", encoding="utf-8")
        return planned_requests(bodies, day, name="drawn call")
    if options.requests:
        bodies, name = [body for text in options.requests for body in request_bodies(text)], "--request"
    else:
        bodies, name = [dict(body) for body in chosen.requests], f"preset {chosen.name}, request"
    return requests_of_days(bodies, day, options.days, name=name)


def _status(now_s: float, city: VirtualCity) -> str:
    running = city.service.requests.running.progress.values()
    progress = "".join(f"  {p.phase.value} {p.delivered_kw / 1e3:,.0f} of {p.target_kw / 1e3:,.0f} MW" for p in running)
    return f"{instant(now_s).astimezone(SHANGHAI):%m-%d %H:%M}{progress}"


def _cpu_s() -> float:
    """Return processor seconds of this process and of the solvers it ran."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
