"""Situation of one request in one cycle, and the control that comes of it."""

from dataclasses import dataclass

from numerics.views import read_only
from vpp.dispatch.allocation.tracking_controller import Tracking
from vpp.dispatch.flexibility.baseline_curve import BaselineCurve
from vpp.dispatch.flexibility.device_rows import Call
from vpp.dispatch.flexibility.fairness import Merit
from vpp.dispatch.flexibility.flexibility_scan import FlexibilityScan, RowInputs, scan
from vpp.dispatch.flexibility.scheduled_energy import ahead_of
from vpp.dispatch.requests.phases import Phase, PhaseTimes
from vpp.dispatch.rows.assignments import Assignments
from vpp.dispatch.rows.command_columns import CommandColumns
from vpp.dispatch.settings import DispatchSettings
from vpp.dispatch.views import devices_of, kinds_of, meters_of, rules_of
from vpp.domain.regulation import MeteredLoad
from vpp.domain.request import DispatchRequest
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray
from vpp.fleet.fleet_state import FleetState
from vpp.state.eligibility import barred_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Fleet of one cycle, the same for every request; arrays of shape ``(n_resources,)``.

    Attributes:
        state: The snapshot.
        assignments: State of the rows; requests that come later see what earlier ones were assigned.
        commands: Commands of every row, read-only.
        default_kw: Default value of every row, NaN where we set none.
        merit: Merit order.
        debt_kwh: Energy each building has deferred.
        planned_kw: Power a re-dispatch plan has every row take now, NaN for no wish, ``None`` without such a plan.
        trusting: A restart is so recent that rows that are not back yet are trusted.
        settings: Of the fast loop.
    """

    state: FleetState
    assignments: Assignments
    commands: CommandColumns
    default_kw: FloatArray
    merit: Merit
    debt_kwh: FloatArray
    planned_kw: FloatArray | None
    trusting: bool
    settings: DispatchSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """Rows whose meters count for a request, and what they are measured against.

    Attributes:
        rows: Which rows count, shape ``(n_resources,)``.
        curve: Their frozen baseline, ``None`` where none was frozen.
        baseline_kw: Of all of them now; NaN where none was frozen.
        baseline_rows_kw: Of every row now, NaN where unknown, shape ``(n_resources,)``.
    """

    rows: BoolArray
    curve: BaselineCurve | None
    baseline_kw: float
    baseline_rows_kw: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One request in one cycle.

    Attributes:
        request: The request.
        number: Its number, the ``owner`` of its rows.
        times: Its phases.
        portfolio: Its rows and their baseline.
        picture: The fleet.
    """

    request: DispatchRequest
    number: int
    times: PhaseTimes
    portfolio: Portfolio
    picture: Picture

    @property
    def at_s(self) -> float:
        """Time of the snapshot, epoch seconds."""
        return self.picture.state.at_s

    @property
    def sign(self) -> float:
        """1 where net load is to fall, -1 where it is to rise."""
        return self.request.draft.direction.sign

    @property
    def phase(self) -> Phase:
        """Phase by the clock."""
        return self.times.phase_at(self.at_s)

    @property
    def due(self) -> bool:
        """Whether power is due, rather than being released."""
        return self.phase in (Phase.RAMPING, Phase.HOLDING)

    @property
    def rebound_cap_kw(self) -> float | None:
        """Cap on net load above baseline after the hold, where there is one."""
        return self.request.draft.rebound_cap_kw if self.sign > 0.0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Result of one request's cycle.

    Attributes:
        setpoint_kw: Power each of its rows is to take, NaN for rows it does not use, shape ``(n_resources,)``.
        uncontrolled_kw: Power each row would take undispatched, shape ``(n_resources,)``.
        unavailability: ``Unavailability`` code of every row, shape ``(n_resources,)``.
        memory: Of the tracking controller.
        target_kw: Power due now.
        measured_kw: Metered net load of the portfolio.
        baseline_kw: Its baseline.
        delivered_kw: Their difference in the direction asked.
        lacking_kw: Power due that no row has available.
        metered: Net load at earlier instants, which later readings have made final; of requests with a signal.
    """

    setpoint_kw: FloatArray
    uncontrolled_kw: FloatArray
    unavailability: CodeArray
    memory: Tracking
    phase: Phase
    target_kw: float
    measured_kw: float
    baseline_kw: float
    delivered_kw: float
    lacking_kw: float
    metered: MeteredLoad | None = None

    def body(self, request_id: str) -> dict[str, object]:
        """Return the journal body of a cycle."""
        later: dict[str, object] = {}
        if self.metered is not None and len(self.metered):
            later["metered"] = [self.metered.at_s.tolist(), self.metered.measured_kw.tolist()]
        return later | {
            "id": request_id,
            "phase": self.phase.value,
            "target_kw": self.target_kw,
            "measured_kw": self.measured_kw,
            "baseline_kw": self.baseline_kw,
            "delivered_kw": self.delivered_kw,
            "memory": self.memory.body(),
        }


def look(s: Situation) -> FlexibilityScan:
    """Return the scan of the fleet for a request."""
    state, settings = s.picture.state, s.picture.settings
    # During a release under a cap stored energy has to last until the watch ends.
    end_s = s.times.end_s if s.due or s.rebound_cap_kw is None else s.times.watched_s
    return scan(
        devices_of(state.index),
        meters_of(state),
        s.picture.assignments.columns,
        s.picture.commands,
        kinds_of(settings.devices),
        rules_of(settings),
        Call(at_s=s.at_s, sign=s.sign, number=s.number, end_s=end_s, trusting=s.picture.trusting),
        RowInputs(
            read_only(s.portfolio.rows),
            read_only(s.portfolio.baseline_rows_kw),
            read_only(s.picture.default_kw),
            read_only(state.index.nameplate.contract_up_kw if s.sign > 0.0 else state.index.nameplate.contract_down_kw),
            read_only(barred_rows(state)),
        ),
        ahead_of(state.index, s.portfolio.rows, s.portfolio.curve, now_s=s.at_s, end_s=end_s),
    )
