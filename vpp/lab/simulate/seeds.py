"""Several seeds of the same days, in processes beside each other."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from vpp.domain.errors import InputError, VppError
from vpp.lab.simulate.command import STOPPED, SimulateOptions, simulated

_LAST_WORDS_S = 60.0
"""Wall seconds a process has for its outputs once its parent was killed."""


def seeds_in(text: str) -> tuple[int, ...]:
    """Return the seeds of ``1,2,3`` or ``1-8``.

    Raises:
        InputError: It is neither, or names one twice, or a range falls.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal()) or int(last) < int(first):
            raise InputError("--seeds", text, "numbers such as 1,2,3 or 1-8")
        found += range(int(first), int(last) + 1)
    if len(set(found)) < len(found):
        raise InputError("--seeds", text, "each seed once")
    return tuple(found)


def run_seeds(options: SimulateOptions, seeds: Sequence[int], *, as_json: bool) -> int:
    """Play the same days with each seed and return the exit code: 0, or 130 after Ctrl-C.

    Every seed has a folder of its own; ``summary.json`` beside them has the figures of all.

    Raises:
        VppError: A file or an option is not accepted.
    """
    began_s = time.perf_counter()
    console = Console(stderr=True, highlight=False)
    done, finished = _played(options, seeds, console)
    summary = {
        "seeds": list(done),
        "complete": finished,
        "totals": {str(seed): one["totals"] for seed, one in done.items()},
        "mean": means_of([one["totals"] for one in done.values()]),
        "wall_s": round(time.perf_counter() - began_s, 1),
    }
    text = json.dumps(summary, indent=2)
    (options.out / "summary.json").write_text(text + "\n", encoding="utf-8")
    console.print(f"{len(done)} of {len(seeds)} seeds: {json.dumps(summary['mean'])}; written to {options.out}")
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
    return 0 if finished else STOPPED


def means_of(totals: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the mean of every figure over the seeds that have it, ``None`` where none has."""
    names = sorted({name for one in totals for name in one})
    found: dict[str, float | None] = {}
    for name in names:
        known = [float(one[name]) for one in totals if one.get(name) is not None]
        found[name] = round(sum(known) / len(known), 6) if known else None
    return found


def _played(
    options: SimulateOptions, seeds: Sequence[int], console: Console
) -> tuple[dict[int, Mapping[str, Any]], bool]:
    options.out.mkdir(parents=True, exist_ok=True)
    done: dict[int, Mapping[str, Any]] = {}
    workers = min(len(seeds), os.cpu_count() or 1)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, console=console) as progress,
        ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=end_with_parent) as pool,
    ):
        bar = progress.add_task(f"{len(seeds)} seeds, {workers} at a time", total=len(seeds))
        running: dict[Future[tuple[dict[str, Any], bool]], int] = {
            pool.submit(_one, replace(options, seed=seed, out=options.out / f"seed-{seed}")): seed for seed in seeds
        }
        try:
            finished = _collect(running, done, lambda: progress.advance(bar))
        except KeyboardInterrupt:
            finished = False
        finally:
            pool.shutdown(cancel_futures=True)
    return done, finished


def _collect(
    running: dict[Future[tuple[dict[str, Any], bool]], int],
    done: dict[int, Mapping[str, Any]],
    advance: Callable[[], None],
) -> bool:
    """Wait for all; return whether each was played to its end."""
    finished, waiting = True, set(running)
    while waiting:
        ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in ready:
            done[running[future]], complete = future.result()
            finished = finished and complete
            advance()
    return finished


def end_with_parent() -> None:
    """Let this process, a worker of a pool, end soon after its parent."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: BaseProcess) -> None:
    """Stop this process as Ctrl-C would once its parent is gone, at the latest after a minute for its outputs."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(_LAST_WORDS_S)
    os._exit(STOPPED)


def _one(options: SimulateOptions) -> tuple[dict[str, Any], bool]:
    try:
        return simulated(options, Console(quiet=True))
    except VppError as error:
        # Errors with fields of their own cannot be pickled; the message can.
        raise VppError(str(error)) from None
