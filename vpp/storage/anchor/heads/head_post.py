"""Second place of the heads behind a web address: each is sent once, in order, until it is taken."""

from collections import deque
from typing import Final

import httpx

from vpp.domain.errors import StorageError
from vpp.record.heads import SignedHead

_PATIENCE_WALL_S: Final = 5.0
_MOST: Final = 10_000
"""Heads that wait at most; a later one covers whatever an earlier one does, so the oldest are dropped."""


class HeadPost:
    """Sends heads to one address, one POST with a JSON object each; calls block."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: deque[SignedHead] = deque(maxlen=_MOST)

    def add(self, head: SignedHead) -> None:
        """Have a head sent by the next ``send``."""
        self._waiting.append(head)

    def send(self) -> int:
        """Send what waits; return what still does, which is nothing unless more came meanwhile.

        Raises:
            StorageError: The address does not answer, or not with a success.
        """
        if not self._waiting:
            return 0
        with httpx.Client(timeout=_PATIENCE_WALL_S) as client:
            while self._waiting:
                head = self._waiting[0]
                self._post(client, head)
                if self._waiting and self._waiting[0] is head:
                    self._waiting.popleft()
        return len(self._waiting)

    def _post(self, client: httpx.Client, head: SignedHead) -> None:
        try:
            answer = client.post(self._url, content=head.line().encode(), headers={"Content-Type": "application/json"})
        except httpx.HTTPError as error:
            raise StorageError(
                f"signed heads cannot be sent to {self._shown}: {error or type(error).__name__}"
            ) from error
        if not answer.is_success:
            raise StorageError(f"signed heads are not taken by {self._shown}: it answers {answer.status_code}")

    @property
    def _shown(self) -> str:
        """The address without user and password."""
        return str(httpx.URL(self._url).copy_with(userinfo=b""))
