"""The compose file and the image fit together and fit the service."""

import re
from typing import Any

import yaml  # type: ignore[import-untyped]  # the package ships no types

from tests.places import ROOT
from vpp.config import Settings

_DEPLOY = ROOT / "deploy"
_COMPOSE: dict[str, Any] = yaml.safe_load((_DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
_SERVICES: dict[str, Any] = _COMPOSE["services"]
_IMAGE = (_DEPLOY / "Containerfile").read_text(encoding="utf-8")


def _settings_named(service: str) -> set[str]:
    return {line.partition("=")[0] for line in _SERVICES[service]["environment"]}


def test_service_fleet_broker_prometheus_and_grafana_are_there() -> None:
    assert set(_SERVICES) == {"vpp", "fleet", "broker", "prometheus", "grafana"}
    assert (_SERVICES["vpp"]["command"], _SERVICES["fleet"]["command"]) == (["serve"], ["fleet"])


def test_only_settings_that_exist_are_set() -> None:
    known = {f"VPP_{name.upper()}" for name in Settings.model_fields}
    wanted = {"VPP_HTTP", "VPP_OCPP", "VPP_MQTT_URL", "VPP_DATA_DIR"}
    for service in ("vpp", "fleet"):
        assert wanted <= _settings_named(service) <= known
    assert set(re.findall(r"VPP_\w+", _IMAGE)) <= known


def test_every_file_that_is_mounted_exists_and_every_volume_is_declared() -> None:
    sources = [one.partition(":")[0] for service in _SERVICES.values() for one in service.get("volumes", ())]
    assert {source.startswith(".") for source in sources} == {True, False}, "files and volumes"
    for source in sources:
        assert (_DEPLOY / source).exists() if source.startswith(".") else source in _COMPOSE["volumes"], source


def test_every_image_has_a_version() -> None:
    for name, service in _SERVICES.items():
        assert re.search(r":(v?\d|local$)", service["image"]), name


def test_broker_and_settings_name_the_same_port() -> None:
    broker = (_DEPLOY / "nats/nats.conf").read_text(encoding="utf-8")
    (port,) = re.findall(r"mqtt \{\s*port: (\d+)", broker)
    for service in ("vpp", "fleet"):
        assert f"VPP_MQTT_URL=mqtt://broker:{port}" in _SERVICES[service]["environment"]


def test_prometheus_scrapes_the_service_and_loads_the_rules() -> None:
    settings = yaml.safe_load((_DEPLOY / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
    (job,) = settings["scrape_configs"]
    assert (job["job_name"], job["static_configs"]) == ("vpp", [{"targets": ["vpp:8080"]}])
    assert settings["rule_files"] == ["rules.yml"]


def test_the_image_installs_by_hash_runs_without_root_and_probes_its_health() -> None:
    assert "--require-hashes -r requirements.lock" in _IMAGE
    assert _IMAGE.count("\nFROM ") + _IMAGE.startswith("FROM ") == 2
    assert re.search(r"^USER vpp$", _IMAGE, re.MULTILINE)
    assert "/healthz" in _IMAGE


def test_everything_the_image_copies_exists_and_is_let_through() -> None:
    allowed = (_DEPLOY / "Containerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    copies = [line.split() for line in _IMAGE.splitlines() if line.startswith("COPY ") and "--from" not in line]
    assert copies
    for path in [word for words in copies for word in words[1:-1]]:
        assert (ROOT / path).exists(), path
        assert f"!{path}" in allowed
