"""Partition of a fleet among simulating processes: stations are spread, everything else stays together."""

import math

import numpy as np

from vpp.domain.errors import InputError
from vpp.domain.resource import Adapter
from vpp.domain.telemetry import IdArray
from vpp.fleet.index import FleetIndex

MOST_STATIONS = 15_000
"""Stations of one process: one core does all their communication."""
_OTHER_FILES = 1_000
"""Files a process needs besides the sockets of its stations."""


def parts_needed(index: FleetIndex, most_files: int) -> int:
    """Return the least number of processes for a fleet, each of which may open ``most_files``.

    Raises:
        InputError: Devices other than OCPP stations need more files than one process may open.
    """
    stations = len(_stations(index))
    others = len({r.address.partition("/")[0] for r in index.resources if r.adapter is not Adapter.OCPP})
    room = most_files - _OTHER_FILES
    if room - others < 1:
        raise InputError(
            "files", str(most_files), f"a limit of open files (ulimit -n) of {others + _OTHER_FILES + 1:,}"
        )
    return max(1, math.ceil(stations / MOST_STATIONS), math.ceil((stations + others) / room))


def parts_of(index: FleetIndex, count: int) -> list[FleetIndex]:
    """Return ``count`` fleets that together have every resource once; the connectors of a station stay together.

    Devices other than OCPP stations are in the first part, for they share TCP ports. A transformer is in every part
    that has devices behind it.
    """
    code, stations = _station_codes(index)
    part = np.zeros(len(index), dtype=np.int64)
    part[stations] = code * count // max(int(code.max(initial=0)) + 1, 1)
    return [_part(index, np.flatnonzero(part == number)) for number in range(count)]


def _stations(index: FleetIndex) -> set[str]:
    return {r.address.rpartition("/")[0] for r in index.resources if r.adapter is Adapter.OCPP}


def _station_codes(index: FleetIndex) -> tuple[IdArray, IdArray]:
    """Return the number of the station of every OCPP row, in the order of the rows, and those rows."""
    rows = [row for row, r in enumerate(index.resources) if r.adapter is Adapter.OCPP]
    numbers: dict[str, int] = {}
    codes = [numbers.setdefault(index.resources[row].address.rpartition("/")[0], len(numbers)) for row in rows]
    return np.array(codes, dtype=np.int64), np.array(rows, dtype=np.int64)


def _part(index: FleetIndex, rows: IdArray) -> FleetIndex:
    resources = tuple(index.resources[row] for row in rows.tolist())
    site_ids = {resource.site_id for resource in resources}
    sites = tuple(site for site in index.sites if site.id in site_ids)
    above = {transformer.id: transformer.parent_id for transformer in index.transformers}
    kept: set[str] = set()
    for site in sites:
        node: str | None = site.transformer_id
        while node is not None and node not in kept:
            kept.add(node)
            node = above[node]
    return FleetIndex(
        resources=resources,
        sites=sites,
        transformers=tuple(t for t in index.transformers if t.id in kept),
        areas=index.areas,
        operators=index.operators,
    )
