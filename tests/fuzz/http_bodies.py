"""HTTP requests as no caller should send them, to every route of a real service; nothing may be answered with 5xx."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

from structlog.testing import capture_logs

from tests.fuzz.engine import Tally
from tests.fuzz.mutate import ODD_VALUES, dumped, mutated_bytes, mutated_json
from tests.fuzz.schema_values import drawn
from vpp.api.app import describe
from vpp.bootstrap.grid_links import http_application
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.domain.request import (
    Direction,
    NoticeClass,
    Product,
    RequestDraft,
)
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.session import Promise, SessionPromised, SessionStarted
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.lab.bench.journal.city_rows import quote_of
from vpp.runtime.clock import VirtualClock

NAME = "http-bodies"
SHARE = 0.02
_NOW = datetime(2026, 7, 15, 4, 0, tzinfo=UTC)
_FRESH_EVERY = 1000
_SOUND_EVERY = 25
_SERVER_ERROR = 500
_KNOWN = ("req-1784088000-1", "req-1784088000-2", "ev-1", "roof", "CS/1:a", "a", "city", "1")
_TABLES = (
    "start_at,ev-1,roof\n2026-07-14T10:00:00+08:00,6.2,-3\n2026-07-14T10:15:00+08:00,,\n",
    "id,name\nn,North\n",
    "id,name,area_id,operator_id,transformer_id\ns2,S,a,o,t\n",
    "id,area_id,limit_kw,export_limit_kw\nt2,a,10,5\n",
    "time,value\n2026-07-15T12:00:04+08:00,0.1\n2026-07-15T12:00:08+08:00,0.2\n",
)
_TYPES = ("application/json", "application/json", "application/json", "text/csv", "text/plain", "", "a/b;charset=\xff")
_EXPECTED_UNABLE = "urn:vpp:problem:try-again"


@dataclass(frozen=True, slots=True)
class Call:
    """One request; sound ones are the neighbour's."""

    method: str
    path: str
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""


def inputs(rng: random.Random) -> Iterator[Call]:
    """Iterate requests to every route of the description, made wrong somewhere."""
    description = describe("0")
    routes = [
        (method.upper(), path, operation)
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
    ]
    while True:
        yield _call(rng, *rng.choice(routes), description)


def _call(rng: random.Random, method: str, path: str, operation: Mapping[str, Any], root: dict[str, Any]) -> Call:
    for name in ("request_id", "resource_id", "session_id", "number"):
        path = path.replace(f"{{{name}}}", _place(rng))
    given = [p for p in operation.get("parameters", ()) if p["in"] == "query" and rng.random() < 0.5]
    query = "&".join(f"{p['name']}={quote_plus(_word(rng), errors='replace')}" for p in given)
    content = operation.get("requestBody", {}).get("content", {})
    headers = [(b"content-type", rng.choice(_TYPES).encode("latin-1"))]
    headers += [(b"idempotency-key", _header(rng))] if rng.random() < 0.2 else []
    headers += [(b"x-actor", _header(rng))] if rng.random() < 0.1 else []
    headers += [(b"last-event-id", _header(rng))] if rng.random() < 0.1 else []
    body = _body(rng, content, root) if method != "GET" else b""
    if "text/csv" in content and rng.random() < 0.8:
        headers[0], body = (b"content-type", b"text/csv"), rng.choice(_TABLES).encode()
        body = mutated_bytes(rng, body, rng.choice((0, 1, 1, 2, 5)))
    elif "application/json" in content and rng.random() < 0.8:
        headers[0] = (b"content-type", b"application/json")
    return Call(method, path, query.encode(), tuple(headers), body)


def _body(rng: random.Random, content: Mapping[str, Any], root: dict[str, Any]) -> bytes:
    schema = content.get("application/json", {}).get("schema")
    if schema is None:
        return mutated_bytes(rng, b'{"a": 1}', 3)
    choices = schema.get("oneOf") or schema.get("anyOf") or [schema]
    chosen = rng.choice(choices)
    named = root["components"]["schemas"].get(chosen.get("$ref", "").rpartition("/")[2], {})
    examples = named.get("examples") or chosen.get("examples")
    value = rng.choice(examples) if examples and rng.random() < 0.6 else drawn(rng, chosen, root)
    body = dumped(mutated_json(rng, value, rng.choice((0, 1, 1, 2, 4))))
    return mutated_bytes(rng, body, rng.choice((1, 3))) if rng.random() < 0.15 else body


def _place(rng: random.Random) -> str:
    return rng.choice(_KNOWN) if rng.random() < 0.85 else _word(rng)


def _word(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return rng.choice((*_KNOWN, "2026-07-15", "2026-07-15T12:00:00+08:00", "up", "ev", "good", "true", "5", "html"))
    value = rng.choice(ODD_VALUES[:20] + ODD_VALUES[22:])
    return value if isinstance(value, str) else json.dumps(value)


def _header(rng: random.Random) -> bytes:
    return _word(rng).encode("utf-8", "replace").replace(b"\n", b" ").replace(b"\0", b" ")[:300]


@dataclass(slots=True)
class _Answer:
    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


async def run(inputs: Iterator[Call], tally: Tally) -> None:
    """Call a service that is made anew now and then, so that nothing piles up."""
    import vpp.console.plots  # noqa: F401, PLC0415 - the first report loads it, 30 MB and more: not what grows

    with capture_logs() as logs:
        app: Any = None
        service: _Served | None = None
        for number, call in enumerate(inputs):
            if number % _FRESH_EVERY == 0:
                if service is not None:
                    service.close()
                service = await _Served.begin()
                app = http_application(service.service, service.service.plant)
            answer = await _answered(app, call)
            tally.notes[f"{answer.status // 100}xx"] = tally.notes.get(f"{answer.status // 100}xx", 0) + 1
            if not _sound(answer):
                tally.crash(f"{answer.status} {bytes(answer.body[:200])!r} {logs[-1:]!r:.2000}", call)
            logs.clear()
            if number % _SOUND_EVERY == 0:
                good = await _answered(app, Call("GET", "/api/v1/fleet"))
                tally.heard(answered=good.status == 200)
        if service is not None:
            service.close()


def _sound(answer: _Answer) -> bool:
    if answer.status < 400:
        return answer.status >= 200
    problem = json.loads(bytes(answer.body)) if answer.body else {}
    if answer.headers.get(b"content-type") == b"application/problem+json" and problem.get("status") != answer.status:
        return False
    return answer.status < _SERVER_ERROR or problem.get("type") == _EXPECTED_UNABLE or "checks" in problem


async def _answered(app: Any, call: Call) -> _Answer:  # noqa: ANN401 - an ASGI application
    answer, sent = _Answer(), False
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": call.method,
        "scheme": "http",
        "path": call.path,
        "raw_path": call.path.encode("utf-8", "replace"),
        "query_string": call.query,
        "root_path": "",
        "headers": [(b"host", b"vpp"), (b"content-length", str(len(call.body)).encode()), *call.headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": call.body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], dict(message["headers"])
        else:
            answer.body += message.get("body", b"")

    await app(scope, receive, send)
    return answer


@dataclass(slots=True)
class _Served:
    """A service without links or loops: a fleet, a car, and requests in several states."""

    service: Service
    store: Store

    @classmethod
    async def begin(cls) -> "_Served":
        """Start one."""
        settings = Settings.load(db_url="sqlite://")
        store = Store.open(settings.database_url)
        clock = VirtualClock(_NOW.timestamp())
        service = Service(settings, store, clock, [])
        await service.plant.connect(**_fleet())
        plane = service.core.plane
        plane.session(SessionStarted(session_id="CS/1:a", row=0, at_s=clock.now_s(), meter_kwh=5.0))
        promise = Promise(energy_kwh=9.0, departure_s=clock.now_s() + 7200.0)
        plane.session(SessionPromised(session_id="CS/1:a", promise=promise))
        service.inputs.refresh()
        book = service.core.engine.book
        for product in (Product.PEAK_SHAVING, Product.REGULATION):
            draft = replace(_DRAFT, product=product, area="a" if product is Product.REGULATION else "b")
            request, _ = book.submit(draft, key=None, actor="x", now=_NOW, known_areas=("a", "b"))
            quote = quote_of(9.0, start_at=draft.start_at, expires_at=_NOW + timedelta(minutes=5))
            book.quoted(request.id, quote, _NOW)
            book.accept(request.id, offer=None, actor="x", now=_NOW)
        return cls(service=service, store=store)

    def close(self) -> None:
        """End it."""
        self.store.close()


_DRAFT = RequestDraft(
    product=Product.PEAK_SHAVING,
    direction=Direction.UP,
    target_kw=5.0,
    area="a",
    start_at=_NOW + timedelta(minutes=20),
    end_at=_NOW + timedelta(minutes=65),
    notice_class=NoticeClass.FAST,
)


def _fleet() -> dict[str, Any]:
    chargers = [
        Resource(
            id=f"ev-{k}",
            site_id="s",
            resource_class=ResourceClass.EV,
            adapter=Adapter.OCPP,
            address=f"CS-{k}/1",
            p_min_kw=0.0,
            p_max_kw=11.0,
        )
        for k in (1, 2)
    ]
    roof = Resource(
        id="roof",
        site_id="s",
        resource_class=ResourceClass.PV,
        adapter=Adapter.MQTT,
        address="hall/roof",
        p_min_kw=-30.0,
        p_max_kw=0.0,
    )
    return {
        "areas": [Area(id="a", name="A"), Area(id="b", name="B")],
        "operators": [Operator(id="o", name="O")],
        "transformers": [Transformer(id="t", area_id="a", limit_kw=90.0, export_limit_kw=90.0)],
        "sites": [Site(id="s", name="S", area_id="a", operator_id="o", transformer_id="t")],
        "resources": [*chargers, roof],
    }
