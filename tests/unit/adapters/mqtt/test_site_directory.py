"""The directory of sites and devices: addresses, growth, and proof that a site is back."""

from dataclasses import replace

import pytest

from adapters.mqtt.site_directory import SiteDirectory
from tests.fleets import at_one_site
from vpp.domain.errors import InputError
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.fleet.index import FleetIndex


def _fleet(*addresses: str) -> FleetIndex:
    return at_one_site(
        tuple(
            Resource(
                id=f"r{row}",
                site_id="s",
                resource_class=ResourceClass.HVAC,
                adapter=Adapter.MQTT,
                address=address,
                p_min_kw=-3.0,
                p_max_kw=2.0,
            )
            for row, address in enumerate(addresses)
        ),
        limit_kw=9.0,
        export_limit_kw=0.0,
    )


def test_a_directory_grows_and_keeps_its_rows() -> None:
    directory = SiteDirectory()
    assert directory.assign(_fleet("a/1")).joined == [0]
    assert directory.assign(_fleet("a/1", "a/2", "b/1")).joined == [1, 2]
    assert (directory.rows("a"), directory.row("b", "1"), directory.nameplate_kw(0)) == ([0, 1], 2, 3.0)


@pytest.mark.parametrize("address", ["mall", "mall/", "/ahu", "a+/b", "a/#", "a/b/c", "a b/c"])
def test_an_address_that_cannot_be_a_topic_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="address"):
        SiteDirectory().assign(_fleet(address))


def test_two_rows_at_one_address_are_refused() -> None:
    with pytest.raises(InputError, match="no other resource"):
        SiteDirectory().assign(_fleet("a/1", "a/1"))


def test_only_what_was_measured_after_the_loss_proves_a_return() -> None:
    directory = SiteDirectory()
    directory.assign(_fleet("a/1"))
    assert directory.arrived("a") == [0]
    assert not directory.proves_return("a", 10.0)
    directory.lost("a", 20.0)
    assert not directory.proves_return("a", 19.0), "a report that was still on its way"
    assert directory.proves_return("a", 21.0)


def test_a_status_from_before_the_broker_was_lost_tells_nothing_of_now() -> None:
    directory = SiteDirectory()
    directory.assign(_fleet("a/1"))
    assert not directory.predates_loss(10.0), "nothing has been lost yet"
    directory.lost_all(20.0)
    assert directory.predates_loss(20.0)
    assert not directory.predates_loss(21.0)
    assert not directory.predates_loss(None), "a gateway need not say when"


def test_a_device_that_is_retired_is_not_served_and_its_address_is_free_again() -> None:
    directory = SiteDirectory()
    index = _fleet("a/1", "b/1")
    directory.assign(index)
    directory.arrived("b")
    retired = replace(index.resources[1], valid_to_s=5.0)
    after = replace(index, resources=(index.resources[0], retired))
    assert directory.assign(after).left == [1]
    assert (directory.place(1), directory.row("b", "1"), directory.sites()) == (None, None, ["a"])
    assert not directory.is_online("b")
    again = replace(index.resources[1], id="new")
    assert directory.assign(replace(after, resources=(*after.resources, again))).joined == [2]
    assert directory.row("b", "1") == 2


def test_a_device_at_another_address_is_found_there_alone() -> None:
    directory = SiteDirectory()
    index = _fleet("a/1")
    directory.assign(index)
    moved = replace(index, resources=(replace(index.resources[0], address="a/2"),))
    changes = directory.assign(moved)
    assert (changes.left, changes.joined) == ([0], [0])
    assert (directory.row("a", "1"), directory.row("a", "2")) == (None, 0)
