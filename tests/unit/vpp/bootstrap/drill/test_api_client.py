"""Refusals of a service, told in a line."""

import httpx
import pytest

from vpp.bootstrap.drill.api_client import ApiClient
from vpp.domain.errors import ConfigurationError


def client(answer: httpx.Response) -> ApiClient:
    return ApiClient("service:8080", "secret", httpx.MockTransport(lambda _: answer))


async def test_an_object_is_returned_and_the_token_and_actor_are_sent() -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={name: request.headers[name] for name in ("authorization", "x-actor")})

    async with ApiClient("service:8080", "secret", httpx.MockTransport(echo)) as service:
        assert await service.get("/fleet") == {"authorization": "Bearer secret", "x-actor": "vpp drill"}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(401, json={"detail": "no"}), "VPP_API_TOKEN"),
        (
            httpx.Response(422, json={"detail": "start_at: overlaps request req-1"}),
            "422: start_at: overlaps request req-1",
        ),
        (httpx.Response(502, text="bad gateway"), "502: bad gateway"),
        (httpx.Response(500, json=["odd"]), "500"),
    ],
)
async def test_a_refusal_is_told_in_a_line(answer: httpx.Response, told: str) -> None:
    async with client(answer) as service:
        with pytest.raises(ConfigurationError, match=told):
            await service.post("/requests", {})


async def test_a_service_that_is_not_there_is_named() -> None:
    def nobody(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    async with ApiClient("service:8080", None, httpx.MockTransport(nobody)) as service:
        with pytest.raises(ConfigurationError, match="service:8080"):
            await service.get("/fleet")
