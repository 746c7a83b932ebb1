"""The service as a dispatcher's program sees it: its public HTTP API, and the processes behind it."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from vpp.domain.errors import ConfigurationError

_ENDING_WALL_S = 2.0
_ANSWER_WALL_S = 300.0
"""Longest wait for an answer, which takes long on a crowded machine; a process that has ended closes the connection."""


class Client:
    """Calls of the public API.

    Args:
        port: Of the service's HTTP end on loopback.
        check: Raises ConfigurationError where a process behind the API has ended.
        log: The service's log, named in errors.
    """

    def __init__(self, port: int, check: Callable[[], None], log: Path) -> None:
        self._http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=_ANSWER_WALL_S, trust_env=False)
        self._check = check
        self._log = log

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def readiness(self) -> Mapping[str, Any]:
        """Return the readiness checks and the number of devices ``connected``; empty without an answer."""
        self._check()
        try:
            ready = (await self._http.get("/readyz")).json()
            fleet = (await self._http.get("/api/v1/fleet")).json()
        except (httpx.TransportError, ValueError):
            return {}
        return {**ready, "connected": fleet.get("connected", 0)}

    async def get(self, path: str) -> dict[str, Any]:
        """Return the object at a path below ``/api/v1``."""
        return _object(await self.call("GET", path))

    async def post(self, path: str, body: Mapping[str, Any], *, key: str) -> dict[str, Any]:
        """Send an object under an idempotency key and return the answer."""
        headers = {"Idempotency-Key": key, "X-Actor": "demo"}
        return _object(await self.call("POST", path, headers=headers, json=body))

    async def call(self, method: str, path: str, **content: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        """Return the answer to one call below ``/api/v1``.

        Raises:
            ConfigurationError: The service does not answer, or answers with an error.
        """
        self._check()
        try:
            answer = await self._http.request(method, f"/api/v1{path}", **content)
        except httpx.TransportError as error:
            await asyncio.sleep(_ENDING_WALL_S)  # a service that is about to end says more in its log than its socket
            self._check()
            raise ConfigurationError(f"{path}: no answer ({error!r}); see {self._log}") from error
        if answer.is_error:
            raise ConfigurationError(f"{path} answered {answer.status_code}: {answer.text[:500]}")
        return answer


def _object(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    return body
