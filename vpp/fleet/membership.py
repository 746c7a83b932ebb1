"""Membership: the site and operator that every row of a fleet belongs to at one instant."""

from dataclasses import dataclass

from vpp.domain.telemetry import RowArray
from vpp.fleet.index import FleetIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Codes of every row, shape ``(n_resources,)`` each.

    Attributes:
        site: Position in the fleet's ``sites``.
        operator: Position in the fleet's ``operators``.
    """

    site: RowArray
    operator: RowArray


def membership_at(index: FleetIndex, at_s: float) -> Membership:
    """Return who owned what at ``at_s`` epoch seconds; a fleet that knows one owner a site has had no other.

    Whatever is credited or charged to an operator is by this one rule.
    """
    del at_s
    return Membership(site=index.site_code, operator=index.operator_code)
