"""Standing responses of the dialects against the official schemas."""

from collections.abc import Mapping

import pytest

from adapters.ocpp.dialects import v16, v20
from adapters.ocpp.messages import schemas
from adapters.ocpp.messages.ocpp_j import (
    Json,
    Version,
)


@pytest.mark.parametrize(
    ("version", "acknowledged"),
    [
        (Version.V16, v16._ACKNOWLEDGED),
        (Version.V201, v20._ACKNOWLEDGED),
        (Version.V21, v20._ACKNOWLEDGED),
    ],
)
def test_standing_responses_are_lawful(version: Version, acknowledged: Mapping[str, Json]) -> None:
    known = acknowledged.keys() & schemas.requests(version)
    assert known
    for action in known:
        assert schemas.is_response(version, action, dict(acknowledged[action])), action
    assert version is not Version.V21 or acknowledged.keys() <= schemas.requests(version)
