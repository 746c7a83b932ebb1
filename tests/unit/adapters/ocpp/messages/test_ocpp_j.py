"""Versions, stamps, schemas and the promise's ways of travelling."""

import math
from collections.abc import Mapping

import pytest

from adapters.ocpp.control.charging_needs import read_driver_promise, read_needs, write_driver_promise, write_needs
from adapters.ocpp.dialects import v16, v20
from adapters.ocpp.messages import schemas
from adapters.ocpp.messages.ocpp_j import (
    SPELLING,
    CallFaultError,
    Fault,
    Json,
    Version,
    choose_version,
    parse_stamp,
    stamp,
)
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.session import Promise

PROMISE = Promise(energy_kwh=22.5, departure_s=1_751_440_000.0, floor_kwh=3.0, opted_out=True, boost=False)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["ocpp1.6", "ocpp2.1"], Version.V21),
        (["ocpp2.0.1", "ocpp1.6"], Version.V201),
        ([], Version.V16),
        (["ocpp1.5", "soap"], None),
    ],
)
def test_the_best_common_version_is_chosen(offered: list[str], chosen: Version | None) -> None:
    assert choose_version(offered) is chosen


@pytest.mark.parametrize(
    "text", ["2025-07-01T18:00:00Z", "2025-07-02T02:00:00+08:00", "2025-07-01T18:00:00", "20250701T18Z"]
)
def test_stamps_are_read_with_and_without_an_offset(text: str) -> None:
    assert stamp(parse_stamp(text)) == "2025-07-01T18:00:00.000Z"


@pytest.mark.parametrize("text", ["", "yesterday", None, 5, "2025-13-01T00:00:00Z"])
def test_what_is_no_stamp_is_unknown(text: object) -> None:
    assert math.isnan(parse_stamp(text))


def test_every_fault_has_a_spelling_in_every_version() -> None:
    for version in Version:
        assert set(SPELLING[version]) == set(Fault)


@pytest.mark.parametrize(
    ("version", "acknowledged"),
    [
        (Version.V16, v16._ACKNOWLEDGED),
        (Version.V201, v20._ACKNOWLEDGED),
        (Version.V21, v20._ACKNOWLEDGED),
    ],
)
def test_standing_responses_are_lawful(version: Version, acknowledged: Mapping[str, Json]) -> None:
    for action in acknowledged.keys() & schemas.requests(version):
        assert schemas.is_response(version, action, dict(acknowledged[action])), action
    assert version is not Version.V21 or acknowledged.keys() <= schemas.requests(version)


def test_limits_with_one_decimal_are_lawful() -> None:
    for limit in (21.4, 0.3, 6.6, 6666.7):
        schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
        profile = {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": schedule,
        }
        payload = {"connectorId": 1, "csChargingProfiles": profile}
        schemas.check_request(Version.V16, "SetChargingProfile", payload)


def test_all_schemas_of_all_versions_compile() -> None:
    for version in Version:
        for action in sorted(schemas.requests(version)):
            with pytest.raises(CallFaultError):
                schemas.check_request(version, action, {"nobody.expects.this": 1})


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
