"""Address of a Modbus device: ``host:port/unit``, with ``#mapname`` where its registers are declared in a map."""

import re
from dataclasses import dataclass

from vpp.domain.errors import InputError

_SHAPE = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[^:/#\s]+):(?P<port>\d{1,5})/(?P<unit>\d{1,3})(#(?P<map>[\w.-]+))?")
_LAST_PORT = 65535
_LAST_UNIT = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A unit behind a TCP endpoint.

    Attributes:
        map_name: Name of its declared register map, empty for SunSpec.
    """

    host: str
    port: int
    unit: int
    map_name: str

    @classmethod
    def of(cls, text: str) -> "Address":
        """Read ``host:port/unit[#mapname]``; an IPv6 host stands in brackets. Raises InputError."""
        found = _SHAPE.fullmatch(text)
        if not found or not 0 < int(found["port"]) <= _LAST_PORT or int(found["unit"]) > _LAST_UNIT:
            raise InputError("address", text, "host:port/unit, optionally with #mapname, unit at most 255")
        return cls(
            host=found["host"].strip("[]"),
            port=int(found["port"]),
            unit=int(found["unit"]),
            map_name=found["map"] or "",
        )

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port, shared by every unit behind them."""
        return self.host, self.port
