"""Demonstration: a service, a fleet on real sockets, one peak-shaving request on a summer evening, and a verdict.

Everything runs as a user would run it: ``vpp serve`` and ``vpp fleet`` as processes of their own, a real broker, and
the public HTTP API. The service never sees what the verdict is judged by: the fleet's own counterfactual.
"""

from vpp.lab.demo.options import DemoOptions
from vpp.lab.demo.run import run_demo

__all__ = ["DemoOptions", "run_demo"]
