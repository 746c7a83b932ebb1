"""The address of the HTTP API, from the moment this process can have it."""

import socket
from types import TracebackType
from typing import Self

from vpp.bootstrap.grid_links import listener_at
from vpp.domain.errors import ConfigurationError


class HttpAddress:
    """Listens at an address, at once or when the process that has it ends.

    A leader and a standby on one machine may share their settings: the address passes to the standby with the lease.

    Args:
        address: HOST:PORT.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._listener: socket.socket | None = None

    @property
    def taken(self) -> bool:
        """This process listens there."""
        return self._listener is not None

    def take(self) -> socket.socket:
        """Listen, unless this process does already; raises ConfigurationError where another one does."""
        if self._listener is None:
            self._listener = listener_at(self.address)
        return self._listener

    def try_to_take(self) -> bool:
        """Return whether this process listens there now."""
        try:
            self.take()
        except ConfigurationError:
            return False
        return True

    def shared(self) -> socket.socket:
        """Return a socket for one server at the address; callers wait while there is none.

        Raises:
            ConfigurationError: Another process listens there.
        """
        return self.take().dup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._listener is not None:
            self._listener.close()
