"""Result of a cycle of the fast loop: commands, progress of every request, transformer loads."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vpp.dispatch.requests.phases import Phase
from vpp.domain.request import Shortfall, Transition
from vpp.domain.setpoint import SetpointBatch
from vpp.domain.telemetry import FloatArray, RowArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress of a running request; powers in the direction asked, net loads load positive.

    Attributes:
        measured_kw: Net load of the portfolio by its meters.
        baseline_kw: Its baseline.
        delivered_kw: Change of net load in the direction asked.
        error_ratio: ``(delivered - target) / target``, NaN where nothing is due.
        rows: Number of rows assigned to the request.
        metered_ratio: Share of them that is freshly and believably metered; the others count as delivering nothing.
        lost: Enlisted rows that cannot be called now, by the name of the reason; see
            `vpp.dispatch.flexibility.unavailability.Unavailability`.
    """

    request_id: str
    phase: Phase
    target_kw: float
    measured_kw: float
    baseline_kw: float
    delivered_kw: float
    error_ratio: float
    shortfall: Shortfall | None
    rows: int
    metered_ratio: float = float("nan")
    lost: Mapping[str, RowArray] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleResult:
    """Result of one cycle.

    Attributes:
        batch: Commands to hand to the links, journalled already.
        transformer_load_kw: Net load of every transformer by what the meters last showed that could be believed, shape
            ``(n_transformers,)``.
        transformer_expected_kw: The same once every command has taken effect.
        own_kw: What rows would take undispatched by their own meters, NaN where none is followed, shape
            ``(n_resources,)``.
        capped_rows: Number of rows that are held for a transformer's cap.
        below_promise: Rows whose session is kept for its driver and yet held lower for a transformer's cap, rising;
            shape ``(n,)``.
        unrestored_rows: Number of rows in which a value of ours may be in force that is not wanted any more.
    """

    batch: SetpointBatch
    progress: tuple[Progress, ...]
    transitions: tuple[Transition, ...]
    transformer_load_kw: FloatArray
    transformer_expected_kw: FloatArray
    own_kw: FloatArray
    capped_rows: int
    unrestored_rows: int
    below_promise: RowArray = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
