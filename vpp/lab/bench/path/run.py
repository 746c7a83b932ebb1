"""``vpp bench path``: a request from its acceptance to the meters, through every process on the way.

The service is ``vpp serve``, the gateways are ``vpp gateway`` behind one port, the bus is NATS; stations are sockets
of their own with a car that follow their profiles and send meter values once a minute. The instants of a command are
joined by its id from the service's journal, the messages on the bus, and the stations. All clocks are the wall's.
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

from vpp.bootstrap.runner import run
from vpp.fleet.calendar import SHANGHAI
from vpp.lab.bench.gateway.report import say, show, total
from vpp.lab.bench.path.judgement import Observation, judged
from vpp.lab.bench.path.kill import GatewayLoss, kill_one, refuse_stale
from vpp.lab.bench.path.processes import Deployment, create_database, fork_stations, running_deployment
from vpp.lab.compose.file_limits import lift_limits
from vpp.lab.compose.load.worker_group import WorkerGroup
from vpp.lab.twin.population.presets import demo_fleet
from vpp.runtime.clock import ScaledClock

_START_AT = datetime(2026, 7, 15, 13, 1, tzinfo=SHANGHAI)
_LEAD = timedelta(seconds=75)
_HOLD = timedelta(minutes=20)
_SHARE = 0.8
"""Share of the quote that is asked for: most of the fleet is commanded, and some is left for control."""
_QUIET_WALL_S = 75.0
"""A minute of meter values after the ramp, and a cycle."""
_INTERRUPTED = 130


@dataclass(slots=True, kw_only=True)
class RequestRun:
    """Course of the request.

    Attributes:
        figures: For the report.
        accepted_s: Epoch seconds of the acceptance.
        killed: The gateway lost, if one was killed.
    """

    figures: dict[str, Any]
    accepted_s: float = 0.0
    killed: GatewayLoss | None = None


def run_path(*, stations: int, gateways: int, kill: bool, keep: Path | None, as_json: bool) -> int:
    """Run the benchmark and print it; return 0 if nothing failed, was lost, or came twice.

    Raises:
        ConfigurationError: A process has ended, or something takes minutes too long; the message names its log.
        FileExistsError: ``keep`` exists already.
    """
    lift_limits()
    clock = ScaledClock.starting(_START_AT, 1.0)
    index = demo_fleet(stations=stations, inverters=0, batteries=0, v2g=0, sites=0)
    swarms, pids = fork_stations(index, clock)
    with _folder(keep) as folder:
        url = create_database(folder, index, clock.now_s())
        try:
            observation = run(_run(folder, swarms, pids, clock, stations=stations, gateways=gateways, kill=kill))
        finally:
            swarms.end()
        if observation is None:
            return _INTERRUPTED
        figures = judged(observation, url, len(index))
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


async def _run(
    folder: Path, swarms: WorkerGroup, pids: list[int], clock: ScaledClock, *, stations: int, gateways: int, kill: bool
) -> Observation:
    """Run the request and return the observations of all processes, once the service has ended."""

    def deployment_of(port: int) -> Deployment:
        return Deployment(stations, clock, swarms, port)

    say(f"{stations:,} stations with cars, {gateways} gateways, one service")
    async with running_deployment(deployment_of, folder, gateways=gateways, car_pids=pids) as deployment:
        request_run = RequestRun(figures={"stations": stations, "gateways": gateways})
        await _connect(deployment, request_run)
        await _request(deployment, request_run)
        if kill:
            request_run.killed = await kill_one(deployment)
        say(f"the meters have {_QUIET_WALL_S:.0f} s to confirm")
        await _rest(deployment)
        if kill:
            request_run.figures["stale_refused"] = await refuse_stale(deployment)
        return await _observe(deployment, request_run)


async def _connect(deployment: Deployment, request_run: RequestRun) -> None:
    """Connect all stations and wait until each is metered once."""
    began = time.perf_counter()
    await deployment.dial()
    await deployment.until("booted, with a car and its charging needs", deployment.ready, deployment.stations)
    request_run.figures["connect_s"] = round(time.perf_counter() - began, 1)
    say(f"all booted after {request_run.figures['connect_s']:.0f} s")
    for name in ("connected", "plugged", "metered"):
        await deployment.until(f"{name} at the service", partial(_fleet, deployment, name), deployment.stations)
    await deployment.until("a plan, and defaults in force", lambda: _settled(deployment), 1)
    request_run.figures["seen_s"] = round(time.perf_counter() - began, 1)
    deployment.meter.sample()
    request_run.figures["connect_cpu_s"] = deployment.meter.cpu_s()
    say(f"all seen and metered after {request_run.figures['seen_s']:.0f} s")


async def _fleet(deployment: Deployment, name: str) -> int:
    return int((await deployment.get("/api/v1/fleet")).get(name, 0))


async def _settled(deployment: Deployment) -> int:
    """Return whether there is a plan and hardly any command in flight."""
    ready = (await deployment.get("/readyz")).get("status") == "ready"
    commands = await deployment.get("/api/v1/commands")
    return int(ready and commands.get("pending", deployment.stations) <= deployment.stations // 100)


async def _request(deployment: Deployment, request_run: RequestRun) -> None:
    """Request a share of what is quoted, accept it, and wait until it is held."""
    began = time.perf_counter()
    start_at = deployment.clock.now() + _LEAD
    most_kw = min((await deployment.post("/requests", _draft(start_at, 1e7)))["quote"]["deliverable_kw"]["p50"])
    asked = await deployment.post("/requests", _draft(start_at, round(_SHARE * most_kw, 1)))
    quoted = time.perf_counter()
    request_run.accepted_s = deployment.clock.now_s()
    request = await deployment.post(f"/requests/{asked['id']}/accept", {})
    request_run.figures |= {
        "quoted_p50_kw": round(most_kw, 1),
        "accepted_kw": request["accepted_kw"],
        "two_quotes_s": round(quoted - began, 2),
        "accept_answer_s": round(time.perf_counter() - quoted, 3),
    }
    say(f"{request['accepted_kw']:,.0f} of {most_kw:,.0f} kW accepted; quoted twice in {quoted - began:.1f} s")
    await deployment.until("holding", lambda: _holding(deployment, asked["id"]), 1)
    request_run.figures["held_after_s"] = round(deployment.clock.now_s() - request_run.accepted_s, 1)
    say(f"held {request_run.figures['held_after_s']:.0f} s after the acceptance")


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


async def _holding(deployment: Deployment, request_id: str) -> int:
    return int((await deployment.get(f"/api/v1/requests/{request_id}")).get("state") == "holding")


async def _rest(deployment: Deployment) -> None:
    end = time.perf_counter() + _QUIET_WALL_S
    while time.perf_counter() < end:
        deployment.check()
        await asyncio.sleep(1.0)


async def _observe(deployment: Deployment, request_run: RequestRun) -> Observation:
    """Stop the service, so that no more commands are sent, and read profiles and usage of all processes."""
    progress = await deployment.get("/api/v1/commands")
    state = await deployment.ask_stations("state")
    deployment.check()
    figures = request_run.figures | {
        "unaccounted": int(progress["unaccounted"]),
        "cpu_s": deployment.meter.cpu_s(),
        "rss_mb": deployment.meter.rss_mb(),
        "wrong_ids": int(total(state, "wrong_ids")),
        "retried": int(total(state, "retried")),
        "metervalues": int(total(state, "results")),
    }
    killed = request_run.killed
    missing = deployment.stations - total(state, "ready")
    lost = total(state, "lost") - (0 if killed is None else killed.stations)
    figures["failures"] = int(missing + max(lost, 0.0) + total(state, "errors"))
    stopped_s = deployment.clock.now_s()
    await deployment.serve.end()
    received = await deployment.ask_stations("received")
    return Observation(
        figures=figures,
        tap=deployment.tap,
        received=received,
        accepted_s=request_run.accepted_s,
        stopped_s=stopped_s,
        asked_s=deployment.clock.now_s(),
        killed=killed,
    )
