"""``vpp bench restart``: how long a service takes on a journal of years, and how much memory.

A start on an empty journal has no plan to restore and makes one before anything else, so the journal of years, which
has a plan, is compared with the second start on an empty one; the first is stated beside. Memory is compared where
every start has done the same work: it is ready, and the plan that it makes soon after is in force.
"""

import asyncio
import os
import resource
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import httpx
import orjson
from rich.console import Console

from vpp.application.loops.slow_loop import PLAN
from vpp.application.recovery.checkpointer import Checkpointer
from vpp.application.recovery.folded_state import FoldedState
from vpp.application.recovery.restart import Recovered, engine_version, recover
from vpp.bootstrap.parts.policies import dispatch_settings
from vpp.bootstrap.record.anchor import anchor_of
from vpp.bootstrap.store import Store
from vpp.domain.resource import Adapter
from vpp.fleet.index import FleetIndex
from vpp.lab.bench.journal.growth import measured_growth
from vpp.lab.bench.path.usage import used
from vpp.lab.bench.restart.history import Chain, History
from vpp.lab.bench.synthetic_city import city
from vpp.lab.compose.subprocesses import Child, folders_of_a_plant, free_block, settings_of_a_plant
from vpp.record.state_codec import encode_state
from vpp.runtime.clock import ScaledClock
from vpp.storage.journal import verify
from vpp.storage.segments.manifest import manifest_of

HOST = "127.0.0.1"
_PATIENCE_WALL_S = 900.0
_POLL_WALL_S = 0.1
_MEBIBYTE = 2**20
PEAK, PSS = ("status", "VmHWM"), ("smaps_rollup", "Pss")
"""File below ``/proc/PID`` and name of a figure, see proc(5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Size of the measurement.

    Attributes:
        rows: Rows of the fleet.
        events: Entries of the journal, roughly.
        tail_cycles: Cycles since the last checkpoint, in a hold.
        called: Rows commanded in each of them.
    """

    rows: int
    events: int
    tail_cycles: int
    called: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start of ``vpp serve``.

    Attributes:
        ready_s: Wall seconds until every check of ``/readyz`` was passed.
        ready_cpu_s: CPU seconds of the service until then.
        ready_rss_mb: Most resident memory until then.
        peak_rss_mb: Most resident memory until the first plan of this start was in force as well.
        pss_mb: Proportional memory at that instant: pages shared with other processes count in part.
    """

    ready_s: float
    ready_cpu_s: float
    ready_rss_mb: float
    peak_rss_mb: float
    pss_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A journal that was written, and its checkpoint.

    Attributes:
        events: Entries.
        tail: Entries since the checkpoint.
        checkpoint_s: CPU seconds one more checkpoint takes, from the state in memory and the tail.
        checkpoint_mb: Size of a checkpoint.
        fold_per_s: Entries folded a CPU second.
        load_s: CPU seconds to read the checkpoint and the tail.
        tail_differs: The state of checkpoint and tail differs from that of all entries in some bit.
        verify_per_s: Entries whose chain is verified a CPU second, those of the archive included.
        archive_s: CPU seconds to archive what lies before the checkpoint.
        archive_mb: Size of the archive.
        database_mb: Size of the database.
    """

    events: int
    tail: int
    checkpoint_s: float
    checkpoint_mb: float
    fold_per_s: float
    load_s: float
    tail_differs: bool
    verify_per_s: float
    archive_s: float
    archive_mb: float
    database_mb: float


def run_restart(scale: Scale, *, keep: Path | None, as_json: bool) -> int:
    """Write the journal, restart on it and on an empty one; return 0 where the tail was restored bit for bit."""
    with TemporaryDirectory(prefix="vpp-bench-restart-") as made:
        folder = keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        body = _measured(scale, folder)
    if as_json:
        sys.stdout.write(orjson.dumps(body).decode() + "\n")
    else:
        for name, value in body.items():
            Console().print(f"{name:20} {value}")
    return 1 if body["tail_differs"] else 0


def _measured(scale: Scale, folder: Path) -> Mapping[str, object]:
    console = Console(stderr=True)
    index = _fleet(scale.rows)
    plants = {name: folder / name for name in ("empty", "years")}
    for place in plants.values():
        _register(index, place)
    console.print(f"writing about {scale.events:,} entries")
    written = _write(scale, index, plants["years"])
    starts = {}
    for name, place in (("first", plants["empty"]), *plants.items()):
        console.print(f"starting on the journal {place.name} ({name})")
        starts[name] = asyncio.run(_start(place))
    console.print("measuring the growth of a day")
    growth = measured_growth(scale.rows, tell=console.print)
    return {
        **{name: _rounded(value) for name, value in asdict(written).items()},
        "rows": scale.rows,
        **figures(starts["years"], ""),
        **figures(starts["empty"], "empty_"),
        **figures(starts["first"], "first_"),
        "journal_mb_per_day": _rounded(growth.table_mb),
        "bench_rss_mb": _rounded(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0),
    }


def figures(start: Start, before: str) -> Mapping[str, float]:
    """Return a start's figures by name, ``before`` put before each; the peak is ``peak_rss_mb`` or ``…_rss_mb``."""
    figures = {f"{before}{name}": _rounded(value) for name, value in asdict(start).items()}
    if before:
        figures[f"{before}rss_mb"] = figures.pop(f"{before}peak_rss_mb")
    return figures


def _rounded(value: float) -> float:
    return value if isinstance(value, bool | int) else round(value, 2)


def _fleet(rows: int) -> FleetIndex:
    """Return the city with devices that dial in, or publish to a broker that is not there: nothing is polled."""
    index = city(rows).index
    silent = tuple(r if r.adapter is Adapter.OCPP else replace(r, adapter=Adapter.MQTT) for r in index.resources)
    return replace(index, resources=silent)


def _register(index: FleetIndex, place: Path) -> None:
    store = Store.open(settings_of_a_plant(place).database_url)
    store.registry.add(FleetIndex.empty(), index)
    store.close()


def _write(scale: Scale, index: FleetIndex, place: Path) -> Written:
    settings, clock = settings_of_a_plant(place), ScaledClock()
    store = Store.open(settings.database_url)
    chain, now_s = Chain(store.database), clock.now_s()
    history = History(index, scale.events, now_s, scale.called)
    chain.write(history.past())
    store.close()

    store = Store.open(settings.database_url)
    made_by = engine_version(version("vpp"))

    def fresh() -> FoldedState:
        return FoldedState(lambda: index, dispatch_settings(settings))

    def again() -> Recovered:
        return recover(fresh, store.journal, store.checkpoints, version=made_by)

    began = process_time()
    recovered = again()
    fold_per_s = chain.sequence / (process_time() - began)
    making = Checkpointer(
        recovered,
        again,
        journal=store.journal,
        checkpoints=store.checkpoints,
        clock=clock,
        version=made_by,
        keep=settings.checkpoints,
    )
    asyncio.run(making.checkpoint())
    size = len(next(store.checkpoints.newest()).body)
    began = process_time()
    store.archive.verified(manifest_of([]))  # as a plant has it whose every start was verified
    # A turn of the record's upkeep moves a few segments; a plant that has run for years has had many turns.
    while store.archive.archive_until(making.oldest() - 1, clock.now_s()):
        pass
    archive_s = process_time() - began
    for kind, at_s, body in history.tail(scale.tail_cycles):
        store.journal.append(kind, at_s, body)
    store.journal.flush_now()
    store.registry.fleet_id(settings.fleet_id)
    anchor_of(settings, store.database).export(store.journal.head(), clock.now_s())  # as a stop does

    compared = _compared(store, recovered.state, again)
    began = process_time()
    count = verify(store.database).count
    verify_per_s = count / (process_time() - began)
    store.close()
    return Written(
        events=count,
        **compared,
        checkpoint_mb=size / _MEBIBYTE,
        fold_per_s=fold_per_s,
        verify_per_s=verify_per_s,
        archive_s=archive_s,
        archive_mb=_folder_mb(place / "data" / "record"),
        database_mb=_folder_mb(place / "data"),
    )


def _compared(store: Store, whole: FoldedState, again: Callable[[], Recovered]) -> dict[str, Any]:
    """Return what a restart and one more checkpoint cost, and whether the state of all entries differs from theirs."""
    began = process_time()
    loaded = again()
    load_s = process_time() - began
    began = process_time()
    whole.follow(store.journal.entries(after=whole.sequence))
    body = encode_state(whole.state())
    checkpoint_s = process_time() - began
    differs = loaded.base == 0 or encode_state(loaded.state.state()) != body
    return {"tail": loaded.tail, "load_s": load_s, "checkpoint_s": checkpoint_s, "tail_differs": differs}


def _folder_mb(folder: Path) -> float:
    """Return the size of the files in a folder, not of folders in it."""
    files = folder.iterdir() if folder.is_dir() else ()
    return sum(file.stat().st_size for file in files if file.is_file()) / _MEBIBYTE


async def _start(place: Path) -> Start:
    """Start ``vpp serve`` and wait until it is ready and has made a plan."""
    port = free_block(2)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VPP_")}
    environment = {
        **inherited,
        **folders_of_a_plant(place),
        "VPP_HTTP": f"{HOST}:{port + 1}",
        "VPP_OCPP": f"{HOST}:{port}",
    }
    store = Store.open(settings_of_a_plant(place).database_url)
    began, written = perf_counter(), store.journal.durable()
    child = await Child.start("serve", environment=environment, log=place / "serve.log")
    try:
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{port + 1}", timeout=30.0, trust_env=False) as client:
            await _until(lambda: _ready(client), child, "ready")
        ready_s, ready_cpu_s, ready_rss_mb = perf_counter() - began, used(child.pid)[0], memory_mb(child.pid, PEAK)
        await _until(lambda: _planned(store, written), child, "done with its first plan")
        return Start(
            ready_s=ready_s,
            ready_cpu_s=ready_cpu_s,
            ready_rss_mb=ready_rss_mb,
            peak_rss_mb=memory_mb(child.pid, PEAK),
            pss_mb=memory_mb(child.pid, PSS),
        )
    finally:
        await child.end()
        store.close()


async def _until(is_so: Callable[[], Awaitable[bool]], child: Child, what: str) -> None:
    """Wait until something is so of a service that runs; raises TimeoutError."""
    began = perf_counter()
    while not await is_so():
        child.check()
        if perf_counter() - began > _PATIENCE_WALL_S:
            raise TimeoutError(f"vpp serve was not {what} within {_PATIENCE_WALL_S:g} s; see {child.log}")
        await asyncio.sleep(_POLL_WALL_S)


async def _planned(store: Store, after: int) -> bool:
    """Return whether the journal has a plan after an entry."""
    return await asyncio.to_thread(lambda: any(True for _ in store.journal.entries((PLAN,), after=after)))


async def _ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def memory_mb(pid: int, what: tuple[str, str]) -> float:
    """Return a figure of a process's memory, ``PEAK`` or ``PSS``, MB."""
    file, name = what
    lines = Path(f"/proc/{pid}/{file}").read_text(encoding="ascii").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024.0
