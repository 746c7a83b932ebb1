"""The official schemas of all versions."""

import pytest

from adapters.ocpp.messages import schemas
from adapters.ocpp.messages.ocpp_j import (
    CallFaultError,
    Version,
)


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
