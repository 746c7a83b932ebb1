"""Stretches: days of one seed that are played as one run, their results kept in a folder.

A stretch begins with a fresh city of the same seed, a week of history, and what the stretch before learnt; quotes that
waited for their windows at its end are dropped. So a run can be continued, and no run is longer than a stretch.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from vpp.bootstrap.volatile_store import VolatileMemory
from vpp.domain.units import SECONDS_PER_DAY
from vpp.fleet.calendar import day_grid
from vpp.lab.compose.input_files import InputFiles
from vpp.lab.honesty.judged_windows import JudgedWindows
from vpp.lab.honesty.true_calls import TrueCall, call_bodies, true_calls
from vpp.lab.honesty.window_collector import WindowCollector, WindowJournal
from vpp.lab.simulate.city import VirtualCity
from vpp.lab.simulate.command import Company, SimulateOptions, simulated
from vpp.lab.simulate.presets import preset
from vpp.record.state_codec import decode_state, encode_state

_WINDOWS, _RESULT, _LEARNT = "windows.parquet", "result.json", "learnt.bin"
_TRANSFORMERS = "transformers.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What all stretches of a run have in common.

    Attributes:
        preset: City.
        scale: Its size.
        world: World it is played in.
        first: The first day.
        calls_per_day: Calls a day, on average.
        stretch_days: Days of a whole stretch.
    """

    preset: str
    scale: float
    world: str
    first: date
    calls_per_day: float
    stretch_days: int

    def body(self) -> dict[str, Any]:
        """Return it as JSON-like values."""
        return {
            "preset": self.preset,
            "scale": self.scale,
            "world": self.world,
            "first": self.first.isoformat(),
            "calls_per_day": self.calls_per_day,
            "stretch_days": self.stretch_days,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """Results of a stretch.

    Attributes:
        windows: The windows that were judged.
        calls: The calls whose truth is known.
        totals: ``days`` played, ``calls_asked``, ``left_out`` (windows by reason), ``promises_broken``, ``sessions``,
            ``caps_broken``, ``cpu_s``.
    """

    windows: JudgedWindows
    calls: tuple[TrueCall, ...]
    totals: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One stretch.

    Attributes:
        course: What it shares with the others.
        seed: Of the city.
        days: Numbers of its days, counted from the course's first.
        folder: Where its results are kept.
        before: Folder of the stretch before it, ``None`` for the first.
    """

    course: Course
    seed: int
    days: range
    folder: Path
    before: Path | None

    @property
    def is_played(self) -> bool:
        """Its results are there, of at least as many days."""
        path = self.folder / _RESULT
        return path.is_file() and int(json.loads(path.read_bytes())["totals"]["days"]) >= len(self.days)

    def play(self, passed: Callable[[float], None]) -> bool:
        """Play it and keep its results; return whether it was played to its end, otherwise nothing is kept.

        Args:
            passed: Called with the days played so far, again and again.

        Raises:
            VppError: An option is not accepted.
        """
        first = self.course.first + timedelta(days=self.days.start)
        from_s = day_grid(first).start_s
        collector = WindowCollector(seed=self.seed, from_s=from_s, until_s=from_s + SECONDS_PER_DAY * len(self.days))

        def take(body: Mapping[str, Any]) -> None:
            collector.take(body)
            passed(min(max((float(body["at_s"]) - from_s) / SECONDS_PER_DAY, 0.0), float(len(self.days))))

        cities: list[VirtualCity] = []
        company = Company(memory=VolatileMemory(journal=WindowJournal(take)), founded=self._begun(cities))
        summary, finished = simulated(self._options(first), Console(quiet=True), company)
        if finished:
            collector.windows().write(self.folder / _WINDOWS)
            book = cities[0].service.requests.shadows.book
            (self.folder / _LEARNT).write_bytes(encode_state(book.state() | {"open": [], "left_out": {}}))
            self._keep(summary, dict(book.left_out))
        return finished

    def read(self) -> Played:
        """Return the results that are kept; raises OSError."""
        body = json.loads((self.folder / _RESULT).read_bytes())
        return Played(
            windows=JudgedWindows.read(self.folder / _WINDOWS),
            calls=tuple(TrueCall.from_body(one) for one in body["calls"]),
            totals=body["totals"],
        )

    def _begun(self, cities: list[VirtualCity]) -> Callable[[VirtualCity], None]:
        def begun(city: VirtualCity) -> None:
            cities.append(city)
            if self.before is not None:
                city.service.requests.shadows.resume(decode_state((self.before / _LEARNT).read_bytes()))

        return begun

    def _options(self, first: date) -> SimulateOptions:
        course = self.course
        bodies = call_bodies(
            course.first,
            days=self.days,
            per_day=course.calls_per_day,
            preset=preset(course.preset, scale=course.scale),
            seed=self.seed,
        )
        return SimulateOptions(
            preset=course.preset,
            fleet=None,
            scale=course.scale,
            day=first,
            requests=(json.dumps(bodies),),
            inputs=InputFiles(),
            share=1.0,
            hours=24.0,
            seed=self.seed,
            out=self.folder,
            world=course.world,
            days=len(self.days),
            sure=True,
            learns=True,
        )

    def _keep(self, summary: Mapping[str, Any], left_out: Mapping[str, int]) -> None:
        """Write the result last and at once: where it stands, the stretch is whole."""
        (self.folder / _TRANSFORMERS).unlink()  # of no use here, and the largest by far
        totals = {
            "days": len(self.days),
            "calls_asked": len(summary["requests"]),
            "left_out": left_out,
            "promises_broken": summary["promises_broken"],
            "sessions": summary["sessions"],
            "caps_broken": summary["cap_violations_ours"],
            "cpu_s": summary["cpu_s"],
        }
        calls = [one.body() for one in true_calls(summary["requests"], seed=self.seed)]
        written = self.folder / f"{_RESULT}.new"
        written.write_text(json.dumps({"totals": totals, "calls": calls}, indent=1) + "\n", encoding="utf-8")
        written.replace(self.folder / _RESULT)


def stretches_of(course: Course, *, seed: int, days: int, out: Path) -> list[Stretch]:
    """Return the stretches of a seed in order."""
    found: list[Stretch] = []
    for number, begin in enumerate(range(0, days, course.stretch_days)):
        found.append(
            Stretch(
                course=course,
                seed=seed,
                days=range(begin, min(begin + course.stretch_days, days)),
                folder=out / f"seed-{seed}" / f"stretch-{number:03d}",
                before=found[-1].folder if found else None,
            )
        )
    return found
