"""Run of ``vpp bench honesty``: seeds beside each other, stretch after stretch, then the figures of all of them."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.sharedctypes import SynchronizedArray
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vpp.console.plots import to_png
from vpp.domain.errors import InputError, VppError
from vpp.lab.honesty.figures import figures
from vpp.lab.honesty.picture import calibration_figure
from vpp.lab.honesty.report import show
from vpp.lab.honesty.stretch import Course, Stretch, stretches_of
from vpp.lab.simulate.command import STOPPED
from vpp.lab.simulate.presets import preset
from vpp.lab.simulate.seeds import end_with_parent
from vpp.lab.twin.environment.world_file import world

_COURSE, _SUMMARY, _PICTURE = "course.json", "honesty.json", "honesty.png"
_LOOK_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class HonestyOptions:
    """Options of ``vpp bench honesty``; see its ``--help``."""

    course: Course
    days: int
    seeds: tuple[int, ...]
    workers: int
    out: Path


def run_honesty(options: HonestyOptions, *, as_json: bool) -> int:
    """Play what is not there yet, then print and draw everything; return 0, or 130 after Ctrl-C.

    Raises:
        VppError: An option is not accepted, or the folder holds another course.
    """
    console = Console(stderr=True, highlight=False)
    began_s = time.perf_counter()
    _checked(options)
    finished = _played(options, console)
    body = summary_of(options, complete=finished) | {"wall_s": round(time.perf_counter() - began_s, 1)}
    if body["days"]:
        show(console, body)
        (options.out / _PICTURE).write_bytes(to_png(calibration_figure(body)))
    (options.out / _SUMMARY).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    console.print(f"{body['days']} days, written to {options.out}")
    if as_json:
        sys.stdout.write(json.dumps(body) + "\n")
    return 0 if finished else STOPPED


def summary_of(options: HonestyOptions, *, complete: bool) -> dict[str, Any]:
    """Return the figures of all stretches whose results are kept."""
    done = [one for one in _stretches(options) if one.is_played]
    body: dict[str, Any] = {
        **options.course.body(),
        "seeds": sorted({one.seed for one in done}),
        "complete": complete,
        "days": 0,
    }
    return body | figures([one.read() for one in done]) if done else body


def _stretches(options: HonestyOptions) -> list[Stretch]:
    return [
        one
        for seed in options.seeds
        for one in stretches_of(options.course, seed=seed, days=options.days, out=options.out)
    ]


def _checked(options: HonestyOptions) -> None:
    """Refuse a world or preset that is not there, and a folder of another course."""
    world(options.course.world)
    preset(options.course.preset, scale=options.course.scale)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / _COURSE
    if not path.exists():
        written = path.with_suffix(".new")
        written.write_text(json.dumps(options.course.body(), indent=1) + "\n", encoding="utf-8")
        written.replace(path)
    there, wanted = _course_in(path), options.course.body()
    for name, value in wanted.items():
        if there.get(name) != value:
            raise InputError("--out", f"{options.out}, a run with {name} = {there.get(name)}", f"{name} = {value}")


def _course_in(path: Path) -> Mapping[str, Any]:
    """Return the course that a folder belongs to."""
    try:
        there = json.loads(path.read_bytes())
    except ValueError:
        there = None
    if not isinstance(there, dict):
        accepted = (
            "a folder whose course.json is whole; delete that file if you know that the results are of this course"
        )
        raise InputError("--out", f"{path}, which is cut off or no JSON object", accepted)
    return there


def _played(options: HonestyOptions, console: Console) -> bool:
    """Play every stretch that is not there yet; return whether all are there now."""
    waiting = {seed: _open(options, seed) for seed in options.seeds}
    waiting = {seed: stretches for seed, stretches in waiting.items() if stretches}
    if not waiting:
        return True
    total = sum(len(one.days) for stretches in waiting.values() for one in stretches)
    context = get_context("spawn")
    days = context.Array("d", len(waiting))
    workers = min(len(waiting), options.workers)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, TimeRemainingColumn(), console=console) as progress,
        ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(days,)) as pool,
    ):
        bar = progress.add_task(f"days of {len(waiting)} seeds, {workers} at a time", total=total)
        running = [pool.submit(_play, place, stretches) for place, stretches in enumerate(waiting.values())]
        try:
            while wait(running, timeout=_LOOK_S).not_done:
                progress.update(bar, completed=round(sum(days[:]), 2))
            return all(future.result() for future in running)
        except KeyboardInterrupt:
            return False
        finally:
            pool.shutdown(cancel_futures=True)


def _open(options: HonestyOptions, seed: int) -> list[Stretch]:
    """Return the stretches of a seed from the first that is not there on."""
    stretches = stretches_of(options.course, seed=seed, days=options.days, out=options.out)
    first = next((place for place, one in enumerate(stretches) if not one.is_played), len(stretches))
    return stretches[first:]


_days: "SynchronizedArray[float] | None" = None
"""Days played by each seed, of a worker."""


def _begin(days: "SynchronizedArray[float]") -> None:
    global _days  # noqa: PLW0603 - what a pool gives its workers
    _days = days
    end_with_parent()


def _play(place: int, stretches: Sequence[Stretch]) -> bool:
    """Play stretches in order in a worker; return whether all were played to their end."""
    done = 0.0

    def passed(days: float) -> None:
        if _days is not None:
            _days[place] = done + days

    try:
        for one in stretches:
            if not one.play(passed):
                return False
            done += len(one.days)
            passed(0.0)
    except VppError as error:
        # Errors with fields of their own cannot be pickled; the message can.
        raise VppError(str(error)) from None
    return True
