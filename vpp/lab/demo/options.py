"""Options of the demo."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the demo is run on; see ``vpp demo --help``.

    Attributes:
        share: Share of the quoted p50 that is asked for.
    """

    stations: int
    inverters: int
    batteries: int
    v2g: int
    sites: int
    plant_kw: float
    sessions: Path | None
    weather: Path | None
    seed: int
    speed: float
    share: float
    hold_minutes: float
    history_days: int
    modbus_port: int | None
    drop_ratio: float
    out: Path

    @property
    def devices(self) -> int:
        """How many devices are simulated."""
        return self.stations + self.inverters + self.batteries + self.v2g + self.sites
