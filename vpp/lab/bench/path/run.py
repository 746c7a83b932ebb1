"""``vpp bench path``: a request from its acceptance to the meters, through every process on the way.

The service is ``vpp serve``, the gateways are ``vpp gateway`` behind one port, the bus is NATS; stations are sockets
of their own that have a car, obey, and meter once a minute. Where an instruction was when is joined by its id from
the service's journal, the messages on the bus, and the stations. All clocks are the wall's.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from vpp.bootstrap.runner import run
from vpp.lab.bench.gateway.report import say, show, total
from vpp.lab.bench.path.judgement import Witness, judged
from vpp.lab.bench.path.kill import Killed, kill_one, refuse_stale
from vpp.lab.bench.path.processes import Plane, fork_stations, found, running
from vpp.lab.compose.file_limits import lift_limits
from vpp.lab.compose.load.worker_group import WorkerGroup
from vpp.lab.twin.population.presets import demo_fleet
from vpp.runtime.clock import ScaledClock

_START_AT = datetime(2026, 7, 15, 13, 1, tzinfo=ZoneInfo("Asia/Shanghai"))
_LEAD = timedelta(seconds=75)
_HOLD = timedelta(minutes=20)
_SHARE = 0.8
"""Of what is quoted: most of the fleet is told, and a rest is there to steer with."""
_QUIET_WALL_S = 75.0
"""A minute of meter values after the ramp, and a cycle."""
_INTERRUPTED = 130


@dataclass(slots=True, kw_only=True)
class Played:
    """What was seen while the request was played.

    Attributes:
        figures: For the report.
        accepted_s: Epoch seconds of the acceptance.
        killed: What happened to the gateway that was killed, if one was.
    """

    figures: dict[str, Any]
    accepted_s: float = 0.0
    killed: Killed | None = None


def run_path(*, stations: int, gateways: int, kill: bool, keep: Path | None, as_json: bool) -> int:
    """Run the benchmark and print it; return 0 if nothing failed, was lost, or came twice.

    Raises:
        ConfigurationError: A process has ended, or something takes minutes too long; the message names its log.
        FileExistsError: ``keep`` is there already.
    """
    lift_limits()
    clock = ScaledClock.starting(_START_AT, 1.0)
    index = demo_fleet(stations=stations, inverters=0, batteries=0, v2g=0, sites=0)
    swarms, pids = fork_stations(index, clock)
    with _folder(keep) as folder:
        url = found(folder, index, clock.now_s())
        try:
            witness = run(_played(folder, swarms, pids, clock, stations=stations, gateways=gateways, kill=kill))
        finally:
            swarms.end()
        if witness is None:
            return _INTERRUPTED
        figures = judged(witness, url, len(index))
    show(figures, as_json=as_json)
    wrong = ("failures", "wrong_ids", "acknowledged_lost", "applied_twice", "unaccounted")
    return 0 if all(figures[name] == 0 for name in wrong) and figures.get("stale_refused", True) else 1


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="vpp-path-") as folder:
        yield Path(folder)


async def _played(
    folder: Path, swarms: WorkerGroup, pids: list[int], clock: ScaledClock, *, stations: int, gateways: int, kill: bool
) -> Witness:
    """Play everything and return what the processes saw, once the service has ended."""

    def plane_of(port: int) -> Plane:
        return Plane(stations, clock, swarms, port)

    say(f"{stations:,} stations with cars, {gateways} gateways, one service")
    async with running(plane_of, folder, gateways=gateways, car_pids=pids) as plane:
        played = Played(figures={"stations": stations, "gateways": gateways})
        await _connect(plane, played)
        await _request(plane, played)
        if kill:
            played.killed = await kill_one(plane)
        say(f"the meters have {_QUIET_WALL_S:.0f} s to confirm")
        await _rest(plane)
        if kill:
            played.figures["stale_refused"] = await refuse_stale(plane)
        return await _witness(plane, played)


async def _connect(plane: Plane, played: Played) -> None:
    """Have all stations come, be seen, and meter once."""
    began = time.perf_counter()
    await plane.dial()
    await plane.until("booted, with a car and a wish", plane.ready, plane.stations)
    played.figures["connect_s"] = round(time.perf_counter() - began, 1)
    say(f"all booted after {played.figures['connect_s']:.0f} s")
    for name in ("connected", "plugged", "metered"):
        await plane.until(f"{name} at the service", partial(_fleet, plane, name), plane.stations)
    await plane.until("a plan, and defaults in force", lambda: _settled(plane), 1)
    played.figures["seen_s"] = round(time.perf_counter() - began, 1)
    plane.meter.look()
    played.figures["connect_cpu_s"] = plane.meter.cpu_s()
    say(f"all seen and metered after {played.figures['seen_s']:.0f} s")


async def _fleet(plane: Plane, name: str) -> int:
    return int((await plane.get("/api/v1/fleet")).get(name, 0))


async def _settled(plane: Plane) -> int:
    """Return whether there is a plan and hardly any instruction is under way."""
    ready = (await plane.get("/readyz")).get("status") == "ready"
    commands = await plane.get("/api/v1/commands")
    return int(ready and commands.get("pending", plane.stations) <= plane.stations // 100)


async def _request(plane: Plane, played: Played) -> None:
    """Ask for what can be had, accept a share of it, and wait until it is held."""
    began = time.perf_counter()
    start_at = plane.clock.now() + _LEAD
    most_kw = min((await plane.post("/requests", _draft(start_at, 1e7)))["quote"]["deliverable_kw"]["p50"])
    asked = await plane.post("/requests", _draft(start_at, round(_SHARE * most_kw, 1)))
    quoted = time.perf_counter()
    played.accepted_s = plane.clock.now_s()
    request = await plane.post(f"/requests/{asked['id']}/accept", {})
    played.figures |= {
        "quoted_p50_kw": round(most_kw, 1),
        "accepted_kw": request["accepted_kw"],
        "two_quotes_s": round(quoted - began, 2),
        "accept_answer_s": round(time.perf_counter() - quoted, 3),
    }
    say(f"{request['accepted_kw']:,.0f} of {most_kw:,.0f} kW accepted; quoted twice in {quoted - began:.1f} s")
    await plane.until("holding", lambda: _holding(plane, asked["id"]), 1)
    played.figures["held_after_s"] = round(plane.clock.now_s() - played.accepted_s, 1)
    say(f"held {played.figures['held_after_s']:.0f} s after the acceptance")


def _draft(start_at: datetime, target_kw: float) -> dict[str, object]:
    return {
        "product": "peak_shaving",
        "direction": "up",
        "target_kw": target_kw,
        "area": "city",
        "start_at": start_at.isoformat(),
        "end_at": (start_at + _HOLD).isoformat(),
        "ramp_minutes": 1.0,
        "notice_class": "realtime",
    }


async def _holding(plane: Plane, request_id: str) -> int:
    return int((await plane.get(f"/api/v1/requests/{request_id}")).get("state") == "holding")


async def _rest(plane: Plane) -> None:
    end = time.perf_counter() + _QUIET_WALL_S
    while time.perf_counter() < end:
        plane.check()
        await asyncio.sleep(1.0)


async def _witness(plane: Plane, played: Played) -> Witness:
    """Stop the service, so that nothing is told any more, and ask everybody what they hold and have used."""
    progress = await plane.get("/api/v1/commands")
    state = await plane.stations_say("state")
    plane.check()
    figures = played.figures | {
        "unaccounted": int(progress["unaccounted"]),
        "cpu_s": plane.meter.cpu_s(),
        "rss_mb": plane.meter.rss_mb(),
        "wrong_ids": int(total(state, "wrong_ids")),
        "retried": int(total(state, "retried")),
        "metervalues": int(total(state, "results")),
    }
    killed = played.killed
    missing = plane.stations - total(state, "ready")
    lost = total(state, "lost") - (0 if killed is None else killed.stations)
    figures["failures"] = int(missing + max(lost, 0.0) + total(state, "errors"))
    stopped_s = plane.clock.now_s()
    await plane.serve.end()
    heard = await plane.stations_say("received")
    return Witness(
        figures=figures,
        tap=plane.tap,
        heard=heard,
        accepted_s=played.accepted_s,
        stopped_s=stopped_s,
        looked_s=plane.clock.now_s(),
        killed=killed,
    )
