"""Broker addresses."""

import pytest

from adapters.mqtt.connection import Broker
from vpp.domain.errors import ConfigurationError


@pytest.mark.parametrize("url", ["", "localhost:1883", "http://x:1", "mqtt://", "mqtt://h:port", "mqtt://h:99999"])
def test_an_address_that_is_no_broker_is_a_matter_of_configuration(url: str) -> None:
    with pytest.raises(ConfigurationError, match="mqtt://host:port"):
        Broker.at(url)


def test_a_broker_address_may_carry_a_login_and_ask_for_tls() -> None:
    plain = Broker.at("mqtt://us%40er:p%3Ass@broker.example")
    assert (plain.host, plain.port, plain.username, plain.password) == ("broker.example", 1883, "us@er", "p:ss")
    assert plain.tls is None
    assert str(plain) == "broker.example:1883", "a log line never shows the password"
    secret = Broker.at("mqtts://broker.example")
    assert secret.port == 8883
    assert secret.tls is not None
