"""A small deterministic fuzzer: each protocol is a module, the engine counts, watches memory and looks for crashes.

A protocol's module has

* ``NAME``, how it is called on the command line and in the report;
* ``SHARE``, its part of the inputs that are asked for, e.g. 0.25 of a million;
* ``inputs(rng)``, an endless iterator of inputs that depends on nothing but ``rng``;
* ``run(inputs, tally)``, a coroutine that feeds every input to the real thing, in an event loop of its own, and has a
  well-behaved neighbour on the same real thing speak now and then (``tally.heard``).

A crash is an exception that reaches ``run``, the event loop or the log, and whatever ``run`` itself reports as one.
"""

import asyncio
import gc
import logging
import os
import random
import time
import traceback
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

MOST_GROWN_MB = 32.0
"""How much a process may have grown from a quarter of its inputs to the end: what a heap's holes and caches take."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SHOWN_BYTES = 400
_KEPT_CRASHES = 20
_SHOWN_CALLS = 5


class Fuzzed(Protocol):
    """A protocol's module; see above."""

    NAME: str
    SHARE: float

    def inputs(self, rng: random.Random) -> Iterator[Any]:
        """Iterate inputs without end."""
        ...

    def run(self, inputs: Iterator[Any], tally: "Tally") -> Coroutine[Any, Any, None]:
        """Feed all inputs."""
        ...


@dataclass(slots=True, kw_only=True)
class Tally:
    """What came of the inputs of one protocol.

    Attributes:
        inputs: How many were drawn.
        crashes: The first crashes, each with what led to it.
        crashed: How many there were.
        asked: How often a neighbour spoke.
        answered: How often it was answered as it should be.
        alive: Whatever serves the protocol went on to the end.
        grown_mb: Growth of the process from a quarter of the inputs to the end, NaN before.
        notes: What else is worth a line, by name.
    """

    protocol: str
    seed: str
    inputs: int = 0
    crashes: list[str] = field(default_factory=list)
    crashed: int = 0
    asked: int = 0
    answered: int = 0
    alive: bool = True
    grown_mb: float = float("nan")
    took_s: float = 0.0
    notes: dict[str, int] = field(default_factory=dict)

    def crash(self, what: object, given: object = "") -> None:
        """Count a crash."""
        self.crashed += 1
        if len(self.crashes) < _KEPT_CRASHES:
            self.crashes.append(f"{what!s} after input {self.inputs} {given!r:.{_SHOWN_BYTES}}")

    def heard(self, *, answered: bool) -> None:
        """Count a word of a neighbour's."""
        self.asked += 1
        self.answered += answered

    @property
    def sound(self) -> bool:
        """Nothing crashed, no neighbour was touched, everything lives and the memory is flat."""
        return not self.crashed and self.alive and 0 < self.asked == self.answered and not self.grown_mb > MOST_GROWN_MB

    def line(self) -> str:
        """Return the result on one line."""
        notes = "".join(f", {name} {count:,}" for name, count in sorted(self.notes.items()))
        return (
            f"{self.protocol:<16} {self.inputs:>9,} inputs in {self.took_s:6.1f} s, {self.crashed} crashes, neighbours "
            f"answered {self.answered:,} of {self.asked:,}, {'alive' if self.alive else 'DEAD'}, "
            f"memory {self.grown_mb:+.1f} MB, seed {self.seed}{notes}"
        )


def fuzz(module: Fuzzed, count: int, seed: str) -> Tally:
    """Give a protocol ``count`` inputs and return what came of them; the same for the same seed."""
    tally = Tally(protocol=module.NAME, seed=seed)
    watch = _Watch(tally)
    logging.getLogger().addHandler(watch)
    began = time.perf_counter()
    try:
        asyncio.run(_run(module, count, tally))
    except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked for
        tally.crash(f"{type(error).__name__}: {error}")
    finally:
        logging.getLogger().removeHandler(watch)
    tally.took_s = time.perf_counter() - began
    return tally


async def _run(module: Fuzzed, count: int, tally: Tally) -> None:
    def caught(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        tally.crash(context.get("exception") or context["message"])

    asyncio.get_running_loop().set_exception_handler(caught)
    await module.run(_counted(module.inputs(random.Random(tally.seed)), count, tally), tally)  # noqa: S311 - repeatable


def _counted(inputs: Iterator[Any], count: int, tally: Tally) -> Iterator[Any]:
    """Iterate ``count`` inputs and measure the process at a quarter of them and at the end."""
    before_mb = float("nan")
    for one in islice(inputs, count):
        if tally.inputs == count // 4:
            before_mb = _resident_mb()
        tally.inputs += 1
        yield one
    tally.grown_mb = _resident_mb() - before_mb


def _resident_mb() -> float:
    """Return the process's resident memory, garbage collected."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no file of ours
        return int(file.read().split()[1]) * _PAGE_BYTES / 2**20


class _Watch(logging.Handler):
    """Takes every exception that is logged for a crash."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(logging.ERROR)
        self._tally = tally

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""
        error = record.exc_info[1] if record.exc_info else None
        where = traceback.extract_tb(error.__traceback__)[-_SHOWN_CALLS:] if error is not None else []
        way = " > ".join(f"{place.filename.rsplit('/', 1)[-1]}:{place.lineno}" for place in where)
        self._tally.crash(f"{record.getMessage()}: {error!r} at {way}")
