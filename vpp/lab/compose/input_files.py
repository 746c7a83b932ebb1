"""Files of a user's own that take the place of built-in inputs: charging sessions, weather, prices."""

import csv
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from vpp.domain.errors import InputError
from vpp.lab.twin.physics.weather import Weather
from vpp.lab.twin.population.session_file import FileSessions

Content = TypeVar("Content")


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
        """Return the sessions of the file; raises InputError."""
        return read_file("--sessions", self.sessions, lambda path: FileSessions(path, seed=seed))

    def read_weather(self) -> Weather:
        """Return the weather of the file, else the built-in day; raises InputError."""
        return read_file("--weather", self.weather, Weather.from_epw) or Weather.builtin()


def read_file(option: str, path: Path | None, reader: Callable[[Path], Content]) -> Content | None:
    """Return what ``reader`` makes of the file given by an option, ``None`` where none was given.

    Raises:
        InputError: The file is no text, or a damaged archive.
    """
    if path is None:
        return None
    try:
        return reader(path)
    except (UnicodeError, csv.Error, EOFError, zlib.error) as error:
        raise InputError(option, str(path), f"a text file, as it is or gzipped ({error})") from error
