"""Metrics for Prometheus, and log lines as JSON."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import structlog
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from vpp.domain.errors import ConfigurationError
from vpp.domain.flexibility import Capability
from vpp.domain.request import Direction, DispatchRequest, NoticeClass, Product, RequestDraft, RequestState
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus, Reason
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.runtime.observability import Metrics, configure_logging, transformer_load_ratio

NOW = datetime(2026, 7, 15, 4, 0, tzinfo=UTC)


def fleet() -> FleetState:
    index = FleetIndex(
        areas=(Area(id="a", name="A"),),
        operators=(Operator(id="o", name="O"),),
        transformers=(
            Transformer(id="root", area_id="a", limit_kw=100.0, export_limit_kw=10.0, base_load_kw=30.0),
            Transformer(id="mid", area_id="a", limit_kw=50.0, export_limit_kw=10.0, parent_id="root"),
            Transformer(id="leaf", area_id="a", limit_kw=20.0, export_limit_kw=0.0, parent_id="mid"),
        ),
        sites=tuple(
            Site(id=f"s-{t}", name=t, area_id="a", operator_id="o", transformer_id=t) for t in ("root", "mid", "leaf")
        ),
        resources=tuple(
            Resource(
                id=t,
                site_id=f"s-{t}",
                resource_class=ResourceClass.STORAGE,
                adapter=adapter,
                address=t,
                p_min_kw=-50.0,
                p_max_kw=50.0,
            )
            for t, adapter in (("root", Adapter.MODBUS), ("mid", Adapter.OCPP), ("leaf", Adapter.OCPP))
        ),
    )
    nothing = np.full(3, np.nan)
    return FleetState(
        index=index,
        at_s=NOW.timestamp(),
        cycle=1,
        power_kw=np.array([np.nan, -30.0, 22.0]),
        power_at_s=NOW.timestamp() - np.array([np.nan, 5.0, 700.0]),
        quality=np.zeros(3, dtype=np.uint8),
        energy_kwh=nothing,
        soc=nothing,
        connected=np.array([False, True, True]),
        plugged=np.zeros(3, dtype=np.bool_),
        available_min_kw=index.nameplate.p_min_kw,
        available_max_kw=index.nameplate.p_max_kw,
        limit_kw=nothing,
        need_kwh=nothing,
        departure_s=nothing,
        sheddable=np.ones(3, dtype=np.bool_),
    )


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3")


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_a_snapshot_becomes_counts_by_adapter_and_ages_of_measurements(metrics: Metrics) -> None:
    for _ in range(2):
        metrics.observe_fleet(fleet())

    assert value(metrics, "vpp_devices_connected", adapter="ocpp") == 2
    assert value(metrics, "vpp_devices_connected", adapter="modbus") == 0
    assert value(metrics, "vpp_devices_registered", adapter="modbus") == 1
    assert value(metrics, "vpp_net_load_kw") == -8.0
    assert value(metrics, "vpp_telemetry_age_seconds_count") == 4, "what was never measured has no age"
    assert value(metrics, "vpp_telemetry_age_seconds_bucket", le="5.0") == 2
    assert value(metrics, "vpp_telemetry_age_seconds_bucket", le="600.0") == 2
    assert value(metrics, "vpp_telemetry_age_seconds_bucket", le="+Inf") == 4
    assert value(metrics, "vpp_telemetry_age_seconds_sum") == 1410.0


def test_an_empty_fleet_is_observed_without_fuss(metrics: Metrics) -> None:
    nobody, none = FleetIndex.empty(), np.zeros(0)
    arrays = {name: none for name in FleetState.__dataclass_fields__ if name not in {"index", "at_s", "cycle"}}
    flags = {name: none.astype(bool) for name in ("connected", "plugged", "sheddable")}
    metrics.observe_fleet(FleetState(index=nobody, at_s=0.0, cycle=0, **{**arrays, **flags}))
    assert value(metrics, "vpp_devices_connected", adapter="ocpp") == 0


def test_a_transformer_carries_all_below_it_and_export_counts_against_its_own_limit(metrics: Metrics) -> None:
    state = fleet()
    ratio = transformer_load_ratio(state.index, state.power_kw)
    metrics.observe_fleet(state)

    np.testing.assert_allclose(ratio, [0.22, 0.8, 1.1])
    bands = {
        band: value(metrics, "vpp_transformer_load_ratio", band=band)
        for band in ("below_50", "50_80", "80_90", "90_100", "above_100")
    }
    assert bands == {"below_50": 1, "50_80": 1, "80_90": 0, "90_100": 0, "above_100": 1}


def test_load_where_none_may_be_exported_is_above_any_limit() -> None:
    state = fleet()
    assert transformer_load_ratio(state.index, np.array([0.0, 0.0, -1.0]))[2] == np.inf
    assert transformer_load_ratio(state.index, np.zeros(3))[2] == 0.0


def test_capacities_are_those_of_the_step_that_is_now(metrics: Metrics) -> None:
    steps = np.arange(96.0)
    capability = Capability(
        area_id="a",
        direction="up",
        grid=TimeGrid(start_at=NOW),
        connected_kw=steps,
        declared_kw=steps + 100.0,
        verified_kw=np.full(96, np.nan),
        available_kw=steps + 300.0,
        ramp_kw_per_min=steps,
        sustain_minutes=steps,
    )
    metrics.observe_capability(capability, NOW.timestamp() + 1000.0)
    metrics.observe_capability(capability, NOW.timestamp() - 1000.0)

    shown = {
        kind: value(metrics, "vpp_capacity_kw", kind=kind, direction="up", area="a")
        for kind in ("connected", "declared", "available")
    }
    assert shown == {"connected": 1.0, "declared": 101.0, "available": 301.0}


def test_outcomes_are_counted_by_adapter_state_and_reason(metrics: Metrics) -> None:
    batch = OutcomeBatch(
        ids=np.arange(4),
        rows=np.arange(4, dtype=np.int32),
        status=np.array(
            [OutcomeStatus.ACCEPTED, OutcomeStatus.ACCEPTED, OutcomeStatus.REJECTED, OutcomeStatus.ACCEPTED],
            dtype=np.uint8,
        ),
        reasons=np.array([Reason.NONE, Reason.NONE, Reason.REFUSED, Reason.NONE], dtype=np.uint8),
        at_s=np.array([1.0, 2.0, 3.0, 4.0]),
    )
    metrics.observe_outcomes(batch, ["ocpp", "ocpp", "ocpp", "mqtt"], np.array([0.5, 0.0, np.nan, 3.9]))

    assert value(metrics, "vpp_commands_total", adapter="ocpp", state="accepted", reason="none") == 2
    assert value(metrics, "vpp_commands_total", adapter="ocpp", state="rejected", reason="refused") == 1
    assert value(metrics, "vpp_commands_total", adapter="mqtt", state="accepted", reason="none") == 1
    assert value(metrics, "vpp_command_ack_seconds_count") == 3
    assert value(metrics, "vpp_command_ack_seconds_bucket", le="0.5") == 2


def test_totals_kept_elsewhere_are_shown_as_they_are(metrics: Metrics) -> None:
    metrics.observe_rejected({("ocpp", "schema"): 3})
    metrics.observe_rejected({("ocpp", "schema"): 5, ("mqtt", "unit"): 1})
    metrics.observe_ledger({("ocpp", "confirmed", "none"): 7})

    assert value(metrics, "vpp_frames_rejected_total", adapter="ocpp", reason="schema") == 5
    assert value(metrics, "vpp_commands_ended_total", adapter="ocpp", state="confirmed", reason="none") == 7


def test_a_plan_shows_its_rung_gap_and_time(metrics: Metrics) -> None:
    plan = Schedule(
        grid=TimeGrid(start_at=NOW),
        power_kw=np.zeros((3, 96)),
        rung=Rung.OPTIMAL,
        objective_cny=1.0,
        gap_ratio=0.01,
        solve_s=3.0,
        overload_kw={},
    )
    metrics.observe_plan(plan)
    assert (value(metrics, "vpp_plan_rung"), value(metrics, "vpp_solver_gap_ratio")) == (0, 0.01)
    metrics.observe_plan(replace(plan, rung=Rung.SAFE_DEFAULT, solve_s=float("nan"), gap_ratio=float("nan")))
    assert value(metrics, "vpp_plan_rung") == 2
    assert value(metrics, "vpp_solver_seconds_count") == 1, "what was not solved took no time"


def test_requests_are_counted_by_state_and_tracked(metrics: Metrics) -> None:
    draft = RequestDraft(
        product=Product.PEAK_SHAVING,
        direction=Direction.UP,
        target_kw=1.0,
        area="city",
        start_at=NOW,
        end_at=NOW,
        notice_class=NoticeClass.FAST,
    )
    request = DispatchRequest(id="r", draft=draft, state=RequestState.HOLDING, created_at=NOW)
    metrics.observe_requests([request, request, replace(request, state=RequestState.SETTLED)])
    metrics.observe_requests([replace(request, state=RequestState.SETTLED)])
    metrics.observe_tracking(200.0, 150.0)

    assert value(metrics, "vpp_requests", state="holding") == 0
    assert value(metrics, "vpp_requests", state="settled") == 1
    assert value(metrics, "vpp_tracking_error_ratio") == 0.25
    metrics.observe_tracking(0.0, 0.0)
    assert np.isnan(value(metrics, "vpp_tracking_error_ratio"))


def test_every_metric_of_the_public_list_is_there_and_parses(metrics: Metrics) -> None:
    metrics.observe_fleet(fleet())
    metrics.observe_cycle(0.01)
    metrics.count_cap_violations(2)
    metrics.count_promises_broken()
    metrics.set_limits_not_restored(3)
    metrics.set_leader_epoch(4)
    families = {family.name for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())}

    assert families >= {
        "vpp_capacity_kw",
        "vpp_target_kw",
        "vpp_delivered_kw",
        "vpp_tracking_error_ratio",
        "vpp_devices_connected",
        "vpp_telemetry_age_seconds",
        "vpp_commands",
        "vpp_command_ack_seconds",
        "vpp_transformer_load_ratio",
        "vpp_cap_violations",
        "vpp_promises_broken",
        "vpp_solver_seconds",
        "vpp_solver_gap_ratio",
        "vpp_plan_rung",
        "vpp_leader_epoch",
        "vpp_limits_not_restored",
        "vpp_build_info",
        "vpp_frames_rejected",
    }
    assert value(metrics, "vpp_cap_violations_total") == 2
    assert value(metrics, "vpp_leader_epoch") == 4


@pytest.fixture
def _logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("_logging_restored")
def test_logs_are_one_json_object_a_line_ours_and_others() -> None:
    out = io.StringIO()
    configure_logging(json=True, level="warning", to=out)
    structlog.get_logger("vpp.test").warning("device lost", rows=3)
    structlog.get_logger("vpp.test").info("too quiet to hear")
    logging.getLogger("uvicorn.error").error("port %d taken", 8080)

    ours, theirs = (json.loads(line) for line in out.getvalue().splitlines())
    assert (ours["event"], ours["rows"], ours["level"], ours["logger"]) == ("device lost", 3, "warning", "vpp.test")
    assert (theirs["event"], theirs["level"]) == ("port 8080 taken", "error")


@pytest.mark.usefixtures("_logging_restored")
@pytest.mark.parametrize("as_json", [True, False])
def test_a_logged_exception_shows_no_local_variables(*, as_json: bool) -> None:
    out = io.StringIO()
    configure_logging(json=as_json, level="info", to=out)
    password = f"hunter{2}"
    try:
        int(password[:3])
    except ValueError:
        structlog.get_logger("vpp.test").exception("went wrong")
    assert "ValueError: invalid literal" in out.getvalue()
    assert "hunter2" not in out.getvalue()


def test_a_level_nobody_knows_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="loud"):
        configure_logging(json=False, level="loud")
