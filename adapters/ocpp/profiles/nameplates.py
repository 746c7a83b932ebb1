"""Nameplates of the fleet's charging rows in columns, with defaults and the rows of each station.

Every gateway process knows every station, by the hundred thousand, for any may connect to any process. So a station
that is not connected here costs 60 bytes in arrays, which processes forked from one share, and no object.
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np

from vpp.domain import charging
from vpp.domain.errors import InputError, UnknownIdError
from vpp.domain.resource import Adapter, Resource
from vpp.domain.telemetry import FloatArray, IdArray, RowArray
from vpp.fleet.amendment import RowChanges, row_changes
from vpp.fleet.index import FleetIndex

LAST_CONNECTOR = 999
"""Greatest number of a connector: the default profiles of more would reach the id of the control test."""
_LONGEST = 9
"""Digits of a connector that are read."""
_FEW = 4096
"""New rows that are searched one by one before the sorted arrays are rebuilt."""


class Nameplate(Protocol):
    """Limits of a connector's power; a ``Resource`` is one."""

    @property
    def p_min_kw(self) -> float:
        """Least net power, negative where it can feed in."""
        ...

    @property
    def p_max_kw(self) -> float:
        """Greatest net power."""
        ...

    @property
    def floor_kw(self) -> float:
        """Least power without stopping, 0 where there is none."""
        ...

    @property
    def phases(self) -> int:
        """Number of AC phases."""
        ...


@dataclass(frozen=True, slots=True)
class NameplateRecord:
    """A ``Nameplate`` apart from its resource, one object for all connectors alike.

    Attributes:
        is_dc: The charging point is DC.
    """

    p_min_kw: float
    p_max_kw: float
    floor_kw: float
    phases: int
    is_dc: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_dc", is_dc(self))


def is_dc(resource: Nameplate) -> bool:
    """Tell whether a charging point is DC."""
    return charging.is_dc(resource.p_max_kw)


@lru_cache(maxsize=4096)
def _nameplate_record(p_min_kw: float, p_max_kw: float, floor_kw: float, phases: int) -> NameplateRecord:
    return NameplateRecord(p_min_kw, p_max_kw, floor_kw, phases)


def place_of(resource: Resource) -> tuple[str, int]:
    """Return station and connector of an address ``station/connector``.

    Raises:
        InputError: It has another shape, or the connector is below 1 or above ``LAST_CONNECTOR``.
    """
    station, _, connector = resource.address.rpartition("/")
    number = int(connector) if connector.isdecimal() and len(connector) <= _LONGEST else 0
    if not station or not 1 <= number <= LAST_CONNECTOR:
        raise InputError("address", resource.address, f"station/connector, with a connector from 1 to {LAST_CONNECTOR}")
    return station, number


def _served_place(resource: Resource) -> tuple[str, int]:
    """Return station and connector of a charging device in service; no station and connector 0 for all others."""
    return place_of(resource) if resource.adapter is Adapter.OCPP and not resource.retired else ("", 0)


def _safe_kw(resource: Resource) -> float:
    """Return the power a device may take without any command."""
    return resource.p_max_kw if math.isnan(resource.safe_kw) else resource.safe_kw


def check_places(index: FleetIndex) -> None:
    """Raise InputError where the address of an OCPP row is none, or two rows share one."""
    taken: set[tuple[str, int]] = set()
    for resource in index.resources:
        if resource.adapter is Adapter.OCPP and not resource.retired:
            place = place_of(resource)
            if place in taken:
                raise InputError("address", resource.address, "an address that no other resource has")
            taken.add(place)


class Nameplates:
    """Columns over all rows of a fleet, which keep their numbers. Stations are found by the hash of their names.

    Args:
        sites: Keep the sites of rows, for ``site``.
    """

    def __init__(self, *, sites: bool = False) -> None:
        self._count = 0
        self._p_min_kw: FloatArray = np.empty(0)
        self._p_max_kw: FloatArray = np.empty(0)
        self._floor_kw: FloatArray = np.empty(0)
        self._safe_kw: FloatArray = np.empty(0)
        self._instructed_kw: FloatArray = np.empty(0)
        self._event_until_s: FloatArray = np.empty(0)
        self._phases: RowArray = np.empty(0, dtype=np.int32)
        self._connector: RowArray = np.empty(0, dtype=np.int32)
        self._name: IdArray = np.empty(0, dtype=np.int64)
        self._sorted_name: IdArray = np.empty(0, dtype=np.int64)
        self._sorted_row: IdArray = np.empty(0, dtype=np.int64)
        self._fresh: dict[int, list[int]] = {}
        self._sites: list[str] | None = [] if sites else None
        self._retired: set[int] = set()
        self._index = FleetIndex.empty()

    def __len__(self) -> int:
        return self._count

    def assign(self, index: FleetIndex) -> RowChanges:
        """Take another state of the fleet and return what has changed of the charging rows.

        Raises:
            InputError: An address makes no sense.
        """
        changes = row_changes(self._index, index, Adapter.OCPP)
        known = self._count
        self._grow(index)
        self._index = index
        for row in changes.left:
            self._retired.add(int(self._name[row]))
            self._connector[row] = 0
        for row in (*changes.joined, *changes.changed):
            if row < known:
                self._put(row, index.resources[row])
        if changes.left or any(row < known for row in changes.joined):
            self._sort()
        return changes

    def has_retired(self, station: str) -> bool:
        """Tell whether a station has had a row, and has none now."""
        return hash(station) in self._retired and not self.rows_of(station)

    def _grow(self, index: FleetIndex) -> None:
        fresh = range(self._count, len(index))
        resources = index.resources[fresh.start :]
        places = [_served_place(r) for r in resources]
        self._p_min_kw = np.append(self._p_min_kw, [r.p_min_kw for r in resources])
        self._p_max_kw = np.append(self._p_max_kw, [r.p_max_kw for r in resources])
        self._floor_kw = np.append(self._floor_kw, [r.floor_kw for r in resources])
        self._safe_kw = np.append(self._safe_kw, [_safe_kw(r) for r in resources])
        self._instructed_kw = np.append(self._instructed_kw, np.full(len(resources), np.nan))
        self._event_until_s = np.append(self._event_until_s, np.zeros(len(resources)))
        self._phases = np.append(self._phases, np.array([r.phases for r in resources], dtype=np.int32))
        self._connector = np.append(self._connector, np.array([number for _, number in places], dtype=np.int32))
        self._name = np.append(self._name, np.array([hash(name) for name, _ in places], dtype=np.int64))
        self._retired |= {hash(place_of(r)[0]) for r in resources if r.retired and r.adapter is Adapter.OCPP}
        if self._sites is not None:
            self._sites += [r.site_id for r in resources]
        self._count = len(index)
        self._enter(fresh)

    def _put(self, row: int, resource: Resource) -> None:
        """Take what a row states now."""
        name, connector = _served_place(resource)
        if self._connector[row] != connector or self._name[row] != hash(name):
            self._instructed_kw[row], self._event_until_s[row] = np.nan, 0.0
        elif math.isnan(self._instructed_kw[row]) and self._safe_kw[row] != _safe_kw(resource):
            # It holds this until it is told otherwise, in an order that only the service knows.
            self._instructed_kw[row] = self._safe_kw[row]
        self._name[row], self._connector[row] = hash(name), connector
        self._p_min_kw[row], self._p_max_kw[row] = resource.p_min_kw, resource.p_max_kw
        self._floor_kw[row], self._phases[row] = resource.floor_kw, resource.phases
        self._safe_kw[row] = _safe_kw(resource)
        if self._sites is not None:
            self._sites[row] = resource.site_id

    def rows_of(self, station: str) -> dict[int, int]:
        """Return the row of every connector of a station, empty where it is unknown."""
        name = hash(station)
        first = int(self._sorted_name.searchsorted(name, side="left"))
        last = int(self._sorted_name.searchsorted(name, side="right"))
        rows = [*self._sorted_row[first:last].tolist(), *self._fresh.get(name, ())]
        return {int(self._connector[row]): row for row in rows}

    def site(self, row: int) -> str:
        """Return the site of a row, empty unless sites are kept."""
        return "" if self._sites is None else self._sites[row]

    def is_charging(self, row: int) -> bool:
        """Tell whether a row is ours."""
        return 0 <= row < self._count and bool(self._connector[row] > 0)

    def connector(self, row: int) -> int:
        """Return the connector of a row; raises UnknownIdError."""
        self._must_be_ours(row)
        return int(self._connector[row])

    def connectors(self, rows: RowArray) -> RowArray:
        """Return the connectors of rows, shape ``(n,)``, 0 where a row is not ours."""
        found, known = np.zeros(len(rows), dtype=np.int32), (rows >= 0) & (rows < self._count)
        found[known] = self._connector[rows[known]]
        return found

    def nameplate(self, row: int) -> NameplateRecord:
        """Return the nameplate of a row."""
        return _nameplate_record(
            float(self._p_min_kw[row]),
            float(self._p_max_kw[row]),
            float(self._floor_kw[row]),
            int(self._phases[row]),
        )

    def default_kw(self, row: int) -> float:
        """Return the default value of a row: as last instructed, else its safe default."""
        instructed_kw = float(self._instructed_kw[row])
        return float(self._safe_kw[row]) if math.isnan(instructed_kw) else instructed_kw

    def remember_default(self, row: int, power_kw: float) -> None:
        """State the default value of a row; raises UnknownIdError."""
        self._must_be_ours(row)
        self._instructed_kw[row] = power_kw

    def mark_events(self, rows: RowArray, until_s: FloatArray) -> None:
        """Note until when rows take part in a request, shape ``(n,)`` each; 0 ends it."""
        known = rows < self._count
        self._event_until_s[rows[known]] = until_s[known]

    def in_event(self, station: str, now_s: float) -> bool:
        """Tell whether a station takes part in a request, which gives it priority."""
        return any(float(self._event_until_s[row]) > now_s for row in self.rows_of(station).values())

    def _must_be_ours(self, row: int) -> None:
        if not self.is_charging(row):
            raise UnknownIdError("OCPP row", str(row))

    def _enter(self, fresh: range) -> None:
        waiting = sum(map(len, self._fresh.values())) + len(fresh)
        if waiting <= _FEW and len(self._sorted_name):
            for row in fresh:
                if self._connector[row] > 0:
                    self._fresh.setdefault(int(self._name[row]), []).append(row)
            return
        self._sort()

    def _sort(self) -> None:
        ours = np.flatnonzero(self._connector > 0)
        order = ours[np.argsort(self._name[ours], kind="stable")]
        self._sorted_name, self._sorted_row = self._name[order], order.astype(np.int64)
        self._fresh.clear()
