"""Stations that are not ready yet, and settings that hold from their next boot on; over real sockets."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.ocpp_bench import EV, Json, RawStation, Sink, central, station
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble, mask_of

VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
ABILITIES = {"ocpp1.6": "GetConfiguration", "ocpp2.0.1": "GetVariables", "ocpp2.1": "GetVariables"}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_first_question_that_is_refused_is_asked_once_more(version: str) -> None:
    async with central(Sink()) as link, station(link, version=version, boot=False) as raw:
        question, refused = ABILITIES[version], [0]

        def early(payload: Json) -> Any:  # noqa: ANN401 - an answer or an error code
            if refused[0]:
                return raw._usual(question, payload)
            refused[0] += 1
            return "InternalError"

        raw.rules[question] = early
        await raw.boot()
        await raw.settled()
        assert link.card(EV)["rate_units"] == ["W"]
        assert [name for name, _ in raw.asked][:3] == [question, question, "SetChargingProfile"]


async def test_nothing_is_sent_right_behind_the_answer_to_a_boot() -> None:
    settle_wall_s = 600.0
    async with central(Sink(), settle_wall_s=settle_wall_s) as link, station(link, boot=False) as raw:
        await raw.boot()
        assert (await raw.call("Heartbeat", {}))[0] == 3
        assert raw.asked == []
        assert link._server is not None
        link._server.context.timers.advance(asyncio.get_running_loop().time() + settle_wall_s + 1.0)
        await raw.until(lambda: bool(raw.asked))


def settings(raw: RawStation) -> list[tuple[str, str]]:
    """Return the settings a station was sent."""
    asked = [(name, payload) for name, payload in raw.asked if name in ("ChangeConfiguration", "SetVariables")]
    plain = [(p["key"], p["value"]) for name, p in asked if name == "ChangeConfiguration"]
    return plain + [
        (f"{one['component']['name']}.{one['variable']['name']}", one["attributeValue"])
        for name, p in asked
        if name == "SetVariables"
        for one in p["setVariableData"]
    ]


@pytest.mark.parametrize("version", VERSIONS)
async def test_reboot_required_is_a_yes_and_a_trouble_until_the_next_boot(version: str) -> None:
    sink = Sink()
    async with central(sink) as link, station(link, version=version, boot=False) as raw:

        def change(payload: Json) -> Json:
            if "setVariableData" not in payload:
                return {"status": "RebootRequired"}
            results = raw._usual("SetVariables", payload)["setVariableResult"]
            return {"setVariableResult": [one | {"attributeStatus": "RebootRequired"} for one in results]}

        for action in ("ChangeConfiguration", "SetVariables"):
            raw.rules[action] = change
        await raw.boot()
        await raw.settled()
        names = [name for name, _ in settings(raw)]
        assert len(names) == len(set(names)) == 4
        await sink.until(lambda: sink.values[EV, Quantity.TROUBLES] == mask_of([Trouble.REBOOT_NEEDED]))
        raw.asked.clear()
        raw.rules.clear()
        await raw.boot()
        await raw.settled()
        await sink.until(lambda: sink.values[EV, Quantity.TROUBLES] == 0.0)


async def test_a_station_that_measures_more_than_is_wanted_keeps_its_list() -> None:
    async with central(Sink()) as link, station(link, boot=False) as raw:
        full = "Voltage,Power.Active.Import,Energy.Active.Import.Register,SoC"
        short = "Energy.Active.Import.Register,Current.Import"
        keys = {"MeterValuesSampledData": full, "MeterValuesAlignedData": short}
        entries = [{"key": key, "readonly": False, "value": value} for key, value in keys.items()]
        raw.answers["GetConfiguration"] = {"configurationKey": entries}
        await raw.boot()
        await raw.settled()
        data = [(name, value) for name, value in settings(raw) if "Data" in name and "Interval" not in name]
        wanted = "Power.Active.Import,Energy.Active.Import.Register,SoC,Current.Import"
        assert data == [("MeterValuesAlignedData", wanted)]


async def test_a_shorter_list_follows_where_something_needed_is_missing() -> None:
    async with central(Sink()) as link, station(link, boot=False) as raw:
        raw.rules["ChangeConfiguration"] = lambda p: {"status": "Rejected" if "SoC" in p["value"] else "Accepted"}
        await raw.boot()
        await raw.settled()
        sampled = [value for name, value in settings(raw) if name == "MeterValuesSampledData"]
        assert sampled == [
            "Power.Active.Import,Energy.Active.Import.Register,SoC",
            "Power.Active.Import,Energy.Active.Import.Register",
        ]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_station_that_refuses_many_keys_at_once_is_asked_otherwise(version: str) -> None:
    async with central(Sink()) as link, station(link, version=version, boot=False) as raw:

        def few(action: str, field: str) -> Callable[[Json], Json | str]:
            def answer(payload: Json) -> Json | str:
                many = len(payload.get(field, ())) > 1
                return "OccurenceConstraintViolation" if many else raw._usual(action, payload)

            return answer

        for action, field in (
            ("GetConfiguration", "key"),
            ("GetVariables", "getVariableData"),
            ("SetVariables", "setVariableData"),
        ):
            raw.rules[action] = few(action, field)
        await raw.boot()
        await raw.settled()
        assert link.card(EV)["max_stack_level"] == 8
        assert {value for name, value in settings(raw) if "Interval" in name} == {"60"}
