"""The rules of the bus, one part at a time: sessions, admission, what is outstanding, who owns what, what goes up."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.bus_parts import orders
from vpp.bus.device_sessions import NOBODY, HeldSessions, SessionRegistry
from vpp.bus.gateway.command_fencing import CommandFencing
from vpp.bus.gateway.membership import Beat, Membership, mark, owned_by, owner
from vpp.bus.gateway.uplink import Uplink
from vpp.bus.leader.in_flight import InFlight, Legs
from vpp.bus.messages.codec import Kind, decode
from vpp.bus.messages.frames import ClaimBatch, telemetry_of
from vpp.domain.session import SessionEnded
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.runtime.clock import SYSTEM_CLOCK


def claims(*table: tuple[int, int, int]) -> ClaimBatch:
    rows, sessions, up = (np.array(column) for column in zip(*table, strict=True))
    return ClaimBatch(
        rows=rows.astype(np.int32),
        sessions=sessions.astype(np.int64),
        up=up.astype(np.uint8),
        at_s=np.zeros(len(rows)),
    )


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int32)


def test_an_end_counts_only_for_the_very_session_it_belongs_to() -> None:
    registry = SessionRegistry()
    registry.resize(3)
    assert registry.take(0, claims((0, 10, 1), (1, 11, 1))).counts.tolist() == [True, True]
    assert registry.take(1, claims((0, 20, 1))).counts.tolist() == [True]
    assert registry.take(0, claims((0, 10, 0))).counts.tolist() == [False], "a late close"
    assert registry.take(0, claims((0, 10, 1))).counts.tolist() == [False], "an old session that is told of late"
    assert registry.gateways(rows(0, 1, 2)).tolist() == [1, 0, NOBODY]
    assert registry.take(1, claims((0, 20, 0))).counts.tolist() == [True]
    assert registry.take(1, claims((0, 20, 1))).counts.tolist() == [True], (
        "the same session, told again after a silence"
    )
    assert registry.lose(1).tolist() == [0]
    assert registry.take(0, claims((7, 99, 1))).counts.tolist() == [False], "a row beyond the fleet"


def test_of_several_claims_for_one_row_the_last_counts() -> None:
    registry = SessionRegistry()
    registry.resize(1)
    assert registry.take(0, claims((0, 10, 1), (0, 10, 0), (0, 11, 1))).counts.tolist() == [False, False, True]
    assert registry.held(0).tolist() == [0]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.booleans()), max_size=40))
def test_whatever_comes_in_whatever_order_a_row_is_at_the_gateway_of_its_newest_session(
    told: list[tuple[int, int, bool]],
) -> None:
    registry = SessionRegistry()
    registry.resize(4)
    newest: dict[int, tuple[int, int]] = {}
    for number, (gateway, row, late) in enumerate(told):
        session = 5 if late else 100 + number
        registry.take(gateway, claims((row, session, 1)))
        if row not in newest or session > newest[row][0]:
            newest[row] = (session, gateway)
    for row, (session, gateway) in newest.items():
        if session > 5:
            assert registry.gateways(rows(row)).tolist() == [gateway]


def test_sessions_of_a_gateway_are_numbered_upwards_and_never_as_anothers() -> None:
    one, other = HeldSessions("g1"), HeldSessions("g2")
    for held in (one, other):
        held.resize(2)
    up, down, at_s = np.array([True]), np.array([False]), np.zeros(1)
    first = one.note(rows(0), up, at_s, 1000.0).sessions[0]
    assert one.note(rows(0), up, at_s, 1001.0).sessions[0] == first, "still the same session"
    one.note(rows(0), down, at_s, 1002.0)
    assert one.note(rows(0), up, at_s, 1000.0).sessions[0] > first, "even if the clock went back"
    assert other.note(rows(0), up, at_s, 1000.0).sessions[0] != first
    assert len(one.note(rows(1), down, at_s, 1000.0)) == 0, "nobody's news"


def test_instructions_are_admitted_once_in_order_of_the_leader_and_in_time() -> None:
    admission = CommandFencing()
    admission.resize(3)
    going, ended = admission.judge(1, orders([10, 11], [0, 1], epoch=2), SYSTEM_CLOCK.now_s())
    assert (going.ids.tolist(), len(ended)) == ([10, 11], 0)
    for sequence in (1, 9):
        going, ended = admission.judge(sequence, orders([10, 11], [0, 1], epoch=2), SYSTEM_CLOCK.now_s())
        assert (len(going), len(ended)) == (0, 0), "a repetition is dropped without a word"
    going, ended = admission.judge(3, orders([9, 12], [0, 0], epoch=2), SYSTEM_CLOCK.now_s())
    assert (going.ids.tolist(), ended.ids.tolist()) == ([12], [9]), "an overtaken one is refused"
    assert ended.reasons.tolist() == [Reason.EXPIRED]
    going, ended = admission.judge(4, orders([13], [0], epoch=2, lease_s=-1.0), SYSTEM_CLOCK.now_s())
    assert (len(going), ended.reasons.tolist()) == (0, [Reason.EXPIRED]), "its lease has ended"
    going, _ = admission.judge(5, orders([7], [0], epoch=2, layer=Layer.DEFAULT), SYSTEM_CLOCK.now_s())
    assert going.ids.tolist() == [7], "the layers do not overtake one another"
    going, ended = admission.judge(6, orders([20], [5], epoch=2), SYSTEM_CLOCK.now_s())
    assert ended.status.tolist() == [OutcomeStatus.UNREACHABLE], "a row we do not know"
    going, ended = admission.judge(7, orders([21], [0], epoch=1), SYSTEM_CLOCK.now_s())
    assert (len(going), ended.reasons.tolist(), admission.stale) == (0, [Reason.EXPIRED], 1)


def test_every_instruction_ends_once() -> None:
    outstanding = InFlight()
    outstanding.add(orders([1, 2, 3], [0, 1, 2]), gateway=0, sent_s=0.0, deadline_s=10.0)
    outstanding.add(orders([4, 5], [0, 1]), gateway=1, sent_s=0.0, deadline_s=20.0)
    known, touched = outstanding.settle(np.array([5, 2, 2, 99, 1]))
    assert known.tolist() == [True, True, False, False, True]
    assert [(d.gateway, places.tolist()) for d, places, _ in touched] == [(0, [1, 0]), (1, [1])]
    assert outstanding.settle(np.array([2]))[0].tolist() == [False]
    assert [batch.ids.tolist() for batch in outstanding.overdue(10.0)] == [[3]]
    assert [batch.ids.tolist() for batch in outstanding.of_gateway(1)] == [[4]]
    assert len(outstanding) == 0


def test_legs_are_counted_without_those_that_are_not_known() -> None:
    legs = Legs()
    legs.note("deliver", np.array([1.0, np.nan, 3.0]))
    assert legs.report() == {"deliver": {"count": 2.0, "p50_s": 2.0, "p99_s": 2.98, "max_s": 3.0}}


def test_a_gateway_that_comes_or_goes_moves_only_its_own_share() -> None:
    places = [f"10.0.{i // 250}.{i % 250}:502" for i in range(3000)]
    before = {place: owner(place, ("g1", "g2", "g3")) for place in places}
    after = {place: owner(place, ("g1", "g3")) for place in places}
    assert all(after[place] == name for place, name in before.items() if name != "g2")
    counts = np.unique(list(before.values()), return_counts=True)[1]
    assert counts.min() > 850
    assert owner("x", ()) is None
    assert not any(owned_by("g1", ("g1",), ())(place) for place in places), "owned under every membership"


def test_a_membership_is_agreed_when_all_announce_it_and_ends_with_the_own_echo() -> None:
    members = Membership("g1", 1, lost_wall_s=4.0)

    def beat(name: str, announced: tuple[str, ...]) -> Beat:
        return Beat(gateway=name, incarnation=1, members=mark(announced), leaving=False)

    assert members.live(0.0) == ()
    members.hear(beat("g1", ("g1", "g2")), 0.0)
    members.hear(beat("g2", ("g2",)), 0.0)
    assert members.live(1.0) == ("g1", "g2")
    assert not members.agreed(1.0)
    members.hear(beat("g2", ("g1", "g2")), 1.0)
    assert members.agreed(1.0)
    assert members.live(3.5) == (), "our own heartbeat has not come back: the lease has run out"
    members.hear(beat("g1", ("g1", "g2")), 5.0)
    assert members.live(5.1) == ("g1",), "the other is silent"
    assert members.hear(Beat(gateway="g1", incarnation=2, members=0, leaving=False), 5.2)


def uplink(*, most: int = 1000) -> Uplink:
    made = Uplink(HeldSessions("g1"), SYSTEM_CLOCK, most_samples=most)
    made.resize(10)
    return made


def power(row: int, value: float) -> TelemetryBatch:
    return TelemetryBatch.of([(row, Quantity.POWER_KW, value, 1.0)])


async def test_news_of_a_car_keep_their_place_among_the_samples_of_its_row() -> None:
    up = uplink()
    up.telemetry(power(1, 1.0))
    up.session(SessionEnded(session_id="a", row=1, at_s=1.0, meter_kwh=1.0))
    up.telemetry(power(2, 2.0))
    up.telemetry(power(1, 3.0))
    frames = [decode(frame) for frame in up.take()]
    assert [frame.kind for frame in frames] == [Kind.TELEMETRY, Kind.CARS, Kind.TELEMETRY]
    assert telemetry_of(frames[0]).values.tolist() == [1.0, 2.0], "another row's need not wait"
    assert telemetry_of(frames[2]).values.tolist() == [3.0]
    assert up.take() == []
    assert not up.work.is_set()


async def test_what_waits_too_long_gives_way_to_what_is_newer_but_never_what_is_precious() -> None:
    up = uplink(most=3)
    up.session(SessionEnded(session_id="a", row=1, at_s=1.0, meter_kwh=1.0))
    for number in range(6):
        up.telemetry(power(2, float(number)))
    frames = [decode(frame) for frame in up.take()]
    assert [frame.kind for frame in frames] == [Kind.TELEMETRY, Kind.CARS, Kind.REJECTED]
    assert telemetry_of(frames[0]).values.tolist() == [3.0, 4.0, 5.0]
    assert frames[2].array("count").tolist() == [3]


async def test_a_long_queue_leaves_in_messages_of_bounded_length() -> None:
    up = uplink(most=10**6)
    up.resize(200_000)
    many = np.arange(150_000, dtype=np.int32)
    up.telemetry(
        TelemetryBatch(
            rows=many,
            quantities=np.zeros(len(many), dtype=np.uint8),
            values=many.astype(np.float64),
            at_s=np.ones(len(many)),
        )
    )
    heard: list[int] = []
    while frames := up.take():
        assert sum(len(frame) + 4 for frame in frames) < 1_000_000
        heard += [row for frame in frames for row in telemetry_of(decode(frame)).rows.tolist()]
    assert heard == many.tolist()
