"""Whose row is whose: stations by name, and the station and connector behind every fleet row."""

from adapters.ocpp.charger import Charger, Services
from vpp.domain.errors import InputError, UnknownIdError
from vpp.domain.fleet import FleetIndex
from vpp.domain.resource import Adapter, Resource


def place_of(resource: Resource) -> tuple[str, int]:
    """Return station and connector of an address ``station/connector``.

    Raises:
        InputError: It is none, or the connector is below 1.
    """
    station, _, connector = resource.address.rpartition("/")
    if not station or not connector.isdecimal() or int(connector) < 1:
        raise InputError("address", resource.address, "station/connector, with a connector from 1 up")
    return station, int(connector)


def check_places(index: FleetIndex) -> None:
    """Raise InputError where the address of an OCPP row is none, or two rows share one."""
    taken: set[tuple[str, int]] = set()
    for resource in index.resources:
        if resource.adapter is Adapter.OCPP:
            place = place_of(resource)
            if place in taken:
                raise InputError("address", resource.address, "an address that no other resource has")
            taken.add(place)


class Roster:
    """The stations of a fleet; rows are only ever added.

    Attributes:
        chargers: Every station by its name.
    """

    def __init__(self, services: Services) -> None:
        self.chargers: dict[str, Charger] = {}
        self._services = services
        self._place_of: dict[int, tuple[Charger, int]] = {}
        self._known = 0

    def grow(self, index: FleetIndex) -> list[Charger]:
        """Take the rows that are new; return the stations they belong to."""
        grown: dict[str, Charger] = {}
        for row in range(self._known, len(index)):
            resource = index.resources[row]
            if resource.adapter is Adapter.OCPP:
                charger = self._take(row, resource)
                grown[charger.id] = charger
        self._known = len(index)
        return list(grown.values())

    def find(self, row: int) -> tuple[Charger, int] | None:
        """Return station and connector of a row, ``None`` if it is not ours."""
        return self._place_of.get(row)

    def get(self, row: int) -> tuple[Charger, int]:
        """Return station and connector of a row; raises UnknownIdError."""
        place = self._place_of.get(row)
        if place is None:
            raise UnknownIdError("OCPP row", str(row))
        return place

    def _take(self, row: int, resource: Resource) -> Charger:
        station, connector = place_of(resource)
        charger = self.chargers.get(station)
        if charger is None:
            charger = self.chargers[station] = Charger(id=station, services=self._services)
        charger.rows[connector] = row
        charger.resources[row] = resource
        self._place_of[row] = (charger, connector)
        return charger
