"""Drill of a running service: asked for, accepted, followed and judged over its HTTP API."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from vpp.application.drills.drill_plan import asked_kw, drill_draft
from vpp.bootstrap.clocks import running_clock
from vpp.bootstrap.drill.api_client import ApiClient
from vpp.bootstrap.parts.programme import programme_in
from vpp.bootstrap.runner import run
from vpp.config import Settings
from vpp.domain.errors import ConfigurationError
from vpp.domain.request import Direction, RequestState
from vpp.domain.timegrid import floor_s, instant
from vpp.domain.units import SECONDS_PER_MINUTE, STEP_S
from vpp.fleet.calendar import local_day
from vpp.ports import Clock

_STOPPED = 130
_NOTICE_S = 15.0 * SECONDS_PER_MINUTE
_LOOK_S = 5.0
_OVER = frozenset(
    {RequestState.SETTLED, RequestState.CANCELLED, RequestState.SUPERSEDED, RequestState.FAILED, RequestState.ABORTED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillOptions:
    """What is tested, and how.

    Attributes:
        area: The area, or ``"city"``.
        kw: Power asked of the whole area; ``None`` for a drawn part.
        share: Share of the devices that is drawn, above 0 to 1.
        direction: Of the change of net load.
        minutes: Length of the hold.
        start_at: Begin of the hold, ``None`` for as soon as may be.
        wait: Follow it to its settlement.
    """

    area: str
    kw: float | None
    share: float
    direction: Direction
    minutes: float
    start_at: datetime | None
    wait: bool


def run_drill(settings: Settings, options: DrillOptions, *, as_json: bool) -> int:
    """Carry out a drill and print what came of it.

    Returns:
        0 where it was committed, with ``wait`` only where it was delivered within the programme's band; 1 otherwise;
        130 where a signal ended the waiting.

    Raises:
        ConfigurationError: The service does not answer, or refuses the drill; the message says why.
    """
    summary = run(_drilled(settings, options))
    if summary is None:
        return _STOPPED
    sys.stdout.write(json.dumps(summary) + "\n" if as_json else _text(summary))
    return 0 if summary["passed"] else 1


async def _drilled(settings: Settings, options: DrillOptions) -> dict[str, Any]:
    band = programme_in(settings.programme).terms.rule.kept_between
    async with running_clock(settings) as clock, ApiClient(settings.http, settings.api_token) as client:
        return await Drill(client, clock, options, band).run()


class Drill:
    """One drill.

    Args:
        client: The service.
        clock: The service's time.
        options: What is tested.
        band: Least and greatest ratio of delivered to committed power with which it is passed.
    """

    def __init__(self, client: ApiClient, clock: Clock, options: DrillOptions, band: tuple[float, float]) -> None:
        self._client, self._clock, self._options, self._band = client, clock, options, band

    async def run(self) -> dict[str, Any]:
        """Return what came of it; raises as ``run_drill`` does."""
        request = await self._committed()
        if request["accepted_kw"] is None or not self._options.wait:
            return _summary(request, passed=request["accepted_kw"] is not None)
        return await self._judged(await self._followed(request["id"]))

    async def _committed(self) -> Mapping[str, Any]:
        """Return the drill committed, or declined where it cannot be met."""
        body = await self._body(self._start_s())
        request = await self._client.post("/requests", body)
        if request["quote"]["verdict"] == "infeasible":
            return await self._client.post(f"/requests/{request['id']}/decline", {"reason": "there is nothing to test"})
        return await self._client.post(f"/requests/{request['id']}/accept", {})

    def _start_s(self) -> float:
        given = self._options.start_at
        return -floor_s(-(self._clock.now_s() + _NOTICE_S), STEP_S) if given is None else given.timestamp()

    async def _body(self, start_s: float) -> dict[str, object]:
        options = self._options
        drawn = options.share if options.kw is None else 1.0
        draft = drill_draft(
            (options.area, options.direction),
            target_kw=options.kw or asked_kw(await self._available_kw(start_s), drawn),
            start_s=start_s,
            minutes=options.minutes,
            drawn_ratio=drawn,
        )
        return {
            "purpose": draft.purpose.value,
            "drawn_ratio": draft.drawn_ratio,
            "product": draft.product.value,
            "direction": draft.direction.value,
            "target_kw": draft.target_kw,
            "area": draft.area,
            "start_at": draft.start_at.isoformat(),
            "end_at": draft.end_at.isoformat(),
            "notice_class": draft.notice_class.value,
        }

    async def _available_kw(self, start_s: float) -> float:
        """Return what the whole area is expected to have at an instant, kW.

        Raises:
            ConfigurationError: It is not known, or nothing.
        """
        found = await self._client.get("/capability", area=self._options.area, date=local_day(start_s).isoformat())
        starts_s = [datetime.fromisoformat(at).timestamp() for at in found["interval_starts_at"]]
        series = found[self._options.direction.value]["available_kw"]
        kw = next((kw for at_s, kw in zip(starts_s, series, strict=True) if at_s <= start_s < at_s + STEP_S), None)
        if not kw:
            at = instant(start_s).isoformat()
            raise ConfigurationError(f"--area {self._options.area}: nothing is known to be available at {at}")
        return float(kw)

    async def _followed(self, request_id: str) -> Mapping[str, Any]:
        """Return the drill once it is over and settled, its delivery shown meanwhile."""
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[power]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("", power="", total=None)
            while True:
                request = await self._client.get(f"/requests/{request_id}")
                bar.update(task, description=request["state"], **_shown(request))
                if RequestState(request["state"]) in _OVER and not _awaits_settlement(request):
                    return request
                await self._clock.sleep(_LOOK_S)

    async def _judged(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a settled drill with what was delivered, and what is verified by now."""
        summary = _summary(request, passed=False)
        if request["state"] != RequestState.SETTLED:
            return summary | {"why": request["history"][-1]["reason"]}
        measured = await self._client.get(f"/requests/{request['id']}/performance")
        day = local_day(datetime.fromisoformat(request["start_at"]).timestamp()).isoformat()
        declared = (await self._client.get("/capability", area=request["area"], date=day))[request["direction"]]
        delivered_kw, low, high = measured["delivered_mean_kw"], *self._band
        ratio = None if delivered_kw is None else delivered_kw / request["accepted_kw"]
        stopped = next((one["reason"] for one in request["history"] if one["to_state"] in _STOPS), None)
        return summary | {
            "passed": stopped is None and ratio is not None and low <= ratio <= high,
            "why": stopped,
            "delivered_kw": delivered_kw,
            "delivered_ratio": ratio,
            "band": [low, high],
            "verified_kw": declared["verified_kw"][0],
        }


_STOPS = (RequestState.SUPERSEDED, RequestState.ABORTED, RequestState.FAILED)


def _awaits_settlement(request: Mapping[str, Any]) -> bool:
    """Return whether a drill that was ended early is still to be settled: it had begun."""
    begun = any(one["to_state"] == RequestState.RAMPING for one in request["history"])
    return begun and request["state"] in {RequestState.SUPERSEDED, RequestState.ABORTED}


def _shown(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return how far the target is reached, for the progress bar."""
    progress = request["progress"] or {}
    target_kw, delivered_kw = progress.get("target_kw"), progress.get("delivered_kw")
    if target_kw is None or delivered_kw is None:
        return {"total": None, "power": ""}
    return {
        "total": max(target_kw, 1e-9),
        "completed": min(max(delivered_kw, 0.0), target_kw),
        "power": f"{delivered_kw:,.1f} of {target_kw:,.1f} kW",
    }


def _summary(request: Mapping[str, Any], *, passed: bool) -> dict[str, Any]:
    names = ("id", "area", "direction", "start_at", "end_at", "state", "drawn_ratio", "accepted_kw")
    return {name: request[name] for name in names} | {
        "quoted_p50_kw": request["quote"]["p50_kw"],
        "whole_kw": request["quote"]["whole_kw"],
        "passed": passed,
    }


def _text(summary: Mapping[str, Any]) -> str:
    """Return what came of a drill as people read it."""
    part = "" if summary["drawn_ratio"] == 1.0 else f", a drawn {summary['drawn_ratio']:.0%} of the devices"
    lines = [f"drill {summary['id']}: {summary['area']}, {summary['direction']}{part}"]
    if summary["accepted_kw"] is None:
        return "\n".join([*lines, f"not held: {summary['quoted_p50_kw']:,.1f} kW is all that was quoted"]) + "\n"
    lines.append(f"committed {summary['accepted_kw']:,.1f} kW from {summary['start_at']} to {summary['end_at']}")
    if summary.get("why"):
        lines.append(f"{summary['state']}: {summary['why']}")
    if summary.get("delivered_kw") is not None:
        low, high = summary["band"]
        verdict = "within" if summary["passed"] else "not within"
        ratio = f"{summary['delivered_ratio']:.1%}, {verdict} {low:.0%} to {high:.0%}"
        lines += [f"delivered {summary['delivered_kw']:,.1f} kW: {ratio}"]
        lines += [f"verified {(summary['verified_kw'] or 0.0) / 1e3:,.3f} MW in {summary['area']}"]
    return "\n".join(lines) + "\n"
