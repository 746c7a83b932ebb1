"""Who is here: the stations that have come, by name and by row."""

from adapters.ocpp.profiles.nameplates import Nameplates, check_places, place_of
from adapters.ocpp.station.station_records import Services
from adapters.ocpp.station.station_state import StationState
from vpp.domain.errors import UnknownIdError
from vpp.domain.fleet import FleetIndex

__all__ = ["KnownStations", "check_places", "place_of"]


class KnownStations:
    """The stations of a fleet that have connected to this process, or did not long ago.

    Attributes:
        chargers: Every such station by its name.
    """

    def __init__(self, plates: Nameplates, services: Services) -> None:
        self.chargers: dict[str, StationState] = {}
        self._plates = plates
        self._services = services
        self._of_row: list[StationState | None] = [None] * len(plates)

    def grow(self, index: FleetIndex) -> list[StationState]:
        """Take the rows that are new; return the stations here that they belong to."""
        fresh = self._plates.grow(index)
        self._of_row += [None] * len(fresh)
        grown: dict[str, StationState] = {}
        for row in fresh:
            resource = index.resources[row]
            if self._plates.is_charging(row):
                station, connector = place_of(resource)
                charger = self.chargers.get(station)
                if charger is not None:
                    charger.rows[connector] = row
                    self._of_row[row] = charger
                    grown[station] = charger
        return list(grown.values())

    def come(self, station: str) -> StationState | None:
        """Return a station that stands at the door, ``None`` if nobody knows it."""
        charger = self.chargers.get(station)
        if charger is None:
            rows = self._plates.rows_of(station)
            if not rows:
                return None
            charger = self.chargers[station] = StationState(id=station, services=self._services, rows=rows)
            for row in rows.values():
                self._of_row[row] = charger
        return charger

    def forget(self, charger: StationState) -> None:
        """Let go of a station that has been away for long; what it must not lose is in the columns."""
        if self.chargers.pop(charger.id, None) is not None:
            for row in charger.rows.values():
                self._of_row[row] = None
            charger.troubles.forget(charger.rows.values())

    def find(self, row: int) -> StationState | None:
        """Return the station of a row, ``None`` if it has not come or the row is not ours."""
        return self._of_row[row] if 0 <= row < len(self._of_row) else None

    def get(self, row: int) -> StationState | None:
        """Return as ``find``; raises UnknownIdError where the row is not ours."""
        if not self._plates.is_charging(row):
            raise UnknownIdError("OCPP row", str(row))
        return self._of_row[row]
