"""The main job, shown: a service, a fleet on real sockets, one peak-shaving request and a verdict.

Everything runs as a user would run it: ``vpp serve`` and ``vpp fleet`` as processes of their own, a real broker, and
the public HTTP API. The service never sees what the verdict is judged by: the fleet's own counterfactual.
"""

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
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from vpp.bootstrap.children import Child, free_block, free_ports
from vpp.bootstrap.fleet import broker, judge_truth
from vpp.bootstrap.runner import run
from vpp.domain.errors import ConfigurationError
from vpp.domain.timegrid import instant
from vpp.runtime.clock import ScaledClock
from vpp.runtime.observability import configure_logging

_ZONE = ZoneInfo("Asia/Shanghai")
_START = datetime(2026, 7, 15, 12, 10, tzinfo=_ZONE)
"""A hot July workday, before the early-afternoon peak."""
_LEAD = timedelta(minutes=18)
_RELEASE_MINUTES = 15.0
_LONGEST_WATCH_MINUTES = 30.0
_READY_WALL_S = 90.0
_PATIENCE_WALL_S = 90.0
_ENDING_WALL_S = 2.0
_LEAST_ACCURACY = 0.98
_STATES = ("scheduled", "preconditioning", "ramping", "holding", "releasing", "rebound_watch", "completed", "settled")
_STOPPED = 130
"""Exit code after Ctrl-C, as shells know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the demo is run on; see ``vpp demo --help``."""

    stations: int
    inverters: int
    batteries: int
    v2g: int
    sites: int
    sessions: Path | None
    weather: Path | None
    seed: int
    speed: float
    share: float
    hold_minutes: float
    history_days: int
    modbus_port: int | None
    drop_ratio: float
    out: Path


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
    failed = failed_checks(summary)
    _tell(console, summary, failed, options.out)
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
    return 1 if failed else 0


def failed_checks(summary: Mapping[str, float]) -> list[str]:
    """Return what was not kept, in words; empty if all was."""
    ratios = ("accuracy_ratio", "accuracy_true_ratio")
    failed = [
        f"{name} {summary[name]:.4f} is below {_LEAST_ACCURACY}"
        for name in ratios
        if not summary[name] >= _LEAST_ACCURACY
    ]
    if not summary["accepted_kw"] >= 0.8 * summary["quoted_p50_kw"]:
        failed.append(f"accepted {summary['accepted_kw']} kW is less than 80 % of the quote")
    nothing = ("promises_broken", "cap_violations", "setpoints_unaccounted", "limits_not_restored")
    failed += [f"{name} is {summary[name]}, not 0" for name in nothing if summary[name] != 0]
    return failed


class _Demo:
    """One run: starts the processes, plays the dispatcher, judges."""

    def __init__(self, options: DemoOptions, console: Console) -> None:
        self._options = options
        self._console = console
        self._hold = timedelta(minutes=options.hold_minutes)
        self._watch_minutes = min(options.hold_minutes, _LONGEST_WATCH_MINUTES)
        self._http_port, self._ocpp_port = free_ports(2)
        self._client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._http_port}", timeout=30.0, trust_env=False)
        self._clock = ScaledClock.starting(_START, options.speed)
        self._children: list[Child] = []

    async def run(self) -> dict[str, float]:
        out = self._options.out
        out.mkdir(parents=True, exist_ok=True)
        data = Path(tempfile.mkdtemp(prefix="vpp-demo-"))
        async with AsyncExitStack() as stack:
            stack.callback(shutil.rmtree, data, ignore_errors=True)
            stack.push_async_callback(self._client.aclose)
            mqtt_url = await stack.enter_async_context(broker(data / "broker"))
            environment = self._environment(data, mqtt_url)
            await self._start(stack, environment, "serve")
            fleet = await self._start(stack, environment, "fleet", *self._fleet_flags(out / "truth.npz"))
            return await self._play(fleet, out / "truth.npz")

    def _environment(self, data: Path, mqtt_url: str) -> dict[str, str]:
        # Without the user's own settings: a demo must not write to the database of a real plant.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("VPP_")}
        return {
            **inherited,
            "VPP_HTTP": f"127.0.0.1:{self._http_port}",
            "VPP_OCPP": f"127.0.0.1:{self._ocpp_port}",
            "VPP_MQTT_URL": mqtt_url,
            "VPP_DATA_DIR": str(data),
            "VPP_CLOCK_SPEED": str(self._clock.speed),
            "VPP_CLOCK_ANCHOR_S": str(self._clock.anchor_s),
            "VPP_CLOCK_ANCHOR_WALL_S": str(self._clock.anchor_wall_s),
            "VPP_SAMPLE_S": "30",
            "VPP_RELEASE_MINUTES": str(_RELEASE_MINUTES),
            "VPP_REBOUND_WATCH_MINUTES": str(self._watch_minutes),
            "VPP_CALL_TIMEOUT_S": "120",
        }

    def _fleet_flags(self, truth: Path) -> list[object]:
        options = self._options
        port = options.modbus_port or free_block((options.inverters + options.batteries) // 50 + 2)
        flags: list[object] = [
            *("--stations", options.stations, "--inverters", options.inverters, "--batteries", options.batteries),
            *("--v2g", options.v2g, "--sites", options.sites, "--seed", options.seed, "--truth", truth),
            *("--drop-ratio", options.drop_ratio, "--history-days", options.history_days, "--modbus-port", port),
        ]
        if options.sessions:
            flags += ["--sessions", options.sessions]
        if options.weather:
            flags += ["--weather", options.weather]
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
        with self._progress() as progress:
            await self._until_ready(progress)
            request = await self._ask_and_accept()
            await self._watch(progress, request, fleet)
        performance = await self._get(f"/api/v1/requests/{request['id']}/performance")
        ledger = await self._get("/api/v1/commands")
        resources = (await self._get("/api/v1/fleet"))["resources"]
        await self._save_report(request["id"])
        await fleet.end()
        verdict = judge_truth(
            truth,
            start_at=datetime.fromisoformat(request["start_at"]),
            end_at=datetime.fromisoformat(request["end_at"]),
            target_kw=request["accepted_kw"],
        )
        return {
            "quoted_p50_kw": min(request["quote"]["deliverable_kw"]["p50"]),
            "accepted_kw": request["accepted_kw"],
            "delivered_mean_kw": performance["delivered_mean_kw"],
            "accuracy_ratio": performance["accuracy_ratio"],
            "accuracy_true_ratio": verdict["accuracy_true_ratio"],
            "worst_interval_accuracy_ratio": performance["worst_interval_accuracy_ratio"],
            "promises_broken": verdict["promises_broken"],
            "cap_violations": verdict["cap_violations"],
            "setpoints_sent": ledger["sent"],
            "setpoints_confirmed": ledger["confirmed"],
            "setpoints_unaccounted": ledger["unaccounted"],
            "limits_not_restored": verdict["limits_not_restored"],
            "rebound_peak_kw": performance["rebound_peak_kw"],
            "resources": resources,
        }

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[news]}"),
            TimeElapsedColumn(),
            console=self._console,
        )

    async def _until_ready(self, progress: Progress) -> None:
        options = self._options
        wanted = options.stations + options.inverters + options.batteries + options.v2g + options.sites
        bar = progress.add_task("connecting the fleet", total=wanted, news="")
        deadline = time.monotonic() + _READY_WALL_S
        while True:
            self._check_children()
            ready = await self._readiness()
            connected = int(ready.get("connected", 0))
            progress.update(bar, completed=connected, news=f"{connected} of {wanted} devices")
            if ready.get("status") == "ready" and connected >= 0.95 * wanted:
                progress.update(bar, completed=wanted)
                return
            if time.monotonic() > deadline:
                raise ConfigurationError(f"not ready after {_READY_WALL_S:.0f} s: {ready}; see {options.out}/serve.log")
            await asyncio.sleep(0.5)

    async def _readiness(self) -> Mapping[str, Any]:
        try:
            ready = (await self._client.get("/readyz")).json()
            fleet = (await self._client.get("/api/v1/fleet")).json()
        except (httpx.TransportError, ValueError):
            return {}
        return {**ready, "connected": fleet.get("connected", 0)}

    async def _ask_and_accept(self) -> dict[str, Any]:
        start_at = _next_quarter(self._clock.now() + _LEAD)
        probe = await self._post("/api/v1/requests", self._draft(start_at, 1e6), key="demo-probe")
        p50_kw = min(probe["quote"]["deliverable_kw"]["p50"])
        self._console.print(f"asked for 1 GW: [bold]{probe['quote']['verdict']}[/], p50 {p50_kw:,.0f} kW can be had")
        for limit in probe["quote"]["limits"][:3]:
            self._console.print(f"  limited by {limit['name']}")
        target_kw = round(self._options.share * p50_kw)
        asked = await self._post("/api/v1/requests", self._draft(start_at, target_kw), key="demo-request")
        self._console.print(f"asked for {target_kw:,} kW: [bold]{asked['quote']['verdict']}[/]")
        return await self._post(f"/api/v1/requests/{asked['id']}/accept", {}, key="demo-accept")

    def _draft(self, start_at: datetime, target_kw: float) -> dict[str, Any]:
        return {
            "product": "peak_shaving",
            "direction": "up",
            "target_kw": target_kw,
            "area": "city",
            "start_at": start_at.astimezone(_ZONE).isoformat(),
            "end_at": (start_at + self._hold).astimezone(_ZONE).isoformat(),
            "notice_class": "intraday",
        }

    async def _watch(self, progress: Progress, request: Mapping[str, Any], fleet: Child) -> None:
        bar = progress.add_task("scheduled", total=len(_STATES) - 1, news="")
        path, start_s = f"/api/v1/requests/{request['id']}", _epoch_s(request["start_at"])
        drop_s = start_s + self._hold.total_seconds() / 4.0 if self._options.drop_ratio else float("inf")
        deadline = time.monotonic() + self._longest_wall_s(start_s)
        while True:
            self._check_children()
            request = await self._get(path)
            state = request["state"]
            if state in _STATES:
                news = "" if state == _STATES[-1] else _news(request)
                progress.update(bar, description=state.replace("_", " "), completed=_STATES.index(state), news=news)
            if state == "holding" and self._clock.now_s() > drop_s:
                drop_s = float("inf")
                fleet.send_signal(signal.SIGUSR1)
            if state in {"settled", "failed", "aborted", "cancelled"}:
                return
            if time.monotonic() > deadline:
                raise ConfigurationError(f"request {request['id']} is still {state}; see {self._options.out}/serve.log")
            await asyncio.sleep(0.5)

    def _longest_wall_s(self, start_s: float) -> float:
        """Return wall seconds in which a request must be settled: its own time, two intervals, and patience."""
        after_minutes = self._options.hold_minutes + _RELEASE_MINUTES + self._watch_minutes + 30.0
        return self._clock.wall(start_s + 60.0 * after_minutes - self._clock.now_s()) + _PATIENCE_WALL_S

    def _check_children(self) -> None:
        for child in self._children:
            child.check()

    async def _save_report(self, request_id: str) -> None:
        for name, kind in (("report.html", "text/html"), ("report.json", "application/json")):
            path = f"/api/v1/requests/{request_id}/report"
            answer = await self._call("GET", path, headers={"Accept": kind})
            (self._options.out / name).write_bytes(answer.content)

    async def _get(self, path: str) -> dict[str, Any]:
        return _object(await self._call("GET", path))

    async def _post(self, path: str, body: Mapping[str, Any], *, key: str) -> dict[str, Any]:
        headers = {"Idempotency-Key": key, "X-Actor": "demo"}
        return _object(await self._call("POST", path, headers=headers, json=body))

    async def _call(self, method: str, path: str, **content: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        try:
            answer = await self._client.request(method, path, **content)
        except httpx.TransportError as error:
            await asyncio.sleep(_ENDING_WALL_S)  # a service that is about to end says more in its log than its socket
            self._check_children()
            raise ConfigurationError(f"{path}: no answer ({error!r}); see {self._options.out}/serve.log") from error
        if answer.is_error:
            raise ConfigurationError(f"{path} answered {answer.status_code}: {answer.text[:500]}")
        return answer


def _object(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    return body


def _next_quarter(at: datetime) -> datetime:
    return instant(-(-at.timestamp() // 900.0) * 900.0)


def _epoch_s(text: object) -> float:
    return datetime.fromisoformat(str(text)).timestamp()


def _news(request: Mapping[str, Any]) -> str:
    progress = request.get("progress")
    if not isinstance(progress, Mapping):
        return ""
    return f"target {progress['target_kw']:,.0f} kW, delivered {progress['delivered_kw']:,.0f} kW"


def _tell(console: Console, summary: Mapping[str, float], failed: list[str], out: Path) -> None:
    for name, value in summary.items():
        console.print(f"  {name:32} {_shown(name, value):>10}")
    console.print(f"report: {out / 'report.html'}")
    for line in failed:
        console.print(f"[red]not kept:[/] {line}")
    if not failed:
        console.print("[green]what was accepted was delivered, and every promise kept[/]")


def _shown(name: str, value: float) -> str:
    if name.endswith("_ratio"):
        return f"{value:.4f}"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
