"""The protocols that are fuzzed, by name; a new one is a module beside this one and a word below."""

from collections.abc import Mapping

from tests.fuzz import http_bodies, modbus_answers, mqtt_payloads, ocpp_frames, ocpp_handshakes, ocpp_websocket
from tests.fuzz.engine import Fuzzed, Tally, fuzz

INPUTS = 1_000_000
PROTOCOLS: Mapping[str, Fuzzed] = {
    module.NAME: module
    for module in (ocpp_frames, ocpp_handshakes, ocpp_websocket, modbus_answers, mqtt_payloads, http_bodies)
}


def part(what: tuple[str, int, str]) -> Tally:
    """Fuzz one protocol with a number of inputs and a seed."""
    name, count, seed = what
    return fuzz(PROTOCOLS[name], count, seed)
