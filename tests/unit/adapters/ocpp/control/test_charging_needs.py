"""A driver's promise on its way through OCPP 1.6 and 2.x."""

import pytest

from adapters.ocpp.control.charging_needs import read_driver_promise, read_needs, write_driver_promise, write_needs
from adapters.ocpp.messages import schemas
from adapters.ocpp.messages.ocpp_j import (
    Version,
)
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.session import Promise

PROMISE = Promise(energy_kwh=22.5, departure_s=1_751_440_000.0, floor_kwh=3.0, opted_out=True, boost=False)


def charger(p_min_kw: float, phases: int = 3) -> Resource:
    return Resource(
        id="r",
        site_id="s",
        resource_class=ResourceClass.V2G,
        adapter=Adapter.OCPP,
        address="CP/1",
        p_min_kw=p_min_kw,
        p_max_kw=11.0,
        phases=phases,
    )


def test_a_promise_survives_a_16_data_transfer() -> None:
    assert read_driver_promise(write_driver_promise(7, PROMISE)) == ("7", PROMISE)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"transactionId":1,"energy_kwh":1,"departure_at":"soon"}'])
def test_a_data_transfer_without_sense_is_an_error(text: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        read_driver_promise(text)


@pytest.mark.parametrize(("version", "p_min_kw"), [(Version.V201, 0.0), (Version.V21, 0.0), (Version.V21, -11.0)])
def test_a_promise_survives_2x_needs(version: Version, p_min_kw: float) -> None:
    payload = write_needs(1, PROMISE, charger(p_min_kw), volts=220.0)
    schemas.check_request(version, "NotifyEVChargingNeeds", payload)
    assert read_needs(payload) == PROMISE


def test_needs_without_energy_or_departure_are_no_promise() -> None:
    payload = write_needs(1, PROMISE, charger(0.0), volts=220.0)
    del payload["chargingNeeds"]["departureTime"]
    assert read_needs(payload) is None
    assert read_needs({"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "DC"}}) is None
