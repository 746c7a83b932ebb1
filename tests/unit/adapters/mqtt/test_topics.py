"""Topics: site and leaf, both ways."""

from adapters.mqtt.topics import Leaf, leaf_of, site_of, split_address, topic


def test_topics_name_site_and_leaf() -> None:
    name = topic("mall", Leaf.OUTCOME)
    assert name == "vpp/v1/sites/mall/outcome"
    assert (site_of(name), leaf_of(name)) == ("mall", "outcome")
    assert split_address("mall/ahu-1") == ("mall", "ahu-1")
