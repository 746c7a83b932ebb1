"""Official JSON schemas of OCPP, from the ``ocpp`` package, compiled by jsonschema-rs on first use.

``format`` is not asserted: stamps without an offset are in the field and ``ocpp_j.parse_stamp`` judges them; limits
with ``multipleOf: 0.1`` are decided correctly for floats, which the pure-Python validator does not do.
"""

import importlib.resources
from functools import cache
from typing import TYPE_CHECKING, Protocol

import jsonschema_rs
import orjson

from adapters.ocpp.messages.ocpp_j import CallFaultError, Fault, Json, Version

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


class _Validator(Protocol):
    def is_valid(self, instance: object) -> bool: ...

    def validate(self, instance: object) -> None: ...


_FOLDERS = {Version.V16: "v16", Version.V201: "v201", Version.V21: "v21"}
_FAULTS = {
    "type": Fault.TYPE,
    "required": Fault.OCCURRENCE,
    "minItems": Fault.OCCURRENCE,
    "maxItems": Fault.OCCURRENCE,
    "additionalProperties": Fault.FORMAT,
}
"""Fault of each schema keyword; every other keyword judges a value (``Fault.PROPERTY``)."""
LONGEST_DETAIL = 200
"""Characters of an error's detail that are sent to a peer."""


@cache
def _folder(version: Version) -> "Traversable":
    return importlib.resources.files("ocpp") / _FOLDERS[version] / "schemas"


@cache
def requests(version: Version) -> frozenset[str]:
    """Return the actions that have a schema in ``version``."""
    names = {file.name.removesuffix(".json") for file in _folder(version).iterdir() if file.name.endswith(".json")}
    names = {name for name in names if not name.endswith("Response")}
    return frozenset(name.removesuffix("Request") for name in names)


def _read(version: Version, name: str) -> Json:
    schema: Json = orjson.loads((_folder(version) / f"{name}.json").read_text(encoding="utf-8-sig"))
    return schema


@cache
def request_schema(version: Version, action: str) -> Json:
    """Return the schema of a request that has one; not to be changed."""
    has_suffix = version is not Version.V16 and (_folder(version) / f"{action}Request.json").is_file()
    return _read(version, f"{action}Request" if has_suffix else action)


@cache
def response_schema(version: Version, action: str) -> Json:
    """Return the schema of the response to a request that has one; not to be changed."""
    return _read(version, f"{action}Response")


@cache
def _request(version: Version, action: str) -> _Validator:
    return jsonschema_rs.validator_for(request_schema(version, action), validate_formats=False)


@cache
def _response(version: Version, action: str) -> _Validator:
    return jsonschema_rs.validator_for(response_schema(version, action), validate_formats=False)


def check_request(version: Version, action: str, payload: Json) -> None:
    """Raise CallFaultError unless ``payload`` is a lawful request of ``action``."""
    if action not in requests(version):
        raise CallFaultError(Fault.UNKNOWN_ACTION, action[:LONGEST_DETAIL])
    try:
        _request(version, action).validate(payload)
    except jsonschema_rs.ValidationError as error:  # the first; to list all of 80,000 takes seconds
        raise _fault(error) from error


def is_request(version: Version, action: str, payload: Json) -> bool:
    """Tell whether ``payload`` is a lawful request of ``action``."""
    return action in requests(version) and _request(version, action).is_valid(payload)


def is_response(version: Version, action: str, payload: Json) -> bool:
    """Tell whether ``payload`` is a lawful response to ``action``."""
    return _response(version, action).is_valid(payload)


def _fault(error: jsonschema_rs.ValidationError) -> CallFaultError:
    where = "/".join(str(step) for step in error.instance_path)
    fault = _FAULTS.get(error.kind.name, Fault.PROPERTY)
    return CallFaultError(fault, f"{where or 'payload'}: {error.message}"[:LONGEST_DETAIL])
