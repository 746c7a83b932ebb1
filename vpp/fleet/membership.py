"""Membership: the site and operator that every row of a fleet belongs to at one instant."""

from dataclasses import dataclass

from vpp.domain.telemetry import RowArray
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.tenure import FormerOwner


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
    """Return who owned what at ``at_s`` epoch seconds; between two sales the same arrays are returned.

    Whatever is credited or charged to an operator is by this one rule.
    """
    then = tuple(one for one in index.former_owners if one.until_s > at_s)
    if not then:
        return Membership(site=index.site_code, operator=index.operator_code)
    known = index.memberships.get(then)
    if known is None:
        known = index.memberships[then] = _before(index, then)
    return Membership(site=known[0], operator=known[1])


def _before(index: FleetIndex, then: tuple[FormerOwner, ...]) -> tuple[RowArray, RowArray]:
    """Return site and operator of every row before some changes, which come in their order."""
    sites = {site.id: place for place, site in enumerate(index.sites)}
    operators = {operator.id: place for place, operator in enumerate(index.operators)}
    operator_of = [operators[site.operator_id] for site in index.sites]
    site_code = index.site_code.copy()
    for one in reversed(then):  # the earliest owner after the instant is the one of the instant
        if one.kind == "site":
            operator_of[one.position] = operators[one.owner_id]
        elif one.position < len(site_code):
            site_code[one.position] = sites[one.owner_id]
    operator_code = index.operator_code.copy()
    operator_code[:] = [operator_of[place] for place in site_code.tolist()]
    return site_code, operator_code
