"""The official JSON schemas, as the ``ocpp`` package ships them, compiled by jsonschema-rs on first use.

``format`` is not asserted: stamps without an offset are in the field and ``wire.parse_stamp`` judges them; limits with
``multipleOf: 0.1`` are decided correctly for floats, which the pure-Python validator does not do.
"""

import importlib.resources
from functools import cache
from typing import TYPE_CHECKING, Protocol

import jsonschema_rs
import orjson

from adapters.ocpp.wire import CallFaultError, Fault, Json, Version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable


class _Validator(Protocol):
    def is_valid(self, instance: object) -> bool: ...

    def iter_errors(self, instance: object) -> "Iterator[jsonschema_rs.ValidationError]": ...


_FOLDERS = {Version.V16: "v16", Version.V201: "v201", Version.V21: "v21"}
_FAULTS = {
    "type": Fault.TYPE,
    "required": Fault.OCCURRENCE,
    "minItems": Fault.OCCURRENCE,
    "maxItems": Fault.OCCURRENCE,
    "additionalProperties": Fault.FORMAT,
}
"""Fault of each schema keyword; every other keyword judges a value (``Fault.PROPERTY``)."""
_SAMPLE_LISTS = ("meterValue", "transactionData")
_LONGEST_DETAIL = 200


@cache
def _folder(version: Version) -> "Traversable":
    return importlib.resources.files("ocpp") / _FOLDERS[version] / "schemas"


@cache
def requests(version: Version) -> frozenset[str]:
    """Return the actions that have a schema in ``version``."""
    names = {file.name.removesuffix(".json") for file in _folder(version).iterdir() if file.name.endswith(".json")}
    names = {name for name in names if not name.endswith("Response")}
    return frozenset(name.removesuffix("Request") for name in names)


def _load(version: Version, name: str) -> _Validator:
    text = (_folder(version) / f"{name}.json").read_text(encoding="utf-8-sig")
    return jsonschema_rs.validator_for(orjson.loads(text), validate_formats=False)


@cache
def _request(version: Version, action: str) -> _Validator:
    has_suffix = version is not Version.V16 and (_folder(version) / f"{action}Request.json").is_file()
    return _load(version, f"{action}Request" if has_suffix else action)


@cache
def _response(version: Version, action: str) -> _Validator:
    return _load(version, f"{action}Response")


def check_request(version: Version, action: str, payload: Json) -> None:
    """Raise CallFaultError unless ``payload`` is a lawful request of ``action``."""
    if action not in requests(version):
        raise CallFaultError(Fault.UNKNOWN_ACTION, action[:_LONGEST_DETAIL])
    validator = _request(version, action)
    if not validator.is_valid(payload):
        raise _fault(next(iter(validator.iter_errors(payload))))


def is_response(version: Version, action: str, payload: Json) -> bool:
    """Tell whether ``payload`` is a lawful response to ``action``."""
    return _response(version, action).is_valid(payload)


def drop_bad_samples(version: Version, action: str, payload: Json) -> int:
    """Take out of a metering message the samples that violate its schema and return how many there were.

    Units and measurands outside the standard are common (mobilityhouse/ocpp#54, lbbrhzn/ocpp#1248); their neighbours
    are good. A reading without samples left goes too, and with the last reading the whole field.

    Raises:
        CallFaultError: Something else is wrong as well.
    """
    if action not in requests(version):
        raise CallFaultError(Fault.UNKNOWN_ACTION, action[:_LONGEST_DETAIL])
    bad: set[tuple[str, int, int]] = set()
    for error in _request(version, action).iter_errors(payload):
        match list(error.instance_path):
            case [str(field), int(reading), "sampledValue", int(sample), *_] if field in _SAMPLE_LISTS:
                bad.add((field, reading, sample))
            case _:
                raise _fault(error)
    for field, reading, sample in sorted(bad, reverse=True):
        del payload[field][reading]["sampledValue"][sample]
    for field in {field for field, _, _ in bad}:
        payload[field] = [reading for reading in payload[field] if reading["sampledValue"]]
        if not payload[field]:
            del payload[field]
    return len(bad)


def _fault(error: jsonschema_rs.ValidationError) -> CallFaultError:
    where = "/".join(str(step) for step in error.instance_path)
    fault = _FAULTS.get(error.kind.name, Fault.PROPERTY)
    return CallFaultError(fault, f"{where or 'payload'}: {error.message}"[:_LONGEST_DETAIL])
