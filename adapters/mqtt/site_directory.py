"""Directory of sites and devices: rows by name, and their presence."""

from adapters.mqtt.topics import split_address
from vpp.domain.errors import InputError
from vpp.domain.resource import Adapter
from vpp.fleet.amendment import RowChanges, row_changes
from vpp.fleet.index import FleetIndex


class SiteDirectory:
    """Rows by site and device, and whether each can be reached.

    Presence of a site comes from its status; telemetry measured after it was lost proves that it is back, should the
    status have been overtaken by the last will of the connection before. A broker that is started anew still hands out
    the statuses it had retained, and publishes no last wills for the connections it had: such a status is no news.
    """

    def __init__(self) -> None:
        self._row: dict[tuple[str, str], int] = {}
        self._place: dict[int, tuple[str, str]] = {}
        self._span_kw: dict[int, float] = {}
        self._rows: dict[str, list[int]] = {}
        self._online: set[str] = set()
        self._lost_at_s: dict[str, float] = {}
        self._all_lost_at_s = float("-inf")
        self._away: set[int] = set()
        self._index = FleetIndex.empty()

    def assign(self, index: FleetIndex) -> RowChanges:
        """Serve the devices of ``index`` that speak MQTT and are in service; return what has changed.

        Raises:
            InputError: An address is not ``site/device``, or two devices share one.
        """
        changes = row_changes(self._index, index, Adapter.MQTT)
        places = self.places(index)
        for row in changes.left:
            self._leave(row)
        for row in changes.joined:
            self._place[row] = place = places[row]
            self._row[place] = row
            self._rows.setdefault(place[0], []).append(row)
        for row in (*changes.joined, *changes.changed):
            resource = index.resources[row]
            self._span_kw[row] = max(abs(resource.p_min_kw), abs(resource.p_max_kw))
        self._index = index
        return changes

    def places(self, index: FleetIndex) -> dict[int, tuple[str, str]]:
        """Return site and device of the rows in service that speak MQTT; raises InputError as ``assign`` does."""
        places: dict[int, tuple[str, str]] = {}
        taken: set[tuple[str, str]] = set()
        for row, resource in enumerate(index.resources):
            if resource.adapter is Adapter.MQTT and not resource.retired:
                place = split_address(resource.address)
                if place in taken:
                    raise InputError("address", resource.address, "an address that no other resource has")
                taken.add(place)
                places[row] = place
        return places

    def place(self, row: int) -> tuple[str, str] | None:
        """Return site and device of a row, ``None`` where it does not speak MQTT."""
        return self._place.get(row)

    def row(self, site: str, device: str) -> int | None:
        """Return the row of a device, ``None`` where it is not registered."""
        return self._row.get((site, device))

    def rows(self, site: str) -> list[int]:
        """Return the rows of a site; empty where it is not registered."""
        return self._rows.get(site, [])

    def sites(self) -> list[str]:
        """Return every registered site."""
        return list(self._rows)

    def all_rows(self) -> list[int]:
        """Return every row served."""
        return list(self._place)

    def nameplate_kw(self, row: int) -> float:
        """Return the greatest power in either direction on the row's nameplate."""
        return self._span_kw[row]

    def is_online(self, site: str) -> bool:
        """Tell whether the site's gateway is connected."""
        return site in self._online

    def is_reachable(self, row: int) -> bool:
        """Tell whether gateway and device are connected."""
        return row not in self._away and self._place[row][0] in self._online

    def arrived(self, site: str) -> list[int]:
        """Note that a site is connected; return its rows that can be reached."""
        self._online.add(site)
        return [row for row in self.rows(site) if row not in self._away]

    def lost(self, site: str, at_s: float) -> list[int]:
        """Note that a site is gone; return its rows."""
        self._online.discard(site)
        self._lost_at_s[site] = at_s
        return self.rows(site)

    def lost_all(self, at_s: float) -> list[int]:
        """Note that no site can be reached, the broker being gone; return every row."""
        self._online.clear()
        self._all_lost_at_s = at_s
        return self.all_rows()

    def proves_return(self, site: str, measured_at_s: float) -> bool:
        """Tell whether a measurement shows that a site believed lost is back."""
        lost_at_s = max(self._all_lost_at_s, self._lost_at_s.get(site, float("-inf")))
        return site not in self._online and measured_at_s > lost_at_s

    def predates_loss(self, sent_at_s: float | None) -> bool:
        """Tell whether a status was sent before the broker was lost, so that it says nothing of now."""
        return sent_at_s is not None and sent_at_s <= self._all_lost_at_s

    def set_device(self, row: int, *, online: bool) -> bool:
        """Note what a gateway reports of one device; return whether that is new."""
        changed = online == (row in self._away)
        (self._away.discard if online else self._away.add)(row)
        return changed

    def _leave(self, row: int) -> None:
        """Serve a row no longer; a site without any other is no site of ours."""
        place = self._place.pop(row)
        del self._row[place], self._span_kw[row]
        self._away.discard(row)
        rows = self._rows[place[0]]
        rows.remove(row)
        if not rows:
            del self._rows[place[0]]
            self._online.discard(place[0])
