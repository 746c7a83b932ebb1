"""Response rates: share of commands that are followed, measured by peer group, shrunk towards the adapter's.

A peer group is one class behind one adapter of one operator. Its ratio is the mean of a Beta posterior whose prior is
the adapter's, and the adapter's prior is the field's: 3 % refuse and 2 % ignore (Gelman et al., Bayesian Data Analysis,
3rd ed., 2.4 and 5.1).
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from numerics.arrays import IntArray
from vpp.domain.resource import CHARGING, Adapter
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import ADAPTERS, CLASSES, FleetIndex
from vpp.planning.flexibility.flexibility_inputs import usable_rows

PRIOR_RATIO = 0.95
"""Chance that a command is followed before anything was measured."""
_PRIOR_WEIGHT = 200.0
_PEER_WEIGHT = 50.0
"""Trials after which a peer group's own record counts as much as its adapter's."""
_SETTLED_S = 120.0
"""A setpoint in force for so long, and for its ramp besides, should show in the meter."""
_TOLERANCE_RATIO, _TOLERANCE_KW = 0.1, 0.3
_CONFIRMED = "confirmed"
_ENDED = frozenset({_CONFIRMED, "refused", "ignored", "unreachable"})


class ResponseRates:
    """Trials and successes of every peer group; each setpoint in force long enough is one trial of its row."""

    def __init__(self) -> None:
        self._index: FleetIndex | None = None
        self._peers: IntArray = np.zeros(0, dtype=np.int64)
        self._setpoint_kw: FloatArray = np.zeros(0)
        self._since_s: FloatArray = np.zeros(0)
        self._counted: BoolArray = np.zeros(0, dtype=np.bool_)
        self._trials: dict[int, float] = {}
        self._followed: dict[int, float] = {}

    def observe(self, state: FleetState, setpoint_kw: FloatArray) -> None:
        """Compare setpoints with meters.

        Args:
            state: Snapshot of the fleet.
            setpoint_kw: Setpoint of each row, NaN for none, shape ``(n_resources,)``.
        """
        self._align(state.index)
        allowed = np.maximum(_TOLERANCE_RATIO * np.abs(np.nan_to_num(setpoint_kw)), _TOLERANCE_KW)
        stands = np.abs(setpoint_kw - self._setpoint_kw) <= allowed
        self._since_s[~stands] = state.at_s
        self._counted[~stands] = False
        self._setpoint_kw = np.where(stands, self._setpoint_kw, setpoint_kw)
        due = stands & ~self._counted & (state.at_s - self._since_s >= _settling_s(state.index)) & usable_rows(state)
        rows = np.flatnonzero(due & np.isfinite(state.power_kw))
        if not len(rows):
            return
        self._counted[rows] = True
        apart = state.power_kw[rows] - setpoint_kw[rows]
        ceiling = state.index.is_class(*CHARGING)[rows] & (setpoint_kw[rows] >= 0.0)
        followed = np.where(ceiling, apart <= allowed[rows], np.abs(apart) <= allowed[rows])
        codes, place = np.unique(self._peers[rows], return_inverse=True)
        trials, done = np.bincount(place), np.bincount(place, followed)
        for code, more, well in zip(codes.tolist(), trials.tolist(), done.tolist(), strict=True):
            self._trials[code] = self._trials.get(code, 0.0) + more
            self._followed[code] = self._followed.get(code, 0.0) + well

    def ratio(self, index: FleetIndex, ended: Mapping[tuple[str, str, str], int]) -> FloatArray:
        """Return each row's chance to follow a command, shape ``(n_resources,)``; may be called from any thread.

        Args:
            index: The fleet, also as it was before it grew.
            ended: Number of ended commands by adapter, outcome and reason.
        """
        prior, (peers, adapter) = adapter_ratio(ended), _peers_of(index)
        codes, first, place = np.unique(peers, return_index=True, return_inverse=True)
        trials = np.array([self._trials.get(code, 0.0) for code in codes.tolist()])
        followed = np.array([self._followed.get(code, 0.0) for code in codes.tolist()])
        shrunk_to = prior[adapter[first]]
        return np.asarray(((followed + _PEER_WEIGHT * shrunk_to) / (trials + _PEER_WEIGHT))[place])

    def _align(self, index: FleetIndex) -> None:
        if self._index is index:
            return
        more = len(index) - len(self._setpoint_kw)
        self._index = index
        self._peers, _ = _peers_of(index)
        self._setpoint_kw = np.append(self._setpoint_kw, np.full(more, np.nan))
        self._since_s = np.append(self._since_s, np.full(more, np.nan))
        self._counted = np.append(self._counted, np.zeros(more, dtype=np.bool_))


def _peers_of(index: FleetIndex) -> tuple[IntArray, IntArray]:
    """Return the codes of peer group and adapter of every row, shape ``(n_resources,)`` each."""
    adapter, operator = index.adapter_code.astype(np.int64), index.operator_code.astype(np.int64)
    return (operator * len(CLASSES) + index.class_code) * len(ADAPTERS) + adapter, adapter


def _settling_s(index: FleetIndex) -> FloatArray:
    """Return how long a setpoint must be in force before its meter counts: a plant ramps for minutes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ramp_s = (
            np.nan_to_num(index.nameplate.declared_up_kw / index.nameplate.ramp_kw_per_min, nan=0.0, posinf=0.0)
            * SECONDS_PER_MINUTE
        )
    return np.asarray(_SETTLED_S + ramp_s)


def adapter_ratio(ended: Mapping[tuple[str, str, str], int]) -> npt.NDArray[np.float64]:
    """Return each adapter's share of confirmed commands, drawn towards the field's, shape ``(len(ADAPTERS),)``."""
    followed = dict.fromkeys(Adapter, PRIOR_RATIO * _PRIOR_WEIGHT)
    asked = dict.fromkeys(Adapter, _PRIOR_WEIGHT)
    for (adapter, fate, _), count in ended.items():
        if fate in _ENDED:
            asked[Adapter(adapter)] += count
            followed[Adapter(adapter)] += count if fate == _CONFIRMED else 0
    return np.array([followed[adapter] / asked[adapter] for adapter in ADAPTERS])
