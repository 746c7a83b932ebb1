"""Modbus addresses: host, port, unit, register map."""

import pytest

from adapters.modbus.address import Address
from vpp.domain.errors import InputError


@pytest.mark.parametrize(
    "text", ["10.0.0.1/1", "10.0.0.1:502", "h:0/1", "h:70000/1", "h:502/256", "h:502/1#", "a b:1/1"]
)
def test_an_address_that_makes_no_sense_is_named(text: str) -> None:
    with pytest.raises(InputError, match="address"):
        Address.of(text)


def test_an_address_may_be_a_name_or_ipv6_and_may_name_a_map() -> None:
    assert Address.of("pv.example:502/3#sdm630") == Address(host="pv.example", port=502, unit=3, map_name="sdm630")
    assert Address.of("[fe80::1]:1502/0").endpoint == ("fe80::1", 1502)
