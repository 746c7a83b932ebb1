"""Basis of flexibility: all that depends on the inputs alone, gathered once for many windows and directions."""

from dataclasses import dataclass

import numpy as np

from numerics.arrays import IntArray
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray
from vpp.fleet.index import CLASSES
from vpp.planning.flexibility.aggregation import Aggregation, summed
from vpp.planning.flexibility.flexibility_inputs import FlexibilityInputs
from vpp.planning.flexibility.flexibility_kernels import sum_rows
from vpp.planning.flexibility.movable_devices import Cars, Loads, Stores
from vpp.planning.forecast.charging_need import promised_cars

EV, V2G, STORAGE, PV, HVAC, INDUSTRY = (
    CLASSES.index(kind)
    for kind in (
        ResourceClass.EV,
        ResourceClass.V2G,
        ResourceClass.STORAGE,
        ResourceClass.PV,
        ResourceClass.HVAC,
        ResourceClass.INDUSTRY,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPower:
    """Expected power of every group, shape ``(C, T)`` each.

    Attributes:
        net_kw: Net power, load positive.
        magnitude_kw: Sum of the magnitudes of its rows.
        unusable_kw: Sum of the magnitudes of rows that are not usable.
    """

    net_kw: FloatArray
    magnitude_kw: FloatArray
    unusable_kw: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomers:
    """Cut of cars that have not come yet, by group; shape ``(C, T)`` each.

    Attributes:
        potential_kw: How far they can be cut.
        mean_kw: The same times the delivery ratio.
        variance: Of ``mean_kw``, kW squared.
    """

    potential_kw: FloatArray
    mean_kw: FloatArray
    variance: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class FlexibilityBasis:
    """Inputs gathered by group; ``C`` groups, ``T`` steps of their grid.

    Attributes:
        delivery_ratio: Chance of each row to follow a command, shape ``(n_resources,)``.
        flow_kw: Expected net import of every transformer, shape ``(n_transformers, T)``.
    """

    inputs: FlexibilityInputs
    groups: Aggregation
    delivery_ratio: FloatArray
    cars: Cars
    stores: Stores
    loads: Loads
    flow_kw: FloatArray
    power: GroupPower
    newcomers: Newcomers

    @classmethod
    def of(
        cls, inputs: FlexibilityInputs, delivery_ratio: FloatArray, groups: Aggregation | None = None
    ) -> "FlexibilityBasis":
        """Return the basis of these inputs.

        Args:
            inputs: Snapshot, forecast and schedule.
            delivery_ratio: Chance of each row to follow a command, shape ``(n_resources,)``.
            groups: Of the same fleet; made if not given.
        """
        index = inputs.state.index
        groups = groups or Aggregation.of(index)
        power, newcomers = _summed_rows(inputs, groups, delivery_ratio)
        own = summed(power.net_kw, groups.node, len(index.transformers)) + index.feeders.own_base_kw[:, None]
        return cls(
            inputs=inputs,
            groups=groups,
            delivery_ratio=delivery_ratio,
            cars=Cars.of(inputs, groups, delivery_ratio),
            stores=Stores.of(inputs, groups, delivery_ratio),
            loads=Loads.of(inputs, groups, delivery_ratio),
            flow_kw=index.feeders.summed_upwards(own),
            power=power,
            newcomers=newcomers,
        )


def _summed_rows(
    inputs: FlexibilityInputs, groups: Aggregation, delivery_ratio: FloatArray
) -> tuple[GroupPower, Newcomers]:
    """Return expected power and the cut of newcomers by group and step."""
    shape = (len(groups), inputs.grid.count)
    net, magnitude, unusable, potential, variance = (np.zeros(shape) for _ in range(5))
    counted = np.ones(len(inputs.state), dtype=np.bool_)
    counted[inputs.stores] = False
    sum_rows(
        (inputs.expected_kw, inputs.spread_kw),
        groups.of_row,
        (inputs.usable, counted),
        _newcomers_from(inputs),
        delivery_ratio,
        inputs.policy.future_share,
        (net, magnitude, unusable, potential, variance),
    )
    own = groups.of_row[inputs.stores].astype(np.int64)
    net += summed(inputs.stores_kw, own, len(groups))
    magnitude += summed(np.abs(inputs.stores_kw), own, len(groups))
    out = np.where(inputs.usable[inputs.stores][:, None], 0.0, np.abs(inputs.stores_kw))
    unusable += summed(out, own, len(groups))
    # Rows of a group share class, operator and adapter, and with them their delivery ratio.
    members = np.maximum(np.bincount(groups.of_row, minlength=len(groups)), 1)
    ratio = np.bincount(groups.of_row, weights=delivery_ratio, minlength=len(groups)) / members
    return (
        GroupPower(net_kw=net, magnitude_kw=magnitude, unusable_kw=unusable),
        Newcomers(potential_kw=potential, mean_kw=potential * ratio[:, None], variance=variance),
    )


def _newcomers_from(inputs: FlexibilityInputs) -> IntArray:
    """Return the first step in which each usable charger serves a car that has not come yet, shape ``(n,)``."""
    state, grid = inputs.state, inputs.grid
    chargers = inputs.usable & state.index.is_class(ResourceClass.EV)
    promised = promised_cars(state)
    gone = np.ceil((state.departure_s - grid.start_s) / grid.step_s)
    first = np.where(promised, np.clip(np.nan_to_num(gone), 0, grid.count), np.where(state.plugged, grid.count, 0))
    return np.where(chargers, first, grid.count).astype(np.int64)
