"""Commitment of a request on the planner's steps: participants, power due, and the bound on its rebound."""

from dataclasses import dataclass

from vpp.domain.request import Direction
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """One request on a planner's steps.

    Attributes:
        rows: Rows of its area, shape ``(n_resources,)``.
        direction: Cut or raise.
        grid: The steps, from the one that holds the present.
        target_kw: Mean power due in every step, ramps included, 0 outside, shape ``(grid.count,)``.
        tolerance_ratio: Deviation that counts as on target.
        rebound_cap_kw: Greatest net load above baseline while it is watched; ``None`` for none.
        watched: Steps after the hold in which that cap counts, shape ``(grid.count,)``.
    """

    rows: BoolArray
    direction: Direction
    grid: TimeGrid
    target_kw: FloatArray
    tolerance_ratio: float
    rebound_cap_kw: float | None
    watched: BoolArray
