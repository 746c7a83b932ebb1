"""Grid links beside the HTTP API: a dispatcher's own protocol asks, accepts and hears events through the service."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.patience import PATIENCE_WALL_S
from tests.story.town import BEGIN_S, INDEX, resting
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.domain.request import Direction, NoticeClass, Product, RequestDraft
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.domain.timegrid import floor_s, instant
from vpp.fleet.scope import EVERYTHING
from vpp.planning.forecast.load_forecast import forecast
from vpp.ports import GridSink
from vpp.runtime.clock import VirtualClock

ROWS = 12


class LineLink:
    """Lines over TCP: ``submit KW`` and ``accept ID`` are answered by ``STATE ID``, events follow as they happen."""

    name = "line"

    def __init__(self) -> None:
        self.address: tuple[str, int] | None = None
        self.fault: Exception | None = None
        self.started, self.called, self.finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def start(self, sink: GridSink) -> None:
        """Listen at a free port."""
        self._sink = sink
        self._callers: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = self._server.sockets[0].getsockname()[:2]
        self.started.set()

    async def ended(self) -> None:
        """Wait for the end."""
        await self.finished.wait()

    async def close(self) -> None:
        """End, or raise the fault."""
        self.finished.set()
        self._server.close()
        await self._server.wait_closed()
        await asyncio.gather(*self._callers)
        if self.fault is not None:
            raise self.fault

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        events = asyncio.create_task(self._report(writer))
        self._callers.add(events)
        with contextlib.suppress(ConnectionError):
            while line := (await reader.readline()).decode().split():
                request = await self._obey(*line)
                writer.write(f"{request.state.value} {request.id}\n".encode())

    async def _obey(self, verb: str, argument: str) -> object:
        if verb == "accept":
            return await self._sink.accept(argument, offer=None, actor=self.name, scope=EVERYTHING)
        start_at = instant(floor_s(self._sink.clock.now_s(), 900) + 1800.0)
        draft = RequestDraft(
            product=Product.PEAK_SHAVING,
            direction=Direction.UP,
            target_kw=float(argument),
            area="city",
            start_at=start_at,
            end_at=start_at + timedelta(minutes=15.0),
            notice_class=NoticeClass.INTRADAY,
        )
        request, _ = await self._sink.submit(draft, key=None, actor=self.name, scope=EVERYTHING)
        return request

    async def _report(self, writer: asyncio.StreamWriter) -> None:
        self.called.set()
        async for event in self._sink.events(after=None, scope=EVERYTHING):
            if event.kind == "request":
                writer.write(f"event {event.body['state']} {event.body['id']}\n".encode())
        writer.close()


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """Return a service with twelve devices and a plan in force, whose clock stands and whose solver is not started."""
    clock, store = VirtualClock(BEGIN_S), Store.open("sqlite://")
    made = Service(Settings.load(data_dir=tmp_path), store, clock, ())
    monkeypatch.setattr(made.planner, "start", lambda: asyncio.sleep(0))
    await made.plant.connect(
        areas=INDEX.areas,
        operators=INDEX.operators,
        transformers=INDEX.transformers,
        sites=INDEX.sites,
        resources=INDEX.resources[:ROWS],
    )
    made.core.plane.telemetry(
        TelemetryBatch.of(
            [
                sample
                for row in range(ROWS)
                for sample in (
                    (row, int(Quantity.CONNECTED), 1.0, BEGIN_S),
                    (row, int(Quantity.POWER_KW), 3.0, BEGIN_S),
                )
            ]
        )
    )
    made.inputs.refresh()
    state = made.plant.fleet()
    made.plans.forecast, made.plans.schedule = forecast(state, store.meters), resting(ROWS, state.at_s)
    yield made
    await made.close()
    store.close()


@contextlib.asynccontextmanager
async def serving(service: Service, *links: "LineLink") -> AsyncIterator[asyncio.Task[None]]:
    running = asyncio.create_task(service.run(links))
    async with asyncio.timeout(PATIENCE_WALL_S):
        await asyncio.gather(*(link.started.wait() for link in links))
    yield running
    running.cancel()
    await asyncio.wait((running,))


async def two_lines(reader: asyncio.StreamReader) -> set[str]:
    return {(await asyncio.wait_for(reader.readline(), timeout=PATIENCE_WALL_S)).decode().strip() for _ in range(2)}


async def test_a_dispatcher_of_another_protocol_submits_accepts_and_hears_events(service: Service) -> None:
    link = LineLink()
    async with serving(service, link):
        assert link.address is not None
        reader, writer = await asyncio.open_connection(*link.address)
        writer.write(b"submit 0.5\n")
        quoted = await two_lines(reader)
        (request,) = service.plant.requests()
        assert quoted == {f"event quoted {request.id}", f"quoted {request.id}"}
        writer.write(f"accept {request.id}\n".encode())
        assert await two_lines(reader) == {f"event scheduled {request.id}", f"scheduled {request.id}"}
        assert "line" in [t.actor for t in service.plant.request(request.id).history]
    assert await reader.read() == b"", "a link ends its connections when the service stops"
    writer.close()


async def test_a_link_that_fails_ends_the_service_and_the_other_links(service: Service) -> None:
    sound, failing = LineLink(), LineLink()
    async with serving(service, sound, failing) as running:
        failing.fault = OSError("the line is cut")
        failing.finished.set()
        with pytest.raises(OSError, match="the line is cut"):
            await asyncio.wait_for(running, timeout=PATIENCE_WALL_S)
    assert sound.finished.is_set()


async def test_a_link_that_cannot_start_ends_the_service_though_another_link_serves_a_reader(service: Service) -> None:
    sound = LineLink()

    class Taken(LineLink):
        async def start(self, sink: GridSink) -> None:
            """Fail once a caller of the other link reads events."""
            del sink
            assert sound.address is not None
            self.caller = await asyncio.open_connection(*sound.address)
            await sound.called.wait()
            raise OSError("the address is taken")

    taken = Taken()
    with pytest.raises(OSError, match="the address is taken"):
        await asyncio.wait_for(service.run((sound, taken)), timeout=PATIENCE_WALL_S)
    reader, writer = taken.caller
    assert await reader.read() == b"", "the reader's connection is ended"
    writer.close()
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if task.get_name() in {"supervision", "line"}]
