"""Scope of a caller: the operators and areas whose members an edge may see and change."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from vpp.domain.request import CITY
from vpp.domain.site import Site
from vpp.domain.telemetry import BoolArray
from vpp.fleet.index import FleetIndex


class Role(StrEnum):
    """Part that a caller plays; which members it sees follows from operators and areas alone."""

    SERVICE = "service"
    DISPATCHER = "dispatcher"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Part of the fleet that one caller sees: members at sites of these operators in these areas.

    Attributes:
        operators: Ids of operators; ``None`` for all of them, those to come included.
        areas: Ids of areas; ``None`` for all of them.
        role: For those who are to tell callers apart, once they have rights; no row depends on it.
    """

    operators: frozenset[str] | None = None
    areas: frozenset[str] | None = None
    role: Role = Role.SERVICE

    @property
    def is_everything(self) -> bool:
        """True where nothing is out of sight."""
        return self.operators is None and self.areas is None

    def covers(self, area: str) -> bool:
        """Return whether everything in ``area`` is in sight, whoever operates it; ``"city"`` needs all areas.

        Requests, capabilities and sums of an area are for those who see all of it.
        """
        return self.operators is None and (self.areas is None or (area != CITY and area in self.areas))

    def sees(self, site: Site) -> bool:
        """Return whether a site and its resources are in sight."""
        return _within(site.operator_id, self.operators) and _within(site.area_id, self.areas)

    def rows(self, index: FleetIndex) -> BoolArray:
        """Return which rows of a fleet are in sight, shape ``(n_resources,)``."""
        if self.is_everything:
            return np.ones(len(index), dtype=np.bool_)
        seen = np.array([self.sees(site) for site in index.sites], dtype=np.bool_)
        return seen[index.site_code] if len(index) else np.zeros(0, dtype=np.bool_)

    def since_s(self, index: FleetIndex, row: int) -> float:
        """Return the epoch second from which on a row in sight is so by its owners, minus infinity where it always was.

        What was before is another's, as the settlement of that time is.
        """
        if self.is_everything:
            return -math.inf
        site, operator_of = index.site_of[index.resources[row].site_id], dict[str, str]()
        for former in reversed(index.former_owners):
            if former.kind == "site":
                operator_of[index.sites[former.position].id] = former.owner_id
            elif former.position == row:
                site = index.site_of[former.owner_id]
            if not self.sees(replace(site, operator_id=operator_of.get(site.id, site.operator_id))):
                return former.until_s
        return -math.inf


EVERYTHING = Scope()
"""Scope of the service's own composition, and of every caller as long as nobody has rights of their own."""


def _within(identity: str, known: frozenset[str] | None) -> bool:
    return known is None or identity in known
