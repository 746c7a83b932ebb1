"""Certificates of a load test's own, made when it starts and gone when it ends."""

import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from adapters.ocpp.central_system.security import server_context
from vpp.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured:
    """Both ends of TLS, for a share of the stations.

    Processes that are forked from one share the keys of their tickets, so that a ticket is good at any of them.
    """

    server: ssl.SSLContext
    client: ssl.SSLContext
    port: int
    share: float


def secured(host: str, port: int, share: float) -> Secured | None:
    """Return both ends of TLS with a fresh certificate (ECDSA P-256), ``None`` for a share of 0.

    Stations do not check it: that costs their processes only, which are not what is measured.

    Raises:
        ConfigurationError: The package that makes certificates is not installed.
    """
    if share <= 0.0:
        return None
    try:
        import trustme  # noqa: PLC0415 - a developers' tool
    except ImportError as error:
        raise ConfigurationError("--tls-share needs the package trustme; make setup installs it") from error
    issued = trustme.CA().issue_cert(host)
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "cert.pem"), Path(folder, "key.pem")
        issued.private_key_pem.write_to_path(key)
        issued.cert_chain_pems[0].write_to_path(certificate)
        server = server_context(certificate, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return Secured(server=server, client=client, port=port, share=share)
