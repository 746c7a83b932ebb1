"""Client of a running service's HTTP API, as a dispatcher's program is one."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Self

import httpx

from vpp.domain.errors import ConfigurationError

_PATIENCE_WALL_S = 60.0


class ApiClient:
    """Calls below ``/api/v1``.

    Args:
        http: Address of the service, HOST:PORT.
        token: Bearer token, where the service wants one.
        transport: Way to the service; its address if not given.
    """

    def __init__(self, http: str, token: str | None, transport: httpx.AsyncBaseTransport | None = None) -> None:
        headers = {"X-Actor": "vpp drill"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._client = httpx.AsyncClient(
            base_url=f"http://{http}/api/v1",
            headers=headers,
            timeout=_PATIENCE_WALL_S,
            trust_env=False,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def get(self, path: str, **query: str) -> Mapping[str, Any]:
        """Return the object at a path; raises as ``post`` does."""
        return await self._call("GET", path, params=query)

    async def post(self, path: str, body: Mapping[str, object], *, key: str | None = None) -> Mapping[str, Any]:
        """Send an object and return the answer.

        Args:
            path: Below ``/api/v1``.
            body: The object.
            key: Idempotency key.

        Raises:
            ConfigurationError: The service does not answer, or refuses; the message says why.
        """
        return await self._call("POST", path, json=dict(body), headers={} if key is None else {"Idempotency-Key": key})

    async def _call(self, method: str, path: str, **content: Any) -> Mapping[str, Any]:  # noqa: ANN401 - httpx's own
        try:
            answer = await self._client.request(method, path, **content)
        except httpx.TransportError as error:
            raise ConfigurationError(
                f"no service answers at {self._client.base_url} ({error!r}); start one with: vpp serve"
            ) from error
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            raise ConfigurationError("VPP_API_TOKEN: the service does not accept this token, or wants one")
        if answer.is_error:
            raise ConfigurationError(f"{path} answered {answer.status_code}: {_why(answer)}")
        found: Mapping[str, Any] = answer.json()
        return found


def _why(answer: httpx.Response) -> str:
    """Return what an answer says of its refusal (RFC 9457), or its beginning."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:500]
