"""The output of the commands: help, one line for what is wrong, exit codes, and a clean end on Ctrl-C."""

import json
import signal
import socket
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from tests.patience import PATIENCE_WALL_S
from tests.story.processes import environment, running, stop, vpp, wait_until
from vpp.bootstrap.store import Store
from vpp.lab.compose.subprocesses import free_block

COMMANDS = ("serve", "fleet", "demo", "drill", "replay", "audit", "audit verify", "check-config", "openapi")
SMALL_FLEET = (*("--stations", 3, "--inverters", 2, "--batteries", 1, "--v2g", 1, "--sites", 0), "--history-days", 1)


def one_line(tmp_path: Path, *arguments: object, **settings: object) -> str:
    """Run a command that must fail with exit code 2, saying exactly one line; return the line."""
    ended = vpp(*arguments, env=environment(tmp_path, **settings))
    assert ended.code == 2, ended
    assert ended.out == ""
    assert len(ended.told) == 1, ended.err
    assert ended.told[0].startswith("vpp: ")
    return ended.told[0]


def test_every_command_explains_itself(tmp_path: Path) -> None:
    env = environment(tmp_path)
    overview = vpp("--help", env=env)
    assert overview.code == 0
    for command in COMMANDS:
        assert command.split()[0] in overview.out
        ended = vpp(*command.split(), "--help", env=env)
        assert (ended.code, ended.err) == (0, ""), command
        assert f"vpp {command} " in ended.out.replace("python -m vpp.cli", "vpp")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("serve", "--nowhere"), "--nowhere"),
        (("sreve",), "sreve"),
        (("fleet", "--stations", "many"), "--stations"),
        (("demo", "--share", "2"), "--share"),
        (("serve", "--config", "missing.toml"), "missing.toml"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    assert told in one_line(tmp_path, *arguments)


def test_a_drill_of_a_service_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert "no service answers" in one_line(tmp_path, "drill", "--area", "north", HTTP="127.0.0.1:1")


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        ("serve", "HTTP", "nowhere"),
        ("serve", "MQTT_URL", "http://x"),
        ("serve", "DB_URL", "no database"),
        ("serve", "LOG_LEVEL", "chatty"),
        ("check-config", "CYCLE_S", "0"),
    ],
)
def test_a_wrong_setting_is_one_line_with_its_value(command: str, name: str, value: str, tmp_path: Path) -> None:
    assert repr(value) in one_line(tmp_path, command, **{name: value})


@pytest.mark.parametrize("name", ["HTTP", "OCPP"])
def test_a_taken_port_is_one_line(name: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert str(port) in one_line(tmp_path, "serve", **{name: f"127.0.0.1:{port}"}, LOG_LEVEL="warning")


@pytest.mark.parametrize("content", [b"name,age\nx,1\n", b"\x89PNG\r\n\x1a\n\xff\xfe" * 40])
@pytest.mark.parametrize("option", ["--sessions", "--weather"])
def test_a_file_of_another_kind_is_one_line(option: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "given.csv"
    file.write_bytes(content)
    assert "given.csv" in one_line(tmp_path, "fleet", option, file)


def test_a_broken_chain_is_told_with_the_entry(tmp_path: Path) -> None:
    env = environment(tmp_path)
    store = Store.open(f"sqlite:///{tmp_path / 'vpp.sqlite3'}")
    for number in range(5):
        store.journal.append("test", float(number), {"number": number})
    store.close()
    assert json.loads(vpp("audit", "verify", "--json", env=env).out)["entries"] == 5

    database = sa.create_engine(f"sqlite:///{tmp_path / 'vpp.sqlite3'}")
    with database.begin() as connection:
        connection.execute(sa.text("UPDATE journal SET body = :body WHERE sequence = 3"), {"body": '{"number":9}'})
    database.dispose()
    ended = vpp("audit", "verify", env=env)
    assert ended.code == 1
    assert "altered: journal entry 3" in ended.out
    assert "what to do" in ended.out


def test_the_api_is_described_without_a_service(tmp_path: Path) -> None:
    ended = vpp("openapi", env=environment(tmp_path / "untouched"))
    assert (ended.code, ended.err) == (0, "")
    described = json.loads(ended.out)
    assert {"/api/v1/requests", "/api/v1/requests/{request_id}/accept", "/api/v1/fleet", "/readyz"} <= set(
        described["paths"]
    )
    assert not (tmp_path / "untouched").exists()


def test_settings_are_shown_by_the_names_they_are_set_by(tmp_path: Path) -> None:
    ended = vpp("check-config", env=environment(tmp_path, SAMPLE_S=7) | {"VPP_API_TOKEN": "very-secret"})
    assert (ended.code, ended.err) == (0, "")
    assert "VPP_SAMPLE_S = 7.0" in ended.out.splitlines()
    assert "very-secret" not in ended.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_service_and_fleet_end_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    env = environment(tmp_path, SAMPLE_S=5)
    logs = [tmp_path / "serve.log", tmp_path / "fleet.log"]
    port, truth = free_block(2), tmp_path / "truth.npz"
    with (
        running("serve", env=env, log=logs[0]) as service,
        running("fleet", *SMALL_FLEET, "--modbus-port", port, "--truth", truth, env=env, log=logs[1]) as fleet,
    ):
        wait_until(lambda: _connected(env["VPP_HTTP"]) >= 4)
        assert stop(fleet, number) == 0
        assert stop(service, number) == 0
    for log in logs:
        assert "Traceback" not in log.read_text()
        assert "rror" not in log.read_text().replace("uvicorn.error", "")
    assert truth.exists()
    assert vpp("audit", "verify", env=env).code == 0


def test_a_fleet_without_a_service_waits_and_ends_cleanly(tmp_path: Path) -> None:
    env, log = environment(tmp_path), tmp_path / "fleet.log"
    host, port = env["VPP_HTTP"].split(":")
    with socket.create_server((host, int(port))) as mute, running("fleet", *SMALL_FLEET, env=env, log=log) as fleet:
        mute.settimeout(PATIENCE_WALL_S)
        mute.accept()[0].close()
        wait_until(lambda: "no service answers yet" in log.read_text())
        assert stop(fleet) == 0
    assert "Traceback" not in log.read_text()


def _connected(address: str) -> int:
    try:
        answer = httpx.get(f"http://{address}/api/v1/fleet", timeout=PATIENCE_WALL_S, trust_env=False).json()
    except httpx.TransportError:
        return 0
    return int(answer.get("connected", 0))
