"""Charging needs of a driver on the wire: NotifyEVChargingNeeds in 2.x, a data transfer of ours in 1.6.

OCPP 1.6 has no departure time. Our stations send ``DataTransfer`` with vendor ``org.vpp``, message
``DriverPromise`` and JSON ``{transactionId, energy_kwh, departure_at, floor_kwh, opted_out, boost}``; operators of
other stations state promises over HTTP. Floor, opt-out and boost, which 2.x lacks, go in its ``customData``.
"""

import math
from collections.abc import Mapping

import orjson

from adapters.ocpp.messages.ocpp_j import Json, parse_stamp, stamp
from vpp.domain.resource import Resource
from vpp.domain.session import Promise

VENDOR = "org.vpp"
DRIVER_PROMISE = "DriverPromise"
_WH = 1000.0
_AC_TRANSFER = {1: "AC_single_phase", 2: "AC_two_phase", 3: "AC_three_phase"}


def read_driver_promise(text: str) -> tuple[str, Promise]:
    """Return transaction id and promise of a 1.6 data transfer; raises ValueError, TypeError or KeyError."""
    body = orjson.loads(text)
    departure_s = parse_stamp(body["departure_at"])
    if math.isnan(departure_s):
        raise ValueError(body["departure_at"])
    promise = Promise(
        energy_kwh=float(body["energy_kwh"]),
        departure_s=departure_s,
        floor_kwh=float(body.get("floor_kwh", 0.0)),
        opted_out=body.get("opted_out", False) is True,
        boost=body.get("boost", False) is True,
    )
    return str(body["transactionId"]), promise


def write_driver_promise(transaction_id: int, promise: Promise) -> str:
    """Return the data of a 1.6 data transfer."""
    body = {
        "transactionId": transaction_id,
        "energy_kwh": promise.energy_kwh,
        "departure_at": stamp(promise.departure_s),
        "floor_kwh": promise.floor_kwh,
        "opted_out": promise.opted_out,
        "boost": promise.boost,
    }
    return orjson.dumps(body).decode()


def read_needs(payload: Json) -> Promise | None:
    """Return the promise in a 2.x NotifyEVChargingNeeds, ``None`` if it lacks energy or departure."""
    needs = payload["chargingNeeds"]
    energy_wh = _energy_wh(needs)
    departure_s = parse_stamp(needs.get("departureTime"))
    if energy_wh is None or math.isnan(departure_s):
        return None
    custom = payload.get("customData", {})
    ours: Mapping[str, object] = custom if custom.get("vendorId") == VENDOR else {}
    least_wh = needs.get("v2xChargingParameters", {}).get("evMinEnergyRequest", ours.get("floorEnergy", 0.0))
    return Promise(
        energy_kwh=energy_wh / _WH,
        departure_s=departure_s,
        floor_kwh=max(least_wh, 0.0) / _WH if isinstance(least_wh, int | float) else 0.0,
        opted_out=ours.get("optedOut") is True,
        boost=ours.get("boost") is True,
    )


def write_needs(evse: int, promise: Promise, resource: Resource, volts: float) -> Json:
    """Return a 2.x NotifyEVChargingNeeds; a resource that can discharge uses the V2X parameters of 2.1."""
    max_w = resource.p_max_kw * _WH
    needs: Json = {"departureTime": stamp(promise.departure_s)}
    if resource.p_min_kw < 0.0:
        needs["requestedEnergyTransfer"] = "AC_BPT"
        needs["v2xChargingParameters"] = {
            "evTargetEnergyRequest": promise.energy_kwh * _WH,
            "evMinEnergyRequest": promise.floor_kwh * _WH,
            "maxChargePower": max_w,
            "maxDischargePower": -resource.p_min_kw * _WH,
        }
    else:
        needs["requestedEnergyTransfer"] = _AC_TRANSFER.get(resource.phases, "AC_three_phase")
        needs["acChargingParameters"] = {
            "energyAmount": round(promise.energy_kwh * _WH),
            "evMinCurrent": 6,
            "evMaxCurrent": round(max_w / (volts * resource.phases)),
            "evMaxVoltage": round(volts),
        }
    custom = {
        "vendorId": VENDOR,
        "floorEnergy": promise.floor_kwh * _WH,
        "optedOut": promise.opted_out,
        "boost": promise.boost,
    }
    return {"evseId": evse, "chargingNeeds": needs, "customData": custom}


def _energy_wh(needs: Json) -> float | None:
    for block, name in (
        ("v2xChargingParameters", "evTargetEnergyRequest"),
        ("acChargingParameters", "energyAmount"),
        ("dcChargingParameters", "energyAmount"),
    ):
        if name in needs.get(block, {}):
            return float(needs[block][name])
    return None
