"""Security as the settings promise it and stations meet it: profiles 1, 2 and 3 as ``vpp serve`` runs them."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from adapters.ocpp import OcppLink
from tests.conformance.ocpp_bench import Sink, fleet
from vpp.bootstrap.keys import issue_keys
from vpp.bootstrap.links import links_of
from vpp.config import Settings
from vpp.domain.errors import ConfigurationError
from vpp.runtime.clock import SYSTEM_CLOCK


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> dict[str, Path]:
    """Return settings of certificate and keys."""
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "stations.txt").write_text("CP1\nCP2\n")
    issue_keys(tmp_path / "stations.txt", tmp_path / "keys.npy", tmp_path / "keys.csv", renew=False)
    names = {"ocpp_cert": "cert.pem", "ocpp_key": "key.pem", "ocpp_client_ca": "ca.pem", "ocpp_keys": "keys.npy"}
    return {name: tmp_path / file for name, file in names.items()}


@asynccontextmanager
async def served(**given: object) -> AsyncIterator[OcppLink]:
    """Run the stations' link as settings have it, on free ports of two addresses."""
    settings = Settings.load(None, ocpp="127.0.0.1:0", **given)
    link = next(link for link in links_of(settings, SYSTEM_CLOCK) if isinstance(link, OcppLink))
    link.assign(fleet())
    await link.start(Sink())
    try:
        yield link
    finally:
        await link.close()


def client(authority: trustme.CA, name: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if name:
        authority.issue_cert(common_name=name).configure_cert(context)
    return context


async def greeted(url: str, context: ssl.SSLContext | None = None) -> bool:
    """Tell whether a station is let in."""
    try:
        async with connect(url, subprotocols=[Subprotocol("ocpp1.6")], ssl=context):
            return True
    except InvalidStatus:
        return False


async def test_keys_are_asked_for_on_both_ports(authority: trustme.CA, files: dict[str, Path]) -> None:
    del files["ocpp_client_ca"]
    key = dict(line.split(",") for line in files["ocpp_keys"].with_suffix(".csv").read_text().split())["CP1"]
    async with served(ocpp_tls="127.0.0.1:0", **files) as link:
        # Port 0 twice is one address to the settings: TLS alone.
        assert link.tls_port is None
        assert await greeted(f"wss://CP1:{key}@127.0.0.1:{link.port}/ocpp/CP1", client(authority))
        assert not await greeted(f"wss://127.0.0.1:{link.port}/ocpp/CP1", client(authority))
    async with served(ocpp_tls="127.0.0.2:0", **files) as link:
        assert await greeted(f"ws://CP1:{key}@127.0.0.1:{link.port}/ocpp/CP1")
        assert not await greeted(f"ws://CP1:{key[:-1]}@127.0.0.1:{link.port}/ocpp/CP1")
        trusting = client(authority)
        trusting.check_hostname = False  # the certificate is for 127.0.0.1
        assert await greeted(f"wss://CP1:{key}@127.0.0.2:{link.tls_port}/ocpp/CP1", trusting)
        assert not await greeted(f"wss://127.0.0.2:{link.tls_port}/ocpp/CP1", trusting)


async def test_a_certificate_stands_for_its_own_station_only(authority: trustme.CA, files: dict[str, Path]) -> None:
    async with served(ocpp_tls="127.0.0.1:0", **files) as link:
        url = f"wss://127.0.0.1:{link.port}/ocpp"
        assert await greeted(f"{url}/CP1", client(authority, "CP1"))
        assert not await greeted(f"{url}/CP2", client(authority, "CP1"))


def test_a_table_of_keys_that_is_none_is_told_in_a_line(files: dict[str, Path]) -> None:
    files["ocpp_keys"].write_bytes(b"station,key\n")
    settings = Settings.load(None, ocpp_keys=files["ocpp_keys"])
    with pytest.raises(ConfigurationError, match=r"^VPP_OCPP_KEYS: .* is no table of station keys"):
        links_of(settings, SYSTEM_CLOCK)
