"""The address of the HTTP API passes from one server to the next, and from one process to the next."""

import socket

import pytest

from tests.patience import PATIENCE_WALL_S
from vpp.bootstrap.leadership.http_address import HttpAddress
from vpp.domain.errors import ConfigurationError


def test_callers_wait_between_two_servers() -> None:
    with HttpAddress("127.0.0.1:0") as address:
        address.take()
        first = address.shared()
        name = first.getsockname()
        first.close()
        with socket.create_connection(name, timeout=PATIENCE_WALL_S), address.shared() as second:
            second.settimeout(PATIENCE_WALL_S)
            second.accept()[0].close()


def test_an_address_is_had_once_the_other_process_has_ended() -> None:
    other = socket.create_server(("127.0.0.1", 0))
    with HttpAddress(f"127.0.0.1:{other.getsockname()[1]}") as address:
        assert not address.try_to_take()
        with pytest.raises(ConfigurationError, match="VPP_HTTP"):
            address.shared()
        other.close()
        assert address.try_to_take()
        assert address.taken
