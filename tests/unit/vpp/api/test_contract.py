"""The API does what its description says, for whatever schemathesis thinks of."""

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from vpp.api.app import describe

ROUTES = [
    (method, path)
    for path, operations in describe("0").get("paths", {}).items()
    for method in operations
    if path != "/api/v1/stream"  # it never ends by itself; its own tests read it
]
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)


@pytest.fixture(scope="session")
def api_schema(open_app: FastAPI) -> BaseSchema:
    return schemathesis.openapi.from_asgi("/openapi.json", open_app)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_answers_are_as_described(api_schema: BaseSchema, method: str, path: str) -> None:
    @given(case=api_schema[path][method].as_strategy())
    @settings(
        max_examples=6,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    check()
