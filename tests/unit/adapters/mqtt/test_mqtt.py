"""What the two ends of MQTT decide before anything goes over the wire."""

import asyncio
import math
from collections import Counter

import pytest

from adapters.mqtt.command_queue import CommandQueue, QueuedCommand
from adapters.mqtt.connection import Broker
from adapters.mqtt.payload import Command
from adapters.mqtt.simulated.gateway import Gateway
from adapters.mqtt.site_directory import SiteDirectory
from adapters.mqtt.topics import Leaf, leaf_of, site_of, split_address, topic
from vpp.domain.device import DeviceReadings, DeviceResponse, PlugEvent
from vpp.domain.errors import ConfigurationError, InputError
from vpp.domain.fleet import FleetIndex
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.setpoint import Layer
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.runtime.clock import VirtualClock


def _errand(identity: int, row: int = 0, *, site: str = "s", until_s: float = math.inf) -> QueuedCommand:
    command = Command(id=identity, device=f"d{row}", layer=Layer.DISPATCH, power_kw=1.0, until_s=until_s, epoch=1)
    return QueuedCommand(row=row, site=site, command=command)


def test_a_waiting_errand_is_replaced_and_one_under_way_is_not() -> None:
    ledger = CommandQueue(30.0)
    first, second, third = _errand(1), _errand(2), _errand(3)
    assert ledger.add(first) is None
    assert ledger.add(second) is first
    assert ledger.leave(0.0) == ([second], [])
    assert ledger.add(third) is None
    assert ledger.leave(0.0) == ([], [])
    assert ledger.settle(2, "s", "d0") is second
    assert ledger.leave(0.0) == ([third], [])


def test_an_answer_counts_once_and_only_from_where_it_was_asked() -> None:
    ledger = CommandQueue(30.0)
    ledger.add(_errand(1))
    ledger.leave(0.0)
    assert ledger.settle(1, "elsewhere", "d0") is None
    assert ledger.settle(1, "s", "d9") is None
    assert ledger.settle(1, "s", "d0") is not None
    assert ledger.settle(1, "s", "d0") is None


def test_errands_fall_due_in_the_order_they_left() -> None:
    ledger = CommandQueue(30.0)
    for identity, at_s in ((1, 0.0), (2, 10.0)):
        ledger.add(_errand(identity, identity))
        ledger.leave(at_s)
    assert [errand.command.id for errand in ledger.overdue(29.0)] == []
    assert [errand.command.id for errand in ledger.overdue(30.0)] == [1]
    assert [errand.command.id for errand in ledger.overdue(100.0)] == [2]
    assert len(ledger) == 0


def test_a_lease_that_ended_while_waiting_does_not_leave() -> None:
    ledger = CommandQueue(30.0)
    ended = _errand(1, until_s=50.0)
    ledger.add(ended)
    assert ledger.leave(50.0) == ([], [ended])
    assert len(ledger) == 0


def test_a_lost_site_gives_up_its_own_errands_only() -> None:
    ledger = CommandQueue(30.0)
    ledger.add(_errand(1, 1, site="a"))
    ledger.add(_errand(2, 2, site="b"))
    ledger.leave(0.0)
    ledger.add(_errand(3, 1, site="a"))
    assert [errand.command.id for errand in ledger.give_up("a")] == [1, 3]
    assert len(ledger) == 1


def _fleet(*addresses: str) -> FleetIndex:
    return FleetIndex(
        areas=(Area(id="n", name="N"),),
        operators=(Operator(id="o", name="O"),),
        transformers=(Transformer(id="t", area_id="n", limit_kw=9.0, export_limit_kw=0.0),),
        sites=(Site(id="s", name="S", area_id="n", operator_id="o", transformer_id="t"),),
        resources=tuple(
            Resource(
                id=f"r{row}",
                site_id="s",
                resource_class=ResourceClass.HVAC,
                adapter=Adapter.MQTT,
                address=address,
                p_min_kw=-3.0,
                p_max_kw=2.0,
            )
            for row, address in enumerate(addresses)
        ),
    )


def test_a_roster_grows_and_keeps_its_rows() -> None:
    roster = SiteDirectory()
    assert roster.assign(_fleet("a/1")) == [0]
    assert roster.assign(_fleet("a/1", "a/2", "b/1")) == [1, 2]
    assert (roster.rows("a"), roster.row("b", "1"), roster.span_kw(0)) == ([0, 1], 2, 3.0)


@pytest.mark.parametrize("address", ["mall", "mall/", "/ahu", "a+/b", "a/#", "a/b/c", "a b/c"])
def test_an_address_that_cannot_be_a_topic_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="address"):
        SiteDirectory().assign(_fleet(address))


def test_two_rows_at_one_address_are_refused() -> None:
    with pytest.raises(InputError, match="no other resource"):
        SiteDirectory().assign(_fleet("a/1", "a/1"))


def test_only_what_was_measured_after_the_loss_proves_a_return() -> None:
    roster = SiteDirectory()
    roster.assign(_fleet("a/1"))
    assert roster.came("a") == [0]
    assert not roster.proves_return("a", 10.0)
    roster.lost("a", 20.0)
    assert not roster.proves_return("a", 19.0), "a report that was still on its way"
    assert roster.proves_return("a", 21.0)


def test_a_status_from_before_the_broker_was_lost_tells_nothing_of_now() -> None:
    roster = SiteDirectory()
    roster.assign(_fleet("a/1"))
    assert not roster.predates_loss(10.0), "nothing has been lost yet"
    roster.lost_all(20.0)
    assert roster.predates_loss(20.0)
    assert not roster.predates_loss(21.0)
    assert not roster.predates_loss(None), "a gateway need not say when"


def test_topics_name_site_and_leaf() -> None:
    name = topic("mall", Leaf.OUTCOME)
    assert name == "vpp/v1/sites/mall/outcome"
    assert (site_of(name), leaf_of(name)) == ("mall", "outcome")
    assert split_address("mall/ahu-1") == ("mall", "ahu-1")


@pytest.mark.parametrize("url", ["", "localhost:1883", "http://x:1", "mqtt://", "mqtt://h:port", "mqtt://h:99999"])
def test_an_address_that_is_no_broker_is_a_matter_of_configuration(url: str) -> None:
    with pytest.raises(ConfigurationError, match="mqtt://host:port"):
        Broker.at(url)


def test_a_broker_address_may_carry_a_login_and_ask_for_tls() -> None:
    plain = Broker.at("mqtt://us%40er:p%3Ass@broker.example")
    assert (plain.host, plain.port, plain.username, plain.password) == ("broker.example", 1883, "us@er", "p:ss")
    assert plain.tls is None
    assert str(plain) == "broker.example:1883", "a log line never shows the password"
    secret = Broker.at("mqtts://broker.example")
    assert secret.port == 8883
    assert secret.tls is not None


class _World:
    """Notes what is applied; answers after ten seconds."""

    index = FleetIndex.empty()

    def __init__(self) -> None:
        self.applied: list[tuple[int, float]] = []
        self.latencies_s = [10.0] * 9

    def readings(self) -> DeviceReadings:
        """Never asked for by a gateway."""
        raise NotImplementedError

    def response(self, row: int) -> DeviceResponse:
        """Return the next latency."""
        del row
        return DeviceResponse(latency_s=self.latencies_s.pop(), refused=False, ignored=False)

    def apply(self, row: int, layer: Layer, power_kw: float, until_s: float) -> None:
        """Note it."""
        del layer, until_s
        self.applied.append((row, power_kw))

    def plug_events(self) -> list[PlugEvent]:
        """Never asked for by a gateway."""
        raise NotImplementedError


def _command(identity: int, *, epoch: int = 1, until_s: float = 1e6, device: str = "a") -> Command:
    return Command(
        id=identity, device=device, layer=Layer.DISPATCH, power_kw=float(identity), until_s=until_s, epoch=epoch
    )


async def _answers(gateway: Gateway, clock: VirtualClock, *commands: Command) -> list[object]:
    tasks = [asyncio.create_task(gateway.answer(command)) for command in commands]
    await asyncio.sleep(0)  # lets them fall asleep
    await clock.advance(clock.now_s() + 100.0)
    answers = await asyncio.gather(*tasks)
    return [answer and answer[1] for answer in answers]


@pytest.fixture
def world() -> _World:
    return _World()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(0.0)


@pytest.fixture
def gateway(world: _World, clock: VirtualClock) -> Gateway:
    return Gateway(rows={"a": 4}, world=world, clock=clock, received=Counter())


async def test_a_command_repeated_while_it_is_obeyed_is_applied_once(
    gateway: Gateway, world: _World, clock: VirtualClock
) -> None:
    await _answers(gateway, clock, _command(1), _command(1))
    assert world.applied == [(4, 1.0)]


async def test_a_slow_older_command_does_not_undo_a_newer_one(
    gateway: Gateway, world: _World, clock: VirtualClock
) -> None:
    world.latencies_s = [5.0, 20.0]
    assert await _answers(gateway, clock, _command(1), _command(2)) == ["superseded", None]
    assert world.applied == [(4, 2.0)]


async def test_a_lease_that_ends_before_the_device_answers_is_refused(
    gateway: Gateway, world: _World, clock: VirtualClock
) -> None:
    assert await _answers(gateway, clock, _command(1, until_s=5.0)) == ["expired"]
    assert world.applied == []


async def test_an_unknown_device_and_a_replaced_leader_are_refused(gateway: Gateway, clock: VirtualClock) -> None:
    assert await _answers(gateway, clock, _command(1, device="ghost")) == ["unsupported"]
    assert await _answers(gateway, clock, _command(2, epoch=9)) == [None]
    assert await _answers(gateway, clock, _command(3, epoch=8)) == ["stale_epoch"]


async def test_a_command_cut_short_is_obeyed_when_it_comes_again(
    gateway: Gateway, world: _World, clock: VirtualClock
) -> None:
    task = asyncio.create_task(gateway.answer(_command(1)))
    await asyncio.sleep(0)
    await clock.advance(1.0)
    task.cancel()
    await asyncio.wait((task,))
    assert await _answers(gateway, clock, _command(1)) == [None]
    assert world.applied == [(4, 1.0)]
