"""Shares of operators and sites in what a request delivered, which add up to the total exactly.

Each site is credited the delivery of its own devices, and an operator has the sum of its sites. Power and energy are
whole numbers of a quantum of 2^-20 kW or kWh, far below what a meter resolves: such sums are exact in floating point,
in whatever order and by whatever groups. Money is in whole fen. What has to be shared out (the energy of an interval
that is held in part, and money) goes by the largest remainder (Hare's quota): every part is rounded down, and the units
left over go to the parts that lost most. Money is in proportion to the energy of the hold, a site that worked against
the request counting as none; where no site delivered, to the number of devices.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np

from vpp.domain.performance import FEN_PER_CNY, Shares
from vpp.domain.telemetry import FloatArray, IdArray
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.index import FleetIndex
from vpp.fleet.membership import membership_at

QUANTUM = 2.0**-20
"""Unit of delivered power (kW) and energy (kWh): about a milliwatt, or four joules."""
_NET = "net"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedPower:
    """Delivered power by site and operator at the time of delivery.

    Attributes:
        operator_ids: One a part.
        site_ids: One a part, in the order of the fleet.
        delivered_kw: Shape ``(n, count)``.
        devices: Counted devices of each part, shape ``(n,)``; those of a site that changed hands count for each owner.
    """

    operator_ids: tuple[str, ...]
    site_ids: tuple[str, ...]
    delivered_kw: FloatArray
    devices: IdArray


def owned_power(index: FleetIndex, rows: IdArray, row_kw: FloatArray, grid: TimeGrid) -> OwnedPower:
    """Return the delivery of rows by their owners in every interval.

    Args:
        index: The fleet.
        rows: Counted rows, shape ``(k,)``.
        row_kw: What each delivered, shape ``(k, grid.count)``.
        grid: The intervals; owners are those at the begin of each.
    """
    count = max(len(index.operators), 1)
    keys_at: list[IdArray] = []
    known: tuple[object, object] | None = None
    for at_s in grid.starts_s().tolist():
        now = membership_at(index, at_s)
        if known is None or known[0] is not now.site or known[1] is not now.operator:
            known, keys = (now.site, now.operator), now.site[rows].astype(np.int64) * count + now.operator[rows]
        keys_at.append(keys)
    distinct = {id(keys): keys for keys in keys_at}
    parts = np.unique(np.concatenate(list(distinct.values()))) if distinct else np.zeros(0, dtype=np.int64)
    places = {key: np.searchsorted(parts, keys) for key, keys in distinct.items()}
    delivered_kw = np.zeros((len(parts), grid.count))
    for step, keys in enumerate(keys_at):
        delivered_kw[:, step] = np.bincount(places[id(keys)], weights=row_kw[:, step], minlength=len(parts))
    tallies = [np.bincount(place, minlength=len(parts)) for place in places.values()]
    return OwnedPower(
        operator_ids=tuple(index.operators[key % count].id for key in parts.tolist()),
        site_ids=tuple(index.sites[key // count].id for key in parts.tolist()),
        delivered_kw=delivered_kw,
        devices=np.max(tallies, axis=0, initial=0).astype(np.int64) if tallies else np.zeros(0, dtype=np.int64),
    )


def whole_fen(amounts_cny: Mapping[str, Decimal | float]) -> dict[str, float]:
    """Return the lines of a settlement in whole fen, NaN where unknown; the net is that of the rounded lines.

    Halves of a fen go to the even one (ROUND_HALF_EVEN).
    """
    fen = {name: _whole(Decimal(cny) * FEN_PER_CNY) for name, cny in amounts_cny.items()}
    if {"gross", "penalty", _NET} <= fen.keys():
        fen[_NET] = fen["gross"] - fen["penalty"]
    return fen


def whole_quanta(values: FloatArray | float) -> FloatArray:
    """Return powers or energies rounded down to whole quanta: nobody is credited more than was measured."""
    return np.asarray(np.floor(np.asarray(values) / QUANTUM) * QUANTUM, dtype=np.float64)


def shares_of(owned: OwnedPower, *, held_s: FloatArray, energy_kwh: float, fen: Mapping[str, float]) -> Shares:
    """Return everybody's share; nothing before the hold began.

    Args:
        owned: Delivery by owner; intervals beyond those reported are left out.
        held_s: Seconds of every reported interval that lie in the hold, shape ``(done,)``.
        energy_kwh: Energy of all over the hold, whole quanta.
        fen: Lines of the settlement in whole fen; lines that are unknown are shared out to nobody.
    """
    if not len(owned.operator_ids) or math.isnan(energy_kwh):
        return Shares()
    part_kw = owned.delivered_kw[:, : len(held_s)]
    part_kwh = _energies_kwh(part_kw @ held_s / SECONDS_PER_HOUR, energy_kwh, owned.devices)
    weights = _weights(part_kwh, owned.devices)
    amounts = {name: apportioned(round(total), total * weights) for name, total in fen.items() if not math.isnan(total)}
    if {"gross", "penalty", _NET} <= amounts.keys():
        amounts[_NET] = amounts["gross"] - amounts["penalty"]
    return Shares(
        operator_ids=owned.operator_ids,
        site_ids=owned.site_ids,
        energy_kwh=part_kwh,
        settlement_fen=amounts,
        delivered_kw=part_kw,
    )


def apportioned(total: int, parts: FloatArray) -> IdArray:
    """Return whole numbers close to ``parts`` that add up to ``total`` exactly, by the largest remainder.

    Args:
        total: What there is to share, of either sign.
        parts: Exact parts, of either sign, whose sum is about ``total``, shape ``(n,)``, n at least 1.

    Returns:
        Shape ``(n,)``; of equal remainders the first parts get the units that are left over.
    """
    whole = np.floor(parts)
    found = whole.astype(np.int64)
    everybody, some = divmod(total - int(found.sum()), len(parts))
    first = np.argsort(-(parts - whole), kind="stable")[:some]
    found += everybody
    found[first] += 1
    return found


def _energies_kwh(parts_kwh: FloatArray, energy_kwh: float, devices: IdArray) -> FloatArray:
    """Return energies in whole quanta that add up to the energy of the hold.

    Where the hold begins or ends within an interval its energy is not the sum of the parts over these seconds; the
    difference is shared like the money.
    """
    exact_kwh = parts_kwh + (energy_kwh - parts_kwh.sum()) * _weights(parts_kwh, devices)
    return np.asarray(apportioned(round(energy_kwh / QUANTUM), exact_kwh / QUANTUM) * QUANTUM, dtype=np.float64)


def _weights(parts_kwh: FloatArray, devices: IdArray) -> FloatArray:
    """Return what each part gets of what is shared out, shape ``(n,)``; they add up to 1."""
    helped = np.maximum(parts_kwh, 0.0)
    weights = helped if helped.any() else devices.astype(np.float64)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _whole(value: Decimal) -> float:
    return math.nan if value.is_nan() else float(value.to_integral_value(ROUND_HALF_EVEN))
