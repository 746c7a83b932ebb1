"""Options of the demo."""

from dataclasses import dataclass
from pathlib import Path

from vpp.lab.compose.input_files import InputFiles
from vpp.lab.twin.population.presets import FleetSize


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """Options of ``vpp demo``; see its ``--help``.

    Attributes:
        size: Numbers of devices.
        inputs: Sessions and weather in place of the built-in ones.
        share: Share of the quoted p50 that is asked for.
    """

    size: FleetSize
    inputs: InputFiles
    seed: int
    speed: float
    share: float
    hold_minutes: float
    history_days: int
    modbus_port: int | None
    drop_ratio: float
    out: Path
