"""A fleet over several processes: one fleet to the service, ended together, and nobody is missed in silence."""

import os
import signal
from pathlib import Path

import httpx
import pytest

from tests.patience import CLEAN_END_WALL_S, PATIENCE_WALL_S
from tests.story.processes import children_of, environment, running, stop, vpp, wait_until

STATIONS, BATTERIES = 60, 2
FLEET = ("--stations", STATIONS, "--inverters", 0, "--batteries", BATTERIES, "--v2g", 0, "--sites", 0)


def _seen(address: str) -> dict[str, int]:
    try:
        answer = httpx.get(f"http://{address}/api/v1/fleet", timeout=PATIENCE_WALL_S, trust_env=False).json()
    except httpx.TransportError:
        return {}
    return dict(answer.get("adapters", {})) | {"resources": int(answer.get("resources", 0))}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_all_parts_connect_as_one_fleet_and_end_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    env = environment(tmp_path, SAMPLE_S=5)
    log = tmp_path / "fleet.log"
    with (
        running("serve", env=env, log=tmp_path / "serve.log") as service,
        running("fleet", *FLEET, "--history-days", 1, "--processes", 3, env=env, log=log) as fleet,
    ):
        wait_until(lambda: _seen(env["VPP_HTTP"]).get("ocpp", 0) >= STATIONS - 2)
        assert _seen(env["VPP_HTTP"])["resources"] == STATIONS + BATTERIES
        wait_until(lambda: _seen(env["VPP_HTTP"])["modbus"] == BATTERIES)
        parts = children_of(fleet.pid)
        assert len(parts) == 3
        assert stop(fleet, number) == 0
        assert not any(Path(f"/proc/{part}").exists() for part in parts)
        assert stop(service, number) == 0
    assert "Traceback" not in log.read_text()


def test_a_part_that_dies_ends_the_fleet_and_is_named(tmp_path: Path) -> None:
    env = environment(tmp_path, SAMPLE_S=5)
    log = tmp_path / "fleet.log"
    with (
        running("serve", env=env, log=tmp_path / "serve.log"),
        running("fleet", *FLEET, "--history-days", 0, "--processes", 2, env=env, log=log) as fleet,
    ):
        wait_until(lambda: _seen(env["VPP_HTTP"]).get("ocpp", 0) >= STATIONS - 2)
        parts = children_of(fleet.pid)
        os.kill(parts[1], signal.SIGKILL)
        assert fleet.wait(CLEAN_END_WALL_S) == 2
        assert not any(Path(f"/proc/{part}").exists() for part in parts)
    assert log.read_text().splitlines()[-1] == "vpp: fleet part 2 of 2 ended with code -9"


def test_what_really_happened_is_asked_of_one_process_only(tmp_path: Path) -> None:
    ended = vpp("fleet", *FLEET, "--processes", 2, "--truth", tmp_path / "t.npz", env=environment(tmp_path))
    assert ended.code == 2
    (line,) = ended.told
    assert line.startswith("vpp: --truth: ")
    assert line.endswith("give a fleet of one process; this one is of 2")
