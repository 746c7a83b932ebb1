"""A gateway process: it loads nothing that only the service computes with."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.process

HEAVY = (
    "numba",
    "scipy",
    "cryptography",
    "highspy",
    "pyomo",
    "pyarrow",
    "deltalake",
    "duckdb",
    "sqlalchemy",
    "fastapi",
)
"""Together 200 MB; there are as many gateways as a city needs, and each begins anew in an outage."""
FLEET = """
import sys
from vpp.bootstrap import gateway
from vpp.lab.bench.gateway.fleets import CHARGER, uniform_fleet
from adapters.ocpp import OcppLink
from adapters.kit.websocket.server import Listening
from vpp.runtime.clock import SYSTEM_CLOCK
OcppLink(clock=SYSTEM_CLOCK, listening=Listening(host="127.0.0.1", port=0)).assign(uniform_fleet(CHARGER, ["CP1/1"]))
print(*(name for name in sys.argv[1:] if name in sys.modules))
"""


def test_a_gateway_that_has_taken_its_fleet_has_loaded_no_solver_and_no_compiler() -> None:
    done = subprocess.run([sys.executable, "-c", FLEET, *HEAVY], capture_output=True, text=True, check=True)  # noqa: S603 - our own command line
    assert done.stdout.split() == []
