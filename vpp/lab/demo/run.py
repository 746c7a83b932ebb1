"""One run of the demo: its processes, its clock, its request, its report."""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from vpp.bootstrap.runner import run
from vpp.domain.errors import ConfigurationError
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.fleet.calendar import SHANGHAI
from vpp.lab.compose.fleet import broker, judge_truth
from vpp.lab.compose.subprocesses import Child, folders_of_a_plant, free_block, free_ports
from vpp.lab.demo.client import Client
from vpp.lab.demo.dispatcher import Dispatcher, next_start
from vpp.lab.demo.options import DemoOptions
from vpp.lab.demo.screen import STATES, Screen
from vpp.lab.demo.verdict import class_contributions, failed_checks, print_verdict, summarise, with_contributions
from vpp.runtime.clock import SYSTEM_CLOCK
from vpp.runtime.observability import configure_logging
from vpp.runtime.pace import PacedClock, PaceFile, Pacer

_BEGIN = datetime(2026, 7, 15, 19, 5, tzinfo=SHANGHAI)
"""A hot July workday, when people have come home and the sun is down."""
_START = datetime(2026, 7, 15, 20, 0, tzinfo=SHANGHAI)
_LEAD = timedelta(minutes=30)
"""Lead of the dispatcher's request before the start, if the fleet is connected by then."""
_RELEASE_MINUTES = 15.0
_LONGEST_WATCH_MINUTES = 30.0
_SETTLING_MINUTES = 45.0
_CONNECTING_RATIO = 0.15
"""Share of the clock's speed while devices connect: that time depends on the machine, not on the simulated evening."""
_CONNECTED_RATIO = 0.98
_STALLED_WALL_S = 600.0
"""Time without any progress after which the demo gives up: on a crowded machine a fleet takes minutes to begin."""
_LOOK_WALL_S = 0.5
_STOPPED = 130
"""Exit code after Ctrl-C, as shells know it."""


def run_demo(options: DemoOptions, *, as_json: bool) -> int:
    """Run the demo and return the exit code: 0 only if every check passed."""
    began = time.perf_counter()
    console = Console(stderr=True, highlight=False)
    configure_logging(json=False, level="warning")
    summary = run(_Demo(options, console).run())
    if summary is None:
        console.print("stopped")
        return _STOPPED
    summary["wall_s"] = round(time.perf_counter() - began, 1)
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
    return 1 if failed_checks(summary) else 0


class _Demo:
    """Starts the processes, plays the dispatcher, judges."""

    def __init__(self, options: DemoOptions, console: Console) -> None:
        self._options = options
        self._console = console
        self._hold = timedelta(minutes=options.hold_minutes)
        self._watch_minutes = min(options.hold_minutes, _LONGEST_WATCH_MINUTES)
        self._http_port, self._ocpp_port = free_ports(2)
        self._client = Client(self._http_port, self._check, options.out / "serve.log")
        self._children: list[Child] = []
        self._moved = (0.0, 0.0)
        self._pacer: Pacer
        self._clock: PacedClock

    async def run(self) -> dict[str, float]:
        """Run once; return the summary."""
        out = self._options.out
        out.mkdir(parents=True, exist_ok=True)
        data = Path(tempfile.mkdtemp(prefix="vpp-demo-"))
        async with AsyncExitStack() as stack:
            stack.callback(shutil.rmtree, data, ignore_errors=True)
            stack.push_async_callback(self._client.close)
            page = PaceFile.create(data / "pace", start_s=_BEGIN.timestamp(), speed=self._options.speed)
            stack.callback(page.close)
            self._clock, self._pacer = PacedClock(page), stack.enter_context(Pacer(page))
            self._pacer.slow_down(_CONNECTING_RATIO)
            mqtt_url = await stack.enter_async_context(broker(data / "broker"))
            environment = self._environment(data, page, mqtt_url)
            await self._start(stack, environment, "serve")
            fleet = await self._start(stack, environment, "fleet", *self._fleet_flags(out / "truth.npz"))
            return await self._play(fleet, out / "truth.npz")

    def _environment(self, data: Path, page: PaceFile, mqtt_url: str) -> dict[str, str]:
        # Without the user's own settings: a demo must not write to the database of a real plant.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("VPP_")}
        return {
            **inherited,
            "VPP_HTTP": f"127.0.0.1:{self._http_port}",
            "VPP_OCPP": f"127.0.0.1:{self._ocpp_port}",
            "VPP_MQTT_URL": mqtt_url,
            **folders_of_a_plant(data),
            "VPP_CLOCK_PACE": str(page.path),
            "VPP_SAMPLE_S": "30",
            "VPP_RELEASE_MINUTES": str(_RELEASE_MINUTES),
            "VPP_REBOUND_WATCH_MINUTES": str(self._watch_minutes),
            "VPP_CALL_TIMEOUT_S": "120",
        }

    def _fleet_flags(self, truth: Path) -> list[object]:
        options, size = self._options, self._options.size
        port = options.modbus_port or free_block((size.inverters + size.batteries) // 50 + 2)
        flags: list[object] = [
            *("--stations", size.stations, "--inverters", size.inverters, "--batteries", size.batteries),
            *("--v2g", size.v2g, "--sites", size.sites, "--plant-kw", size.plant_kw),
            *("--seed", options.seed, "--truth", truth),
            *("--drop-ratio", options.drop_ratio, "--history-days", options.history_days, "--modbus-port", port),
        ]
        if options.inputs.sessions:
            flags += ["--sessions", options.inputs.sessions]
        if options.inputs.weather:
            flags += ["--weather", options.inputs.weather]
        return flags

    async def _start(
        self, stack: AsyncExitStack, environment: Mapping[str, str], command: str, *flags: object
    ) -> Child:
        log = self._options.out / f"{command}.log"
        log.unlink(missing_ok=True)
        child = await Child.start(command, *flags, environment=environment, log=log)
        stack.push_async_callback(child.end)
        self._children.append(child)
        return child

    async def _play(self, fleet: Child, truth: Path) -> dict[str, float]:
        with Screen(self._console) as screen:
            await self._until_connected(screen)
            accepted = await self._committed(screen)
            request = await self._watched(screen, accepted, fleet)
        return await self._judged(request, fleet, truth)

    async def _judged(self, request: dict[str, Any], fleet: Child, truth: Path) -> dict[str, float]:
        """Return the summary of a settled request, with the report written."""
        path = f"/requests/{request['id']}/report"
        page = await self._client.call("GET", path, headers={"Accept": "text/html"})
        content = await self._client.get(path)
        commands, fleet_now = await self._client.get("/commands"), await self._client.get("/fleet")
        await fleet.end()
        verdict = judge_truth(
            truth,
            start_at=datetime.fromisoformat(request["start_at"]),
            end_at=datetime.fromisoformat(request["end_at"]),
            target_kw=request["accepted_kw"],
        )
        summary = summarise(request, content["performance"], commands, verdict, resources=fleet_now["resources"])
        contributions, out = class_contributions(content["performance"], verdict), self._options.out
        (out / "report.html").write_text(with_contributions(page.text, contributions), encoding="utf-8")
        (out / "report.json").write_text(json.dumps(content), encoding="utf-8")
        print_verdict(self._console, summary, contributions, failed_checks(summary), out)
        return summary

    async def _until_connected(self, screen: Screen) -> None:
        wanted = self._options.size.devices
        screen.begin("connecting the fleet", wanted)
        most, moved_at = 0, SYSTEM_CLOCK.now_s()
        while True:
            ready = await self._client.readiness()
            connected = int(ready.get("connected", 0))
            screen.advance(connected, f"{connected:,} of {wanted:,} devices")
            if ready.get("status") == "ready" and connected >= _CONNECTED_RATIO * wanted:
                self._pacer.slow_down(1.0)
                screen.end()
                return
            if connected > most:
                most, moved_at = connected, SYSTEM_CLOCK.now_s()
            if SYSTEM_CLOCK.now_s() - moved_at > _STALLED_WALL_S:
                raise ConfigurationError(f"not ready: {ready}; see {self._options.out}/serve.log")
            await asyncio.sleep(_LOOK_WALL_S)

    async def _committed(self, screen: Screen) -> dict[str, Any]:
        screen.begin("metering a quarter of an hour", 1.0)
        dispatcher = Dispatcher(
            self._client, self._clock, hold=self._hold, share=self._options.share, print_line=screen.print_line
        )
        await dispatcher.wait_until_metered(_START - _LEAD)
        screen.end()
        return await dispatcher.commit(max(_START, next_start(self._clock.now())))

    async def _watched(self, screen: Screen, request: dict[str, Any], fleet: Child) -> dict[str, Any]:
        """Return the request once it is settled."""
        screen.begin("scheduled", len(STATES) - 1)
        path, start_s = f"/requests/{request['id']}", datetime.fromisoformat(request["start_at"]).timestamp()
        drop_s = start_s + self._hold.total_seconds() / 4.0 if self._options.drop_ratio else float("inf")
        while request["state"] not in {"settled", "failed", "aborted", "cancelled"}:
            await asyncio.sleep(_LOOK_WALL_S)
            request = await self._client.get(path)
            screen.follow(request, self._clock.now())
            if request["state"] == "holding" and self._clock.now_s() > drop_s:
                drop_s = float("inf")
                fleet.send_signal(signal.SIGUSR1)
            if self._clock.now_s() > start_s + self._longest_s():
                raise ConfigurationError(
                    f"request {request['id']} is still {request['state']}; see {self._options.out}/serve.log"
                )
        return request

    def _longest_s(self) -> float:
        """Return by when after its start a request must be settled."""
        minutes = self._options.hold_minutes + _RELEASE_MINUTES + self._watch_minutes + _SETTLING_MINUTES
        return minutes * SECONDS_PER_MINUTE

    def _check(self) -> None:
        """Raise ConfigurationError where a process has ended, or holds up the common time for too long."""
        for child in self._children:
            child.check()
        shown_s, now_s = self._clock.now_s(), SYSTEM_CLOCK.now_s()
        if shown_s != self._moved[0]:
            self._moved = (shown_s, now_s)
        elif now_s - self._moved[1] > _STALLED_WALL_S:
            slow = [child for child in self._children if child.pid == self._pacer.waited_for]
            names = ", ".join(f"vpp {child.name} (see {child.log})" for child in slow) or "a process"
            raise ConfigurationError(f"the clock has waited {_STALLED_WALL_S:.0f} s for {names}")
