"""Registry of the stations that have connected to this process, by name and by row."""

from adapters.ocpp.profiles.nameplates import Nameplates, place_of
from adapters.ocpp.station.station_records import Services
from adapters.ocpp.station.station_state import StationState
from vpp.domain.errors import UnknownIdError
from vpp.fleet.index import FleetIndex

__all__ = ["KnownStations", "place_of"]


class KnownStations:
    """Stations of the fleet that are connected to this process, or were not long ago.

    Attributes:
        by_name: Every such station by its name.
    """

    def __init__(self, nameplates: Nameplates, services: Services) -> None:
        self.by_name: dict[str, StationState] = {}
        self._nameplates = nameplates
        self._services = services
        self._of_row: list[StationState | None] = [None] * len(nameplates)

    def assign(self, index: FleetIndex) -> tuple[list[StationState], list[StationState]]:
        """Take another state of the fleet; return the known stations it changes, and those it leaves without a row."""
        changes = self._nameplates.assign(index)
        self._of_row += [None] * (len(self._nameplates) - len(self._of_row))
        touched: dict[str, StationState] = {}
        for row in (*changes.left, *changes.changed):
            station = self._of_row[row]
            if station is not None:
                touched[station.id] = station
        for row in changes.changed:
            self._take_nameplate(row)
        for row in changes.left:
            self._drop(row)
        for row in changes.joined:
            name, connector = place_of(index.resources[row])
            station = self.by_name.get(name)
            if station is not None:
                station.add_point(connector, row)
                self._of_row[row] = station
                touched[name] = station
        gone = [station for station in touched.values() if not station.rows]
        return [station for station in touched.values() if station.rows], gone

    def has_retired(self, name: str) -> bool:
        """Tell whether a station belonged to the fleet, and does no longer."""
        return self._nameplates.has_retired(name)

    def knows(self, name: str) -> bool:
        """Tell whether a station belongs to the fleet."""
        return bool(name) and (name in self.by_name or bool(self._nameplates.rows_of(name)))

    def in_event(self, name: str, now_s: float) -> bool:
        """Tell whether a station takes part in a request."""
        return self._nameplates.in_event(name, now_s)

    def site(self, row: int) -> str:
        """Return the site of a row; empty unless sites are kept."""
        return self._nameplates.site(row)

    def enter(self, name: str) -> StationState | None:
        """Return the state of a station that connects, ``None`` where it is not of the fleet."""
        station = self.by_name.get(name)
        if station is None:
            rows = self._nameplates.rows_of(name)
            if not rows:
                return None
            station = self.by_name[name] = StationState.of(name, self._services, rows)
            for row in rows.values():
                self._of_row[row] = station
        return station

    def forget(self, station: StationState) -> None:
        """Drop the state of a station that has been away for long; its defaults stay in the columns."""
        if self.by_name.pop(station.id, None) is not None:
            for row in station.rows.values():
                self._of_row[row] = None
            station.troubles.forget(station.rows.values())

    def find(self, row: int) -> StationState | None:
        """Return the station of a row, ``None`` where it is not known or the row is not ours."""
        return self._of_row[row] if 0 <= row < len(self._of_row) else None

    def get(self, row: int) -> StationState | None:
        """Return as ``find``; raises UnknownIdError where the row is not ours."""
        if not self._nameplates.is_charging(row):
            raise UnknownIdError("OCPP row", str(row))
        return self._of_row[row]

    def _drop(self, row: int) -> None:
        station, self._of_row[row] = self._of_row[row], None
        if station is not None:
            station.troubles.forget((row,))
            station.drop_row(row)

    def _take_nameplate(self, row: int) -> None:
        station = self._of_row[row]
        points = () if station is None else station.points
        for point in points:
            if point.row == row:
                point.nameplate = self._nameplates.nameplate(row)
