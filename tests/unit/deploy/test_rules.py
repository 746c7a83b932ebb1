"""Deployment files parse, name only metrics that exist, and every alert has its entry in the runbook."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # the package ships no types

from tests.patience import PATIENCE_WALL_S
from tests.places import ROOT
from vpp.domain.trouble import Trouble

_DEPLOY = ROOT / "deploy"
_HISTOGRAMS = {"vpp_telemetry_age_seconds", "vpp_command_ack_seconds", "vpp_solver_seconds"}
_PLAIN = {
    "vpp_build_info",
    "vpp_delivered_metered_ratio",
    "vpp_devices_registered",
    "vpp_device_troubles",
    "vpp_imports_rejected_total",
    "vpp_samples_rejected_total",
    "vpp_storage_failing",
    "vpp_record_trusted",
    "vpp_record_heads_failing",
    "vpp_leader",
    "vpp_leader_deposed",
    "vpp_standby_lag_seconds",
    "vpp_cycle_age_seconds",
    "vpp_calendar_unannounced_days",
    "vpp_cap_violations_total",
    "vpp_capacity_kw",
    "vpp_clock_ahead_seconds",
    "vpp_commands_total",
    "vpp_delivered_kw",
    "vpp_drill_delivered_ratio",
    "vpp_drills_per_week",
    "vpp_devices_connected",
    "vpp_frames_rejected_total",
    "vpp_leader_epoch",
    "vpp_loop_failing",
    "vpp_limits_not_restored",
    "vpp_plan_rung",
    "vpp_poller_age_seconds",
    "vpp_promises_broken_total",
    "vpp_quote_kept_ratio",
    "vpp_requests_unsettled",
    "vpp_solver_gap_ratio",
    "vpp_target_kw",
    "vpp_tracking_error_ratio",
    "vpp_transformer_load_ratio",
    "vpp_verified_age_seconds",
}
_EXPORTED = _PLAIN | {f"{name}_{part}" for name in _HISTOGRAMS for part in ("bucket", "sum", "count")}
_METRIC = re.compile(r"(?<![\w:])(?:[a-z]+:)?vpp_\w+(?::\w+)?")
_ALERTS = {
    "DeliveryUnmetered",
    "DeviceTroubles",
    "ImplausibleValues",
    "ImportRejected",
    "KeysRefused",
    "StampsOff",
    "StorageFailing",
    "RecordUntrusted",
    "HeadsFailing",
    "LeaderDeposed",
    "NoLeader",
    "StandbyLags",
    "TwoLeaders",
    "LoopFailing",
    "LoopStalled",
    "AdapterLost",
    "CalendarUnannounced",
    "CapViolation",
    "ClockStep",
    "CommandAckSlow",
    "ConnectionCrashed",
    "DeliveryShortfall",
    "DrillShort",
    "LimitsNotRestored",
    "NotVerified",
    "PollerStandsStill",
    "PlanFallback",
    "PromiseBelowCap",
    "PromiseBroken",
    "QuotesNotKept",
    "ServiceDown",
    "SettlementFailed",
    "TelemetryStale",
}


def _yaml(path: str) -> Any:  # noqa: ANN401 - whatever the file holds
    return yaml.safe_load((_DEPLOY / path).read_text(encoding="utf-8"))


def _rules(kind: str) -> list[Mapping[str, Any]]:
    groups = _yaml("prometheus/rules.yml")["groups"]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def _dashboard() -> Mapping[str, Any]:
    dashboard: Mapping[str, Any] = json.loads((_DEPLOY / "grafana/dashboards/demo.json").read_text(encoding="utf-8"))
    return dashboard


def _expressions() -> Iterator[tuple[str, str]]:
    for rule in [*_rules("alert"), *_rules("record")]:
        yield rule.get("alert", rule.get("record")), rule["expr"]
    for panel in _dashboard()["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.parametrize("path", sorted(p for kind in ("yml", "yaml") for p in _DEPLOY.rglob(f"*.{kind}")), ids=str)
def test_every_yaml_file_parses(path: Path) -> None:
    assert yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("where", "expr"), list(_expressions()))
def test_every_expression_names_only_metrics_that_are_exported(where: str, expr: str) -> None:
    recorded = {rule["record"] for rule in _rules("record")}
    without_labels = re.sub(r"\{[^}]*\}|\bby \([^)]*\)", "", expr)
    named = set(_METRIC.findall(without_labels))
    assert named or "up" in expr, where
    assert named <= _EXPORTED | recorded, where


def test_the_names_are_those_the_service_exports() -> None:
    files = ("observability", "vitals", "standby_metrics", "drill_metrics")
    observability = "".join((ROOT / f"vpp/runtime/{name}.py").read_text(encoding="utf-8") for name in files)
    build_info = {"vpp_build_info"}  # prometheus_client adds the suffix to vpp_build
    missing = {name for name in _PLAIN - build_info | _HISTOGRAMS if f'"{name}"' not in observability}
    assert missing == set()


def test_every_alert_says_how_bad_it_is_and_where_to_read_on() -> None:
    assert {rule["alert"] for rule in _rules("alert")} == _ALERTS
    for rule in _rules("alert"):
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"


@pytest.mark.parametrize("alert", sorted(_ALERTS))
def test_every_alert_has_its_entry_in_the_runbook(alert: str) -> None:
    runbook = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
    entry = runbook.split(f"\n## {alert}\n")[1].split("\n## ")[0]
    for part in ("Meaning", "Check", "Action", "Rollback"):
        assert f"**{part}.**" in entry


def test_every_alert_is_tried_out() -> None:
    tried = {
        case["alertname"] for test in _yaml("prometheus/rules_test.yml")["tests"] for case in test["alert_rule_test"]
    }
    assert tried == _ALERTS


@pytest.mark.parametrize("command", [("check", "rules", "rules.yml"), ("test", "rules", "rules_test.yml")], ids=str)
def test_promtool_agrees(command: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (package prometheus) is not on the path")
    checked = subprocess.run(  # noqa: S603 - a fixed command on our own file
        [promtool, *command],
        cwd=_DEPLOY / "prometheus",
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_WALL_S,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_panels_do_not_overlap_and_have_titles_and_descriptions() -> None:
    taken: set[tuple[int, int]] = set()
    assert len(_dashboard()["panels"]) >= 10
    for panel in _dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert panel["title"]
        assert panel["description"]
        taken |= cells


def test_grafana_is_given_the_datasource_the_panels_use() -> None:
    (source,) = _yaml("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    used = {target["datasource"]["uid"] for panel in _dashboard()["panels"] for target in panel["targets"]}
    assert used == {source["uid"]}


@pytest.mark.parametrize("trouble", list(Trouble), ids=lambda trouble: trouble.name.lower())
def test_every_trouble_has_its_remedy_in_the_runbook(trouble: Trouble) -> None:
    runbook = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
    table = runbook.split("\n## Troubles of a device\n")[1].split("\n## ")[0]
    (line,) = [line for line in table.splitlines() if f"`{trouble.name.lower()}`" in line]
    assert all(cell.strip() for cell in line.split("|")[1:-1])
