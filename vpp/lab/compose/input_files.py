"""Files of a user's own that take the place of built-in inputs: charging sessions, weather, prices."""

from dataclasses import dataclass
from pathlib import Path

from vpp.lab.twin.physics.weather import Weather
from vpp.lab.twin.population.session_file import FileSessions


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFiles:
    """Paths given on a command line, ``None`` for what is built in.

    Attributes:
        sessions: Real charging sessions, CSV.
        weather: A typical year, EPW.
        prices: Energy prices, CSV.
    """

    sessions: Path | None = None
    weather: Path | None = None
    prices: Path | None = None

    def read_sessions(self, seed: int) -> FileSessions | None:
        """Return the sessions of the file, ``None`` where none was given; raises InputError."""
        return None if self.sessions is None else FileSessions(self.sessions, seed=seed)

    def read_weather(self) -> Weather:
        """Return the weather of the file, else the built-in day; raises InputError."""
        return Weather.builtin() if self.weather is None else Weather.from_epw(self.weather)
