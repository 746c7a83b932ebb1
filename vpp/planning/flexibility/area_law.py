"""Expected deliverable power of every area and the city over windows of one length, and its standard deviations."""

from dataclasses import dataclass

import numpy as np

from numerics.arrays import IntArray
from vpp.domain.request import Direction
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.fleet.index import CLASSES
from vpp.planning.flexibility.aggregation import Aggregation, summed
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.planning.flexibility.flexibility_envelope import flexibility_envelope
from vpp.planning.flexibility.transformer_headroom import limited_by_feeders


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaLaw:
    """Power of every area, the city last, over ``W`` windows of ``J`` intervals; shape ``(A + 1, W, J)``.

    Attributes:
        expected_kw: Expected power, caps of transformers included.
        below_kw: Standard deviation that counts below it, the loss of whole operators and protocols included.
        above_kw: Standard deviation that counts above it.
        by_operator_kw: Expected power by operator, shape ``(A + 1, operators, W, J)``.
        class_kw: Expected power by area and class, mean over each window, shape ``(A, classes, W)``.
        ramp_kw_per_min: Joint ramp, shape ``(A + 1, W)``.
    """

    expected_kw: FloatArray
    below_kw: FloatArray
    above_kw: FloatArray
    by_operator_kw: FloatArray
    class_kw: FloatArray
    ramp_kw_per_min: FloatArray

    @classmethod
    def of(
        cls,
        basis: FlexibilityBasis,
        direction: Direction,
        first: IntArray,
        length: int,
        *,
        level: BoolArray | None = None,
        reachable: FloatArray | None = None,
    ) -> "AreaLaw":
        """Return the law of windows; caps are those of the city moving as one.

        Args:
            basis: Basis of the fleet.
            direction: Cut or raise.
            first: First step of every window, rising, shape ``(W,)``.
            length: Steps of every window.
            level: Groups whose sum batteries make even, see ``flexibility_envelope``.
            reachable: Share of each group's rows that can be moved, shape ``(C, W, J)``; all of them if not given.
        """
        index, policy, groups = basis.inputs.state.index, basis.inputs.policy, basis.groups
        found = flexibility_envelope(basis, direction, first, np.full(len(first), length), named=False, level=level)
        share = limited_by_feeders(basis, direction, first, found.sums.potential_kw).share[groups.node]
        if reachable is not None:
            share = share * reachable
        mean, areas = found.sums.mean_kw * share, len(index.areas)
        total = with_city(summed(mean, groups.area, areas))
        own = with_city(summed(found.sums.variance * share**2, groups.area, areas))
        common = (policy.common_error_ratio * total) ** 2
        by_operator = _by(mean, groups.area, groups.operator, areas, len(index.operators))
        by_adapter = _by(mean, groups.area, groups.adapter, areas, int(groups.adapter.max(initial=0)) + 1)
        correlated = policy.operator_outage * (1.0 - policy.operator_outage) * (by_operator**2).sum(axis=1)
        correlated += policy.adapter_outage * (1.0 - policy.adapter_outage) * (by_adapter**2).sum(axis=1)
        ramp = summed(found.sums.ramp_kw_per_min * share.mean(axis=2), groups.area, areas)
        return cls(
            expected_kw=total,
            below_kw=np.sqrt(own + common + correlated),
            above_kw=np.sqrt(own + common),
            by_operator_kw=by_operator,
            class_kw=_by_class(mean.mean(axis=2), groups, areas),
            ramp_kw_per_min=with_city(ramp),
        )


def _by_class(mean_kw: FloatArray, groups: Aggregation, areas: int) -> FloatArray:
    """Return sums by area and class of values by group and window, shape ``(areas, classes, W)``."""
    flat = summed(mean_kw, groups.area * len(CLASSES) + groups.class_code, areas * len(CLASSES))
    return flat.reshape(areas, len(CLASSES), *mean_kw.shape[1:])


def with_city(by_area: FloatArray) -> FloatArray:
    """Return values by area with their sum behind them, shape ``(A + 1, ...)``."""
    return np.concatenate((by_area, by_area.sum(axis=0, keepdims=True)))


def _by(mean_kw: FloatArray, area: IntArray, code: IntArray, areas: int, count: int) -> FloatArray:
    """Return sums by area and code, the city last, shape ``(A + 1, count, W, J)``."""
    flat = summed(mean_kw, area * count + code, areas * count)
    return with_city(flat.reshape(areas, count, *mean_kw.shape[1:]))
