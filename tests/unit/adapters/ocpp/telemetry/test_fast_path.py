"""The typed records of frequent calls against the official schemas."""

import importlib.resources
from typing import Any, get_args

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ocpp.messages import schemas
from adapters.ocpp.messages.ocpp_j import CallFaultError, Version
from adapters.ocpp.telemetry import fast_path


def schema() -> dict[str, Any]:
    text = (importlib.resources.files("ocpp") / "v16/schemas/MeterValues.json").read_text(encoding="utf-8-sig")
    found: dict[str, Any] = orjson.loads(text)
    return found


def test_the_typed_records_have_the_fields_and_words_of_the_official_schema() -> None:
    top = schema()["properties"]
    value = top["meterValue"]["items"]["properties"]
    sampled = value["sampledValue"]["items"]["properties"]
    for record, properties in (
        (fast_path.MeterValues16, top),
        (fast_path.Reading16, value),
        (fast_path.Sampled16, sampled),
    ):
        assert {field.encode_name for field in msgspec.structs.fields(record)} == set(properties)
    for words, name in ((fast_path.Measurand, "measurand"), (fast_path.Phase, "phase"), (fast_path.Context, "context")):
        assert set(get_args(words)) == set(sampled[name]["enum"])
    assert set(get_args(fast_path.Unit)) == set(sampled["unit"]["enum"])


WORDS = st.sampled_from(("Power.Active.Import", "SoC", "Voltage", "Vendor.Mood", "Current.Import", 5, None))
SAMPLE = st.fixed_dictionaries(
    {"value": st.sampled_from(("1000", "50", "", "abc", "nan", 7))},
    optional={
        "measurand": WORDS,
        "unit": st.sampled_from(("W", "kW", "Percent", "Hz", "Wh", "V")),
        "phase": st.sampled_from(("L1", "L9")),
        "format": st.sampled_from(("Raw", "SignedData", "Odd")),
        "location": st.sampled_from(("Outlet", "Moon")),
        "context": st.sampled_from(("Trigger", "Weather")),
        "extra": st.just(1),
    },
)
READING = st.fixed_dictionaries(
    {"timestamp": st.just("2025-07-01T18:00:00Z"), "sampledValue": st.lists(SAMPLE, max_size=3)}
)
PAYLOAD = st.fixed_dictionaries(
    {"meterValue": st.lists(READING, max_size=2)},
    optional={"connectorId": st.sampled_from((1, 1.5, "1")), "transactionId": st.sampled_from((5, -1, "5"))},
)


@given(PAYLOAD)
def test_what_the_short_way_takes_the_official_schema_takes(payload: dict[str, Any]) -> None:
    try:
        message = fast_path._read_meter_values(orjson.dumps(payload))
    except msgspec.MsgspecError:
        return
    if not message.readings or any(not reading.sampled for reading in message.readings):
        return  # left to the long way
    try:
        schemas.check_request(Version.V16, "MeterValues", payload)
    except CallFaultError as fault:
        pytest.fail(f"the short way took {payload}: {fault}")
