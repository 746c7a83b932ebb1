"""Grid links: one protocol's connection to whoever sends requests and receives telemetry, northbound."""

from typing import Protocol

from vpp.ports.service import GridSink


class GridLink(Protocol):
    """One protocol towards dispatchers and grid operators; the mirror image of `vpp.ports.DeviceLink`.

    The HTTP API is one; IEC 60870-5-104, OpenADR and a console are others. A link validates what it receives, turns
    its protocol's units and signs into ours (kW, load positive), and calls its sink; it keeps no state of requests.
    """

    name: str

    async def start(self, sink: GridSink) -> None:
        """Begin to serve; returns once callers can be answered. Raises OSError where an address is taken."""
        ...

    async def ended(self) -> None:
        """Return once the link serves nobody any more, whether it was closed or has failed."""
        ...

    async def close(self) -> None:
        """Accept nothing new, let answers under way go out, and end; raises what made the link fail before."""
        ...
