"""Settings: where they come from and how a bad one is told."""

from pathlib import Path

import pytest

from vpp.config import Settings, address_of
from vpp.domain.errors import ConfigurationError


def test_flags_win_over_environment_and_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "vpp.toml"
    file.write_text('http = "127.0.0.1:1"\nocpp = "127.0.0.1:2"\nsample_s = 7.0\n')
    monkeypatch.setenv("VPP_OCPP", "127.0.0.1:3")
    monkeypatch.setenv("VPP_SAMPLE_S", "8")
    settings = Settings.load(file, sample_s=9.0, http=None)
    assert (settings.http, settings.ocpp, settings.sample_s) == ("127.0.0.1:1", "127.0.0.1:3", 9.0)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("VPP_HTTP", "nowhere", "HOST:PORT"),
        ("VPP_OCPP", "127.0.0.1:99999", "65535"),
        ("VPP_MQTT_URL", "http://x", "mqtt://"),
        ("VPP_CYCLE_S", "0", "greater than 0"),
        ("VPP_BUS_URL", "kafka:", "memory:"),
    ],
)
def test_a_bad_setting_is_named_with_its_value_and_what_is_accepted(
    name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as error:
        Settings.load()
    assert name in str(error.value)
    assert value in str(error.value)
    assert told in str(error.value)


def test_an_unknown_setting_in_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "vpp.toml"
    file.write_text("htpp = '127.0.0.1:1'\n")
    with pytest.raises(ConfigurationError, match="HTPP"):
        Settings.load(file)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPP_API_TOKEN", "very-secret")
    monkeypatch.setenv("VPP_MQTT_URL", "mqtt://me:hidden@broker:1883")
    shown = str(Settings.load().shown())
    assert "very-secret" not in shown
    assert "hidden" not in shown
    assert "me:***@broker" in shown


def test_the_database_is_a_file_in_the_data_folder_unless_told_otherwise(tmp_path: Path) -> None:
    assert Settings.load(data_dir=tmp_path).database_url == f"sqlite:///{tmp_path / 'vpp.sqlite3'}"
    assert Settings.load(db_url="sqlite://").database_url == "sqlite://"


def test_addresses_of_both_ip_versions_are_read() -> None:
    assert address_of("[::1]:80") == ("::1", 80)
    assert address_of("localhost:0") == ("localhost", 0)
