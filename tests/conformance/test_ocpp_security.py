"""Security profiles 1, 2 and 3, admission, draining and back-pressure, over real sockets."""

import asyncio
import math
import ssl
from pathlib import Path

import pytest
import trustme
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from adapters.ocpp import OcppLink
from adapters.ocpp.central_system.security import KeyTable, new_key, server_context
from tests.conformance.ocpp_bench import (
    ACCEPTED,
    EV,
    EV2,
    V2G,
    LoopTime,
    Sink,
    central,
    clock,
    fleet,
    link_of,
    setpoints,
    station,
)
from tests.conformance.test_ocpp_pains import BOOT, UPGRADE, Plain
from tests.conformance.test_ocpp_stations import both_ends, connected, running
from tests.patience import PATIENCE_WALL_S
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity

SECRET = b"of the service"
SELDOM_PER_S = 0.001
"""A rate at which no second one is admitted while a test lasts."""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Return certificate, key and authority of a central system as files."""
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("localhost", "127.0.0.1")
    certificate, key, root = folder / "cert.pem", folder / "key.pem", folder / "ca.pem"
    issued.private_key_pem.write_to_path(key)
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(certificate, append=number > 0)
    authority.cert_pem.write_to_path(root)
    return certificate, key, root


def client(authority: trustme.CA, name: str = "") -> ssl.SSLContext:
    """Return a station's side, with a certificate of its own if it has a ``name``."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if name:
        authority.issue_cert(common_name=name).configure_cert(context)
    return context


async def talk(url: str, context: ssl.SSLContext) -> None:
    """Connect and listen; with TLS 1.3 a refused certificate shows only then."""
    async with connect(url, subprotocols=["ocpp1.6"], ssl=context) as socket:
        await socket.recv()


async def test_profile_1_a_station_comes_in_with_its_key_and_with_no_other() -> None:
    keys = {"CP1": new_key(), "CP2": new_key()}
    async with central(Sink(), authenticate=KeyTable.of(keys.items(), SECRET)) as link:
        url = f"127.0.0.1:{link.port}/ocpp/CP1"
        for user in ("", "CP1:@", f"CP1:{keys['CP2']}@", f"CP2:{keys['CP2']}@", "CP1:wrong@"):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://{user}{url}", subprotocols=["ocpp1.6"])
            assert refused.value.response.status_code == 401
            assert refused.value.response.headers["WWW-Authenticate"].startswith("Basic")
        async with connect(f"ws://CP1:{keys['CP1']}@{url}", subprotocols=["ocpp1.6"]) as socket:
            assert socket.subprotocol == "ocpp1.6"


async def test_profile_1_our_own_stations_come_in_with_their_keys() -> None:
    keys = {name: new_key() for name in ("CP1", "CP2", "V1")}
    with both_ends() as (sink, world):
        table = KeyTable.of(keys.items(), SECRET)
        async with (
            central(sink, clock=world.clock, authenticate=table) as link,
            running(world, link.port, keys=keys),
        ):
            await connected(sink, EV, EV2, V2G)


async def test_profile_2_speaks_tls_and_asks_for_the_key(authority: trustme.CA, files: tuple[Path, Path, Path]) -> None:
    key, sink = new_key(), Sink()
    table = KeyTable.of([("CP1", key)], SECRET)
    async with central(sink, tls=server_context(*files[:2]), authenticate=table) as link:
        url = f"127.0.0.1:{link.port}/ocpp/CP1"
        with pytest.raises(InvalidStatus):
            await connect(f"wss://{url}", subprotocols=["ocpp1.6"], ssl=client(authority))
        async with connect(f"wss://CP1:{key}@{url}", subprotocols=["ocpp1.6"], ssl=client(authority)) as socket:
            await socket.send("x" * 100_000)  # many TLS records, one message
            await socket.send('[2,"1","Heartbeat",{}]')
            while '"1"' not in (heard := await asyncio.wait_for(socket.recv(), PATIENCE_WALL_S)):
                pass
            assert "currentTime" in heard
            assert "json" in sink.rejected


async def test_profile_2_plain_and_tls_have_a_port_each(authority: trustme.CA, files: tuple[Path, Path, Path]) -> None:
    async with central(Sink(), tls=server_context(*files[:2]), tls_port=0) as link, station(link, "CP2") as plain:
        url = f"wss://127.0.0.1:{link.tls_port}/ocpp/CP1"
        async with connect(url, subprotocols=["ocpp1.6"], ssl=client(authority)) as socket:
            await socket.send('[2,"1","Heartbeat",{}]')
            assert "currentTime" in await asyncio.wait_for(socket.recv(), PATIENCE_WALL_S)
        assert (await plain.call("Heartbeat", {}))[0] == 3
        plainly = connect(f"ws://127.0.0.1:{link.tls_port}/ocpp/CP1", subprotocols=["ocpp1.6"], open_timeout=None)
        with pytest.raises((ConnectionError, InvalidMessage)):
            await asyncio.wait_for(plainly, PATIENCE_WALL_S)


async def test_profile_2_our_own_stations_speak_tls(authority: trustme.CA, files: tuple[Path, Path, Path]) -> None:
    with both_ends() as (sink, world):
        async with central(sink, clock=world.clock, tls=server_context(*files[:2])) as link:
            url = f"wss://127.0.0.1:{link.port}/ocpp"
            async with running(world, link.port, url=url, tls=client(authority)):
                await connected(sink, EV, EV2, V2G)
                link.send(setpoints((5, EV, Layer.DISPATCH, 6.0, world.clock.now_s() + 900.0)))
                assert await sink.outcome(5) == ACCEPTED


async def test_profile_3_the_name_in_the_certificate_must_be_the_one_in_the_url(
    authority: trustme.CA, files: tuple[Path, Path, Path]
) -> None:
    context = server_context(files[0], files[1], station_ca=files[2])
    stranger = client(authority)
    trustme.CA().issue_cert(common_name="CP1").configure_cert(stranger)
    async with central(Sink(), tls=context) as link:
        url = f"wss://127.0.0.1:{link.port}/ocpp/CP1"
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, subprotocols=["ocpp1.6"], ssl=client(authority, "CP2"))
        assert refused.value.response.status_code == 401
        with pytest.raises((ConnectionClosed, OSError, InvalidMessage)):
            await talk(url, client(authority))
        with pytest.raises((ConnectionClosed, OSError, InvalidMessage)):
            await talk(url, stranger)
        async with connect(url, subprotocols=["ocpp1.6"], ssl=client(authority, "CP1")) as socket:
            assert socket.subprotocol == "ocpp1.6"


def admitting_one(link: OcppLink) -> OcppLink:
    """Return a link that has room for one more station."""
    assert link._server is not None
    link._server._acceptor._admission._bucket._tokens = 1.0
    return link


async def test_a_rush_is_let_in_at_a_rate_and_the_rest_is_told_when_to_come_back() -> None:
    sink = Sink()
    async with central(sink, admissions_per_s=SELDOM_PER_S) as link, station(admitting_one(link)):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{link.port}/ocpp/CP2", subprotocols=["ocpp1.6"])
        response = refused.value.response
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) >= 2
        assert sink.rejected == ["admission"]


async def test_a_station_in_an_event_does_not_wait_in_a_rush() -> None:
    sink = Sink()
    async with central(sink, admissions_per_s=SELDOM_PER_S) as link:
        admitting_one(link)
        link.send(setpoints((5, EV2, Layer.DISPATCH, 5.0, clock().now_s() + 900.0)))
        assert await sink.outcome(5) == (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
        url = f"ws://127.0.0.1:{link.port}/ocpp"
        async with connect(f"{url}/CP1", subprotocols=["ocpp1.6"]):
            async with connect(f"{url}/CP2", subprotocols=["ocpp1.6"]) as prior:
                assert prior.subprotocol == "ocpp1.6"
            link.send(setpoints((6, EV2, Layer.RELEASE, math.nan, math.inf)))
            with pytest.raises(InvalidStatus):
                await connect(f"{url}/CP2", subprotocols=["ocpp1.6"])


async def test_our_own_stations_come_back_after_a_503() -> None:
    with both_ends() as (sink, world):
        async with central(sink, clock=world.clock, admissions_per_s=2.0) as link, running(world, link.port):
            await connected(sink, EV, EV2, V2G)


async def test_a_drain_ends_sessions_at_its_rate_with_1012_and_lets_nobody_in() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as one, station(link, "CP2") as two:
        draining = asyncio.create_task(link.drain(5.0))
        await asyncio.wait_for(one.socket.wait_closed(), PATIENCE_WALL_S)
        assert one.socket.close_code == 1012
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await connect(f"ws://127.0.0.1:{link.port}/ocpp/CP1", subprotocols=["ocpp1.6"])
        await asyncio.wait_for(two.socket.wait_closed(), PATIENCE_WALL_S)
        assert two.socket.close_code == 1012
        await draining


async def test_a_link_with_a_drain_rate_drains_when_it_closes() -> None:
    async with central(Sink(), drain_per_s=100.0) as link, station(link) as raw:
        await link.close()
        await asyncio.wait_for(raw.socket.wait_closed(), PATIENCE_WALL_S)
        assert raw.socket.close_code == 1012


async def test_a_station_that_does_not_read_is_dropped_and_hurts_nobody() -> None:
    sink = Sink()
    async with central(sink) as link, station(link, "CP2") as neighbour:
        deaf, _ = await Plain.refused(link.port, *UPGRADE)
        deaf.say(BOOT)
        await deaf.answer("boot")
        await sink.until(lambda: sink.values.get((EV, Quantity.CONNECTED)) == 1.0)
        key = [{"key": "k" * 50}]
        number = 0
        while sink.values[EV, Quantity.CONNECTED] == 1.0 and number < 400_000:
            for _ in range(500):
                number += 1
                deaf.say([2, f"{number:036d}", "Unknown", {"configurationKey": key}])
            await asyncio.wait((asyncio.ensure_future(deaf.writer.drain()),), timeout=0.05)
            if deaf.writer.transport.get_write_buffer_size() > 1_000_000:
                break  # it is not read any more, for it does not read
        assert (await neighbour.call("Heartbeat", {}))[0] == 3
        deaf.writer.transport.abort()
        await sink.until(lambda: sink.values[EV, Quantity.CONNECTED] == 0.0)


async def test_an_instruction_without_an_answer_is_sent_again_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sink, time = Sink(), LoopTime(monkeypatch)
    async with central(sink, call_timeout_s=5.0, call_retries=1) as link, station(link) as raw:
        calls: list[dict] = []

        def second(payload: dict) -> dict | None:
            calls.append(payload)
            return {"status": "Accepted"} if len(calls) == 2 else None

        raw.rules["SetChargingProfile"] = second
        link.send(setpoints((5, EV, Layer.DISPATCH, 5.0, clock().now_s() + 900.0)))
        await raw.left_unanswered(1)
        time.put_forward(6.0)
        assert await sink.outcome(5) == ACCEPTED
        assert calls[0] == calls[1]  # the same profile: taking it twice is taking it once


async def test_questions_after_a_boot_wait_their_turn() -> None:
    sink, index = Sink(), fleet()
    async with central(sink, index, setups_per_s=SELDOM_PER_S) as link:
        link._sessions.setups._rate._tokens = 1.0
        async with station(link), station(link, "CP2", boot=False) as second:
            await second.boot()
            assert link.waiting_setups == 1
            assert second.asked == []
            link._sessions.setups._rate._tokens = 1.0
            await second.settled()


def test_a_key_table_is_the_same_from_a_file(tmp_path: Path) -> None:
    keys = {f"S{n}": new_key() for n in range(500)}
    KeyTable.of(keys.items(), SECRET).save(tmp_path / "keys.npy")
    table = KeyTable.load(tmp_path / "keys.npy", SECRET)
    assert len(table) == 500
    assert all(table(name, key) for name, key in keys.items())
    assert not table("S0", keys["S1"])
    assert not table("S0", None)
    assert not table("NOBODY", keys["S0"])
    assert not KeyTable.load(tmp_path / "keys.npy", b"another secret")("S0", keys["S0"])


def test_a_link_says_which_ports_it_was_asked_for_before_it_listens() -> None:
    link = link_of(port=9000, tls_port=9443)
    assert (link.port, link.tls_port) == (9000, 9443)
