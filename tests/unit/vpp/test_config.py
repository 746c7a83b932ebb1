"""Settings: where they come from and how a bad one is told."""

import re
from pathlib import Path

import pytest
import trustme

from adapters.ocpp.central_system.server import OcppLink
from vpp.bootstrap.links import links_of
from vpp.config import Settings, address_of, paths_of
from vpp.domain.errors import ConfigurationError
from vpp.runtime.clock import SYSTEM_CLOCK


def test_flags_win_over_environment_and_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "vpp.toml"
    file.write_text('http = "127.0.0.1:1"\nocpp = "127.0.0.1:2"\nsample_s = 7.0\n')
    monkeypatch.setenv("VPP_OCPP", "127.0.0.1:3")
    monkeypatch.setenv("VPP_SAMPLE_S", "8")
    settings = Settings.load(file, sample_s=9.0, http=None)
    assert (settings.http, settings.ocpp, settings.sample_s) == ("127.0.0.1:1", "127.0.0.1:3", 9.0)


def test_paths_are_parted_by_commas_and_reach_the_link() -> None:
    settings = Settings.load(ocpp_paths="/ocpp/{id}, /steve/websocket/CentralSystemService/{id},")
    assert paths_of(settings.ocpp_paths) == ("/ocpp/{id}", "/steve/websocket/CentralSystemService/{id}")
    for shared_port in (False, True):
        link = links_of(settings, SYSTEM_CLOCK, shared_port=shared_port)[-1]
        assert isinstance(link, OcppLink)
        assert link.paths.devices("/steve/websocket/CentralSystemService/CS-1") == ["CS-1"]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("VPP_HTTP", "nowhere", "HOST:PORT"),
        ("VPP_OCPP", "127.0.0.1:99999", "65535"),
        ("VPP_MQTT_URL", "http://x", "mqtt://"),
        ("VPP_CYCLE_S", "0", "greater than 0"),
        ("VPP_BUS_URL", "kafka:", "memory:"),
        ("VPP_OCPP_PATHS", "ocpp/{id}", "/PATH/{id}"),
        ("VPP_OCPP_PATHS", "/ocpp", "/PATH/{id}"),
        ("VPP_OCPP_PATHS", "/a/{id}?key=1", "/PATH/{id}"),
        ("VPP_OCPP_PATHS", ",", "at least one path"),
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


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return settings of TLS with files that fit together."""
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "keys.npy").touch()
    (folder / "keys.secret").touch()
    files = {"ocpp_cert": "cert.pem", "ocpp_key": "key.pem", "ocpp_client_ca": "ca.pem", "ocpp_keys": "keys.npy"}
    return {"ocpp_tls": "127.0.0.1:9443"} | {name: str(folder / file) for name, file in files.items()}


def test_settings_of_tls_that_fit_together_are_taken(tls: dict[str, str]) -> None:
    settings = Settings.load(None, **tls)
    assert settings.ocpp_tls == "127.0.0.1:9443"
    assert settings.keys_secret == Path(tls["ocpp_keys"]).with_suffix(".secret")
    alone = {name: value for name, value in tls.items() if name != "ocpp_keys"} | {"ocpp": tls["ocpp_tls"]}
    assert Settings.load(None, **alone).keys_secret is None, "with TLS alone the certificate is enough"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"ocpp_cert": None}, "VPP_OCPP_TLS: needs a certificate and its key; give VPP_OCPP_CERT"),
        ({"ocpp_key": None}, "VPP_OCPP_TLS: needs a certificate and its key; give VPP_OCPP_KEY"),
        ({"ocpp_tls": None}, "VPP_OCPP_CERT: is of no use without VPP_OCPP_TLS"),
        ({"ocpp_key": __file__}, "VPP_OCPP_CERT, VPP_OCPP_KEY: no certificate with its key"),
        ({"ocpp_client_ca": __file__}, "VPP_OCPP_CLIENT_CA: no certificate of an authority"),
        ({"ocpp_keys": None}, "VPP_OCPP_CLIENT_CA: anybody could come in by VPP_OCPP instead"),
        ({"ocpp_keys": None, "ocpp_keys_secret": __file__}, "VPP_OCPP_CLIENT_CA|VPP_OCPP_KEYS_SECRET: belongs"),
        ({"ocpp_keys": __file__}, "VPP_OCPP_KEYS: its secret is not at"),
        ({"ocpp_keys": "nowhere"}, "VPP_OCPP_KEYS: 'nowhere' is not accepted; .*no such file"),
        ({"ocpp_call_retries": 9}, "VPP_OCPP_CALL_RETRIES"),
        ({"ocpp_admissions_per_s": 0.0}, "VPP_OCPP_ADMISSIONS_PER_S"),
    ],
)
def test_settings_of_tls_that_do_not_go_together_are_told_in_a_line(
    tls: dict[str, str], changed: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told) as error:
        Settings.load(None, **{**tls, **changed})
    assert "\n" not in str(error.value)


def test_every_setting_says_what_it_means_with_its_range_and_default() -> None:
    described = Settings.described()
    assert set(described) == set(Settings.load().shown())
    assert all(re.fullmatch(r"\S.{15,}[^.\s] \[default: \S+\]", text) for text in described.values()), described
    assert described["VPP_CYCLE_S"].endswith("(above 0) [default: 10]")
    assert described["VPP_OCPP_CALL_RETRIES"].endswith("(at least 0, at most 5) [default: 0]")
    assert described["VPP_REGULATION_KW"].endswith("(above 0) [default: unset]")
    assert described["VPP_LOG_JSON"].endswith("[default: false]")


@pytest.mark.parametrize(
    ("ending", "unit"),
    [("_s", "second"), ("_wall_s", "wall"), ("_minutes", "minutes"), ("_days", "days"), ("_kw", "kW")],
)
def test_a_number_is_described_in_the_unit_of_its_name(ending: str, unit: str) -> None:
    named = {name: text for name, text in Settings.described().items() if name.lower().endswith(ending)}
    assert named
    assert [name for name, text in named.items() if unit not in text] == []


def test_key_and_heads_lie_in_the_users_folders_unless_they_are_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    key, heads = Settings.load(data_dir=tmp_path / "data").record_place
    assert key == tmp_path / "config" / "vpp" / "record.key"
    assert heads == tmp_path / "home" / ".local" / "state" / "vpp" / "heads"


@pytest.mark.parametrize("name", ["record_key", "record_heads"])
def test_key_and_heads_are_refused_in_the_data_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"VPP_{name.upper()}: .* lies in VPP_DATA_DIR"):
        Settings.load(data_dir=tmp_path, **{name: tmp_path / "sub" / "it"})


def test_the_address_of_the_heads_is_a_web_address() -> None:
    assert Settings.load(record_heads_url="https://archive.example/heads").record_heads_url
    with pytest.raises(ConfigurationError, match=r"VPP_RECORD_HEADS_URL.*https://HOST/PATH"):
        Settings.load(record_heads_url="ftp://archive.example")
