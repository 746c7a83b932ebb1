"""The HTTP API's life cycle as a grid link."""

import asyncio
import socket
from typing import Any

import httpx

from tests.patience import PATIENCE_WALL_S
from vpp.api.grid_link import HttpGridLink


class _Application:
    """Answers every call with the sink it was made over."""

    def __init__(self, sink: str) -> None:
        self._sink = sink

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's
        if scope["type"] == "lifespan":
            raise NotImplementedError  # uvicorn takes an application without one
        del receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": self._sink.encode()})


async def test_it_answers_over_its_sink_from_start_to_close() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        link = HttpGridLink(listener, _Application)  # type: ignore[arg-type] # any sink will do here
        await link.start("the sink")  # type: ignore[arg-type] # as above
        ended = asyncio.create_task(link.ended())
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/")).text == "the sink"
        assert not ended.done()
        await link.close()
        await asyncio.wait_for(ended, timeout=PATIENCE_WALL_S)


async def test_it_can_be_closed_before_it_was_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        link = HttpGridLink(listener, _Application)  # type: ignore[arg-type] # as above
        await link.ended()
        await link.close()
