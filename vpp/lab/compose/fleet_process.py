"""Device side in one process: physics advanced along the clock, simulators of every protocol, registration."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

import httpx
import numpy as np
import structlog

from vpp.domain.errors import ConfigurationError
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.ports import Clock, DeviceSimulator

_log = structlog.get_logger(__name__)
_TICK_WALL_S = 0.05
_SILENCE_WALL_S = 10.0
"""Time between two words of a fleet that waits for its service."""
_ANSWER_WALL_S = 600.0
"""Longest wait for one answer: slow, busy cores take minutes for a page."""
_PAGE = 25_000
"""Resources of one request: half a minute's work for a busy service."""


class MovingWorld(Protocol):
    """A physical model that can be moved forward (`vpp.lab.twin.fleet.Twin`)."""

    def advance(self, to_s: float) -> None:
        """Integrate the physics up to epoch second ``to_s``."""
        ...


class FleetSide:
    """Runs the model and its simulators until cancelled.

    Args:
        world: The model; it stands at or before the clock's present.
        simulators: Device side of every protocol.
        clock: The clock service and fleet share.
    """

    def __init__(self, world: MovingWorld, simulators: Sequence[DeviceSimulator], clock: Clock) -> None:
        self._world = world
        self._simulators = simulators
        self._clock = clock

    async def run(self) -> None:
        """Serve until cancelled; the first simulator that fails ends all."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._move(), name="physics")
            for simulator in self._simulators:
                group.create_task(simulator.run(), name=type(simulator).__name__)

    async def _move(self) -> None:
        while True:
            self._world.advance(self._clock.now_s())
            await asyncio.sleep(_TICK_WALL_S)


class Registration:
    """Registers a fleet with a running service over its public API, as an operator's back office would.

    Args:
        url: Root of the service, e.g. ``http://127.0.0.1:8080``.
        token: Bearer token, where the service wants one.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.AsyncClient(base_url=url, headers=headers, timeout=_ANSWER_WALL_S, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def wait_until_alive(self) -> None:
        """Return once the service answers; like its devices, a fleet waits for as long as that takes, and says so."""
        loop = asyncio.get_running_loop()
        told_s = loop.time()
        while not await self._alive():
            if loop.time() - told_s > _SILENCE_WALL_S:
                told_s = loop.time()
                _log.warning("no service answers yet", url=str(self._client.base_url), start_one_with="vpp serve")
            await asyncio.sleep(_TICK_WALL_S)

    async def connect(self, body: Mapping[str, Sequence[object]]) -> None:
        """Register areas, operators, transformers, sites and resources, page by page; existing entries stay."""
        resources = body["resources"]
        frame = {part: things for part, things in body.items() if part != "resources"}
        for first in range(0, len(resources), _PAGE):
            page = resources[first : first + _PAGE]
            await self._post("/api/v1/fleet", json={**frame, "resources": page})
            frame = dict.fromkeys(frame, ())  # the first page's; the service has it now
            _log.info("fleet registered", resources=first + len(page), of=len(resources))

    async def import_history(self, grid: TimeGrid, resource_ids: Sequence[str], mean_kw: FloatArray) -> None:
        """Hand over metered 15-minute means, shape ``(n_resources, grid.count)``."""
        await self._post(
            "/api/v1/meter-intervals",
            content=wide_csv(grid, resource_ids, mean_kw),
            headers={"Content-Type": "text/csv"},
        )
        _log.info("meter history imported", intervals=grid.count, resources=len(resource_ids))

    async def _alive(self) -> bool:
        try:
            return (await self._client.get("/healthz", timeout=_SILENCE_WALL_S)).is_success
        except httpx.TransportError:
            return False

    async def _post(self, path: str, **body: object) -> None:
        answer = await self._client.post(path, **body)  # type: ignore[arg-type]  # json, content, headers
        if answer.is_error:
            raise ConfigurationError(f"{path} answered {answer.status_code}: {answer.text[:500]}")


def wide_csv(grid: TimeGrid, resource_ids: Sequence[str], mean_kw: FloatArray) -> bytes:
    """Return one line an interval, one column a resource; an empty field where nothing is known."""
    header = ",".join(("start_at", *resource_ids))
    rounded = np.char.mod("%.3f", mean_kw.T)
    rounded[np.isnan(mean_kw.T)] = ""
    lines = [
        ",".join((instant(start_s).isoformat(), *row)) for start_s, row in zip(grid.starts_s(), rounded, strict=True)
    ]
    return "\n".join((header, *lines, "")).encode()


def write_atomically(path: Path, text: str) -> None:
    """Write ``text`` in one step, so that a reader never sees half of it."""
    draft = path.with_suffix(path.suffix + ".part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
