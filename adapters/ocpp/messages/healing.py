"""Repair of cosmetic faults in a station's messages: schemas judge, healing repairs, and every repair is counted.

A refused request is repeated and then dropped (OCPP 1.6, 3.7.1), and a stop cannot be prevented (4.10). So a
field that violates the schema and is not needed is dropped, a value of another type is converted, and only a request
that lacks a needed field stays refused. It runs after the schema has refused, never before.

A sample differs: one whose unit, measurand, phase or location is not understood may mean anything, so it is dropped as
a whole and counted; the others stay (mobilityhouse/ocpp#54, lbbrhzn/ocpp#1248).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from adapters.ocpp.messages import schemas
from adapters.ocpp.messages.ocpp_j import CallFaultError, Fault, Json, Version

KINDS = frozenset(
    {"null", "unknown_field", "odd_field", "empty_list", "text", "number", "fraction", "boolean", "list", "word"}
    | {"too_long", "stand_in"}
)
"""Every kind of repair there is."""
SAMPLE_LISTS = ("meterValue", "transactionData")
MOST_OBJECTS = 8_000
MOST_VALUES = 25_000
"""More objects than a whole day's readings in 256 kB; a message of nothing else took the poller two seconds."""
_SAMPLED = "sampledValue"
_DECISIVE = frozenset({"value", "unit", "measurand", "phase", "format", "location"})
"""Fields of a sample without which it may mean anything."""
_STAND_INS: Mapping[str, Mapping[str, object]] = {
    "BootNotification": {"reason": "Unknown"},
    "MeterValues": {"timestamp": ""},
    "StartTransaction": {"idTag": "", "meterStart": -1, "timestamp": ""},
    "StatusNotification": {"errorCode": "NoError", "timestamp": ""},
    "StopTransaction": {"meterStop": -1, "timestamp": "", "transactionId": -1},
    "TransactionEvent": {"seqNo": 0, "timestamp": "", "triggerReason": "ChargingStateChanged", "type": "Central"},
}
"""What stands for a required field that is missing or makes no sense, where the request means something without it.

Minus one is an unknown register or transaction, an empty stamp is now.
"""
_OTHER_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing"), "Occupied"),
    "Occupied": "Charging",
}
"""Connector states of another version, where only the others are known."""
_FILLER: Mapping[str, Json] = {
    Version.V16: {"timestamp": "", _SAMPLED: [{"value": "0"}]},
    Version.V201: {"timestamp": "", _SAMPLED: [{"value": 0}]},
    Version.V21: {"timestamp": "", _SAMPLED: [{"value": 0}]},
}


class _Unusable:
    """A value that cannot be repaired."""


_UNUSABLE: Final = _Unusable()


@dataclass(slots=True)
class Healed:
    """A request after repair.

    Attributes:
        kinds: What was repaired, one of ``KINDS`` each, every kind once.
        samples: How many samples were left out.
    """

    payload: Json
    kinds: list[str] = field(default_factory=list)
    samples: int = 0


def is_too_much(raw: bytes) -> bool:
    """Tell whether JSON holds more than is worth repairing: other connections wait meanwhile, 10 us an object."""
    return raw.count(b"{") > MOST_OBJECTS or raw.count(b",") > MOST_VALUES


def without_samples(payload: Json) -> Json:
    """Return a request without its samples, for a stop is served whatever comes with it.

    Raises:
        CallFaultError: What is left is still too much.
    """
    left = {name: value for name, value in payload.items() if name not in SAMPLE_LISTS}
    if is_too_much(orjson.dumps(left)):
        raise CallFaultError(Fault.FORMAT, f"more than {MOST_OBJECTS} objects or {MOST_VALUES} values")
    return left


def heal(version: Version, action: str, payload: Json) -> Healed:
    """Return a request that violates its schema as repaired.

    Raises:
        CallFaultError: A needed field is missing.
    """
    if action not in schemas.requests(version):
        raise CallFaultError(Fault.UNKNOWN_ACTION, action[: schemas.LONGEST_DETAIL])
    schema = schemas.request_schema(version, action)
    repair = _Repair(schema, _STAND_INS.get(action, {}))
    whole = repair.whole(payload, schema)
    emptied = [name for name in SAMPLE_LISTS if name in payload and name not in whole]
    needed = {name: [_FILLER[version]] for name in emptied if name in schema.get("required", ())}
    schemas.check_request(version, action, {**whole, **needed})
    return Healed(whole, list(dict.fromkeys(repair.kinds)), repair.samples)


def heal_response(version: Version, action: str, payload: Json) -> Healed | None:
    """Return a response that violates its schema as repaired, ``None`` where it cannot be.

    Nothing stands in for a missing status: an acceptance that was not stated is none. An acceptance beside a null or an
    unknown field is one, and to take it for a refusal would leave a profile in force that we do not know of.
    """
    schema = schemas.response_schema(version, action)
    repair = _Repair(schema, {})
    whole = repair.whole(payload, schema)
    healed = Healed(whole, list(dict.fromkeys(repair.kinds)), repair.samples)
    return healed if schemas.is_response(version, action, whole) else None


class _Repair:
    """Walks a message along its schema and repairs each value.

    Args:
        schema: The whole schema, which holds the definitions.
        stand_ins: Values of required fields that may be missing, by name.

    Attributes:
        kinds: Repairs so far, in their order.
        samples: Samples left out so far.
    """

    def __init__(self, schema: Json, stand_ins: Mapping[str, object]) -> None:
        self.kinds: list[str] = []
        self.samples = 0
        self._schema = schema
        self._stand_ins = stand_ins
        self._repairs: Mapping[str, Callable[[object, Json], object]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": self._boolean,
        }

    def whole(self, payload: Json, schema: Json) -> Json:
        """Return a request as far as it can be repaired; a needed field that is invalid stays, to be named."""
        repaired = self._fields(payload, schema)
        self._completed(repaired, schema)
        hopeless = {
            name: payload[name] for name in schema.get("required", ()) if name in payload.keys() - repaired.keys()
        }
        return repaired | {name: value for name, value in hopeless.items() if name not in SAMPLE_LISTS}

    def repair(self, value: object, schema: Json) -> object:
        """Return ``value`` as ``schema`` demands, ``_UNUSABLE`` where it cannot be repaired."""
        reference = schema.get("$ref")
        if reference is not None:
            schema = self._schema["definitions"][reference.rpartition("/")[2]]
        repair = self._repairs.get(schema.get("type", ""))
        return value if repair is None else repair(value, schema)

    def _object(self, value: object, schema: Json) -> object:
        if not isinstance(value, dict):
            return _UNUSABLE
        repaired = self._fields(value, schema)
        return repaired if self._completed(repaired, schema) else _UNUSABLE

    def _fields(self, value: Json, schema: Json) -> Json:
        properties: Json = schema.get("properties", {})
        repaired: Json = {}
        for name, one in value.items():
            if name in properties:
                self._put(repaired, name, one, properties[name])
            elif schema.get("additionalProperties", True) is False:
                self.kinds.append("unknown_field")
            else:
                repaired[name] = one
        return repaired

    def _put(self, repaired: Json, name: str, value: object, schema: Json) -> None:
        """Keep one field if it can be repaired."""
        if value is None:
            self.kinds.append("null")
            return
        before = len(self.kinds)
        one = self._samples(value, schema) if name == _SAMPLED else self.repair(value, schema)
        if one is not _UNUSABLE:
            repaired[name] = one
        elif len(self.kinds) == before:
            self.kinds.append("odd_field")

    def _completed(self, repaired: Json, schema: Json) -> bool:
        """Fill in stand-ins for missing fields; tell whether everything required is there."""
        for name in schema.get("required", ()):
            if name not in repaired and name in self._stand_ins and name in schema.get("properties", {}):
                repaired[name] = self._stand_ins[name]
                self.kinds.append("stand_in")
        return all(name in repaired for name in schema.get("required", ()))

    def _array(self, value: object, schema: Json) -> object:
        repaired = [self.repair(one, schema["items"]) for one in self._listed(value)]
        return self._kept([one for one in repaired if one is not _UNUSABLE], schema)

    def _samples(self, value: object, schema: Json) -> object:
        repaired = [self._sample(one, schema["items"]) for one in self._listed(value)]
        kept = [one for one in repaired if one is not _UNUSABLE]
        self.samples += len(repaired) - len(kept)
        return self._kept(kept, schema)

    def _sample(self, value: object, schema: Json) -> object:
        """Return a sample, ``_UNUSABLE`` where one of its decisive fields is present and not understood."""
        repaired = self.repair(value, schema)
        if not isinstance(value, dict) or not isinstance(repaired, dict):
            return _UNUSABLE
        meant = {name for name in _DECISIVE & value.keys() if value[name] is not None and value[name] != ""}
        return repaired if meant <= repaired.keys() or not schema.get("properties") else _UNUSABLE

    def _listed(self, value: object) -> list[object]:
        if isinstance(value, list):
            return value
        self.kinds.append("list")
        return [value]

    def _kept(self, repaired: list[object], schema: Json) -> object:
        if len(repaired) < schema.get("minItems", 0):
            self.kinds.append("empty_list")
            return _UNUSABLE
        most = schema.get("maxItems", len(repaired))
        if len(repaired) > most:
            self.kinds.append("too_long")
        return repaired[:most]

    def _string(self, value: object, schema: Json) -> object:
        if isinstance(value, int | float):
            self.kinds.append("text")
            value = str(value).lower() if isinstance(value, bool) else str(value)
        if not isinstance(value, str):
            return _UNUSABLE
        words = schema.get("enum")
        if words is not None:
            return self._word(value, words)
        longest = schema.get("maxLength", len(value))
        if len(value) > longest:
            self.kinds.append("too_long")
        return value[:longest]

    def _word(self, value: str, words: list[str]) -> object:
        if value in words:
            return value
        plain = value.strip().casefold()
        word = next((one for one in words if one.casefold() == plain), _OTHER_WORDS.get(value.strip()))
        if word not in words:
            return _UNUSABLE
        self.kinds.append("word")
        return word

    def _integer(self, value: object, schema: Json) -> object:
        number = self._number(value, schema)
        if isinstance(number, float):
            if not number.is_integer():
                self.kinds.append("fraction")
            return round(number)
        return number

    def _number(self, value: object, _schema: Json) -> object:
        if isinstance(value, bool):
            return _UNUSABLE
        if isinstance(value, int | float):
            return value
        number = _read_number(value)
        if number is None:
            return _UNUSABLE
        self.kinds.append("number")
        return number

    def _boolean(self, value: object, _schema: Json) -> object:
        if isinstance(value, bool):
            return value
        word = str(value).strip().casefold()
        if word not in ("true", "false", "1", "0"):
            return _UNUSABLE
        self.kinds.append("boolean")
        return word in ("true", "1")


def _read_number(value: object) -> int | float | None:
    """Return the number in a text, ``None`` where there is none."""
    if not isinstance(value, str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(value) if value.strip().lstrip("+-").isdecimal() else number
