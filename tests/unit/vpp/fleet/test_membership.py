"""Owners of rows at an instant."""

from vpp.fleet.membership import membership_at
from vpp.lab.twin.population.presets import demo_fleet


def test_a_row_belongs_to_its_site_and_the_sites_operator() -> None:
    index = demo_fleet(stations=4, inverters=1, batteries=1, v2g=1, sites=2)
    found = membership_at(index, 0.0)
    for row, resource in enumerate(index.resources):
        site = index.sites[found.site[row]]
        assert site.id == resource.site_id
        assert index.operators[found.operator[row]].id == site.operator_id
