"""Keys of stations: issued, revoked, read anew while the service runs, and never lost."""

from base64 import b64encode
from pathlib import Path

import pytest
from structlog.typing import EventDict

from adapters.kit.websocket.handshake import basic, password
from adapters.kit.websocket.http_head import Request
from adapters.ocpp.central_system.security import KeyFile, KeyTable, new_key
from vpp.bootstrap.keys import issue_keys, revoke_keys
from vpp.domain.errors import ConfigurationError, InputError


def stations(folder: Path, *names: str) -> Path:
    file = folder / "stations.txt"
    file.write_text("# ours\n" + "".join(f"{name}\n" for name in names))
    return file


def issued(file: Path) -> dict[str, str]:
    return dict(line.split(",") for line in file.read_text().splitlines()[1:])


def test_every_station_of_a_list_gets_a_key_once(tmp_path: Path) -> None:
    table, first, second = (tmp_path / name for name in ("keys.npy", "first.csv", "second.csv"))
    issue_keys(stations(tmp_path, "CP1", "CP2"), table, first, renew=False)
    issue_keys(stations(tmp_path, "CP2", "CP3"), table, second, renew=False)
    keys = issued(first) | issued(second)
    judge = KeyFile(table, table.with_suffix(".secret").read_bytes().strip())
    assert list(issued(second)) == ["CP3"]
    assert len(judge) == 3
    assert all(judge(name, key) for name, key in keys.items())
    assert not judge("CP1", keys["CP2"])
    assert [oct(file.stat().st_mode & 0o777) for file in (first, table.with_suffix(".secret"))] == ["0o600"] * 2


def test_a_running_service_hears_of_new_and_revoked_keys(tmp_path: Path) -> None:
    table, out = tmp_path / "keys.npy", tmp_path / "out.csv"
    issue_keys(stations(tmp_path, "CP1"), table, out, renew=False)
    judge, key = KeyFile(table, table.with_suffix(".secret").read_bytes().strip()), issued(out)["CP1"]
    assert judge("CP1", key)
    issue_keys(stations(tmp_path, "CP1"), table, tmp_path / "renewed.csv", renew=True)
    assert not judge("CP1", key)
    assert judge("CP1", issued(tmp_path / "renewed.csv")["CP1"])
    revoke_keys(stations(tmp_path, "CP1"), table)
    assert not judge("CP1", issued(tmp_path / "renewed.csv")["CP1"])
    assert len(judge) == 0


def test_a_file_that_is_broken_or_gone_leaves_the_keys_in_force(tmp_path: Path, logs: list[EventDict]) -> None:
    table, out = tmp_path / "keys.npy", tmp_path / "out.csv"
    issue_keys(stations(tmp_path, "CP1"), table, out, renew=False)
    judge, key = KeyFile(table, table.with_suffix(".secret").read_bytes().strip()), issued(out)["CP1"]
    broken = tmp_path / "broken"
    broken.write_text("no table")
    broken.replace(table)
    assert judge("CP1", key)
    table.unlink()
    assert judge("CP1", key)
    assert sum("stay in force" in line["event"] for line in logs) == 2


def test_keys_are_never_written_over_others_and_never_without_their_secret(tmp_path: Path) -> None:
    table, out = tmp_path / "keys.npy", tmp_path / "out.csv"
    issue_keys(stations(tmp_path, "CP1"), table, out, renew=False)
    with pytest.raises(ConfigurationError, match="never written over"):
        issue_keys(stations(tmp_path, "CP2"), table, out, renew=False)
    table.with_suffix(".secret").unlink()
    with pytest.raises(ConfigurationError, match="secret"):
        issue_keys(stations(tmp_path, "CP2"), table, tmp_path / "second.csv", renew=False)
    with pytest.raises(InputError, match="CP:1"):
        issue_keys(stations(tmp_path, "CP:1"), tmp_path / "other.npy", tmp_path / "third.csv", renew=False)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY\x01\x00"])
def test_what_is_no_table_of_keys_is_said_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keys.npy").write_bytes(content)
    with pytest.raises(ConfigurationError, match="no table of station keys"):
        KeyTable.load(tmp_path / "keys.npy", b"secret")


def test_a_key_sent_as_the_bytes_it_stands_for_is_the_key() -> None:
    for _ in range(200):
        key = new_key()
        raw = _authorization(b"CP1:" + bytes.fromhex(key))
        assert password(Request("GET", "/", {"authorization": raw}), "CP1") == key
        assert password(Request("GET", "/", {"authorization": basic("CP1", key)}), "CP1") == key
        assert password(Request("GET", "/", {"authorization": basic("CP2", key)}), "CP1") is None


def _authorization(content: bytes) -> str:
    return "Basic " + b64encode(content).decode()
