"""A month of calls with a retention: what is kept of requests in memory and database levels off.

On virtual time, a small town with four requests a day, of which one is delivered and settled; a turn of the record's
upkeep a day.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from tests.story.test_delivery_is_released import called
from tests.story.test_service_of_a_quiet_town import Still, asked, connect, put_in_force
from tests.story.town import BEGIN_S
from vpp.application.delivery.event_days import event_days
from vpp.application.recovery.folded_state import FoldedState
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.domain.errors import ForgottenError, InputError, StorageError, UnknownIdError
from vpp.domain.request import Direction, NoticeClass, RequestState
from vpp.domain.units import SECONDS_PER_DAY
from vpp.fleet.calendar import local_day
from vpp.record.state_codec import encode_state
from vpp.runtime.clock import VirtualClock
from vpp.storage.sql import metadata

KEPT_DAYS = 3.0
Began = Callable[..., Awaitable[Still]]


@dataclass(slots=True)
class Sizes:
    """What was kept, day by day."""

    requests: list[int] = field(default_factory=list)
    state_bytes: list[int] = field(default_factory=list)
    checkpoint_bytes: list[int] = field(default_factory=list)
    remembered: list[int] = field(default_factory=list)
    rows: dict[str, list[int]] = field(default_factory=dict)

    def note(self, made: Still) -> None:
        """Note a day."""
        self.requests.append(len(made.service.plant.requests()))
        self.state_bytes.append(len(encode_state(folded(made).state())))
        self.checkpoint_bytes.append(max(len(one.body) for one in made.store.checkpoints.newest()))
        self.remembered.append(remembered(made))
        for name, count in rows(made).items():
            self.rows.setdefault(name, []).append(count)


def rows(made: Still) -> Mapping[str, int]:
    """Return the number of rows of every table."""
    with made.store.database.connect() as connection:
        return {
            table.name: int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
            for table in metadata.sorted_tables
        }


def folded(made: Still) -> FoldedState:
    """Return the state of all entries that are kept, from the newest checkpoint on."""
    checkpointer = made.service._checkpointer
    assert checkpointer is not None
    return checkpointer._again().state


def remembered(made: Still) -> int:
    """Return how many things the running service keeps by request."""
    parts, engine = made.service.requests, made.service.core.engine
    past, portfolio = parts.measurement._past, engine.regulation.portfolio
    return sum(
        map(
            len,
            (
                engine.book._register._requests,
                engine.book._register._asked,
                engine.book._register._acts,
                engine._requests._memories,
                engine._requests._numbers,
                [name for name in engine.outbox.sources if name],
                portfolio._signals._lines,
                portfolio._history,
                portfolio._last,
                parts.announcements._published,
                parts.measurement._used_s,
                past.baselines,
                past.cycles,
                past.minutes,
                past.session_means,
                parts.measurement.sessions.entries,
                parts.settlement._performances,
                parts.settlement._issued,
            ),
        )
    )


@pytest.fixture
async def begin(tmp_path: Path) -> AsyncIterator[Began]:
    """Return what begins a service of the town with some settings on the database there is."""
    begun: list[Still] = []

    async def town(**settings: float) -> Still:
        at_s = begun[-1].clock.now_s() if begun else BEGIN_S
        store = Store.open(f"sqlite:///{tmp_path / 'vpp.sqlite3'}")
        given = Settings.load(data_dir=tmp_path, rebound_watch_minutes=5.0, **settings)
        clock = VirtualClock(at_s)
        made = Still(clock=clock, store=store, service=Service(given, store, clock, ()))
        await made.service.open()
        if not len(made.service.plant.fleet().index):
            await connect(made, slice(12))
        made.report(power_kw=3.0, rows=12)
        await made.cycle()
        begun.append(made)
        return made

    yield town
    await ended(begun[-1])


async def ended(made: Still) -> None:
    """Stop a service cleanly."""
    await made.service.close()
    made.store.close()


async def refused(made: Still) -> list[str]:
    """Ask for what is declined, cancelled, or cannot be met; return the ids."""
    put_in_force(made)
    plant = made.service.plant
    ids = []
    for number, target_kw in enumerate((0.5, 0.5, 5000.0)):
        request, _ = await plant.submit(asked(made, target_kw), key=f"{made.clock.now_s():.0f} {number}", actor="x")
        ids.append(request.id)
    await plant.decline(ids[0], actor="x", reason="too dear", key=f"no {ids[0]}")
    await plant.cancel(ids[1], actor="x", reason="not now", key=f"stop {ids[1]}")
    return ids


async def a_day(made: Still) -> str:
    """Let a day with four requests and the upkeep of the record pass; return the id of the one that was delivered."""
    begin_s = made.clock.now_s()
    await refused(made)
    request_id = await called(made)
    await made.clock.advance(begin_s + SECONDS_PER_DAY)
    made.report(power_kw=3.0, rows=12)
    await made.cycle()
    await made.service.requests.settlement.settle_finished()
    await made.store.meters.flush()
    assert await made.service.keeping.turn()
    return request_id


async def test_a_month_with_a_retention_levels_off(begin: Began) -> None:
    made = await begin(request_days=KEPT_DAYS, record_keep_days=KEPT_DAYS, frame_days=KEPT_DAYS)
    sizes = Sizes()
    for _ in range(30):
        await a_day(made)
        sizes.note(made)
    assert max(sizes.requests) <= 4 * (KEPT_DAYS + 1)
    assert sizes.requests[-1] == sizes.requests[-10]
    assert made.value("vpp_requests_kept") == pytest.approx(sizes.requests[-1], abs=4.0)
    assert max(sizes.remembered[15:]) <= max(sizes.remembered[:15])
    for name in ("journal", "archived_segments", "checkpoints", "subjects", "torn_entries"):
        assert max(sizes.rows[name][15:]) <= max(sizes.rows[name][:15]), name
    # Ids and event days of what was forgotten; a request that is kept takes a hundred times as much.
    for kept_bytes in (sizes.state_bytes, sizes.checkpoint_bytes):
        assert max(kept_bytes[20:]) - max(kept_bytes[10:20]) < 10 * 4 * 30


async def test_without_a_retention_everything_grows(begin: Began) -> None:
    made = await begin()
    sizes = Sizes()
    for _ in range(6):
        await a_day(made)
        sizes.note(made)
    assert sizes.requests == [4, 8, 12, 16, 20, 24]
    for kept in (sizes.remembered, sizes.state_bytes, sizes.checkpoint_bytes):
        assert all(later > earlier for earlier, later in pairwise(kept))


async def test_what_is_forgotten_is_forgotten_everywhere_and_its_days_stay_event_days(begin: Began) -> None:
    made = await begin(request_days=KEPT_DAYS)
    first_key = f"{made.clock.now_s():.0f} 0"
    first_day, draft = local_day(made.clock.now_s()), asked(made, 0.5)
    first = await a_day(made)
    performance = made.service.plant.performance(first)
    assert performance is not None
    ids = [request.id for request in made.service.plant.requests()]
    for _ in range(4):
        await a_day(made)
    made = await restarted_alike(made, begin)

    plant, parts = made.service.plant, made.service.requests
    kept = [request.id for request in plant.requests()]
    assert not set(ids) & set(kept)
    for request_id in ids:
        with pytest.raises(ForgottenError, match=r"was forgotten at .*vpp audit request"):
            plant.request(request_id)
        with pytest.raises(ForgottenError):
            plant.official(request_id, None)
    with pytest.raises(UnknownIdError, match="not known"):
        plant.request("req-1-1")
    book, later = made.service.core.engine.book, plant.requests()[0]
    assert first_day in event_days(book, parts.measurement.forgotten, later)
    assert parts.settlement.verified("city", Direction.UP).kw >= performance.delivered_mean_kw
    assert first not in [one.request_id for one in plant.settlements()]

    put_in_force(made)
    again, created = await plant.submit(asked(made, 0.6), key=first_key, actor="x")
    assert created, "the key was forgotten with its request"
    assert again.draft != draft
    numbers = [int(request_id.rpartition("-")[2]) for request_id in (*ids, *kept)]
    assert int(again.id.rpartition("-")[2]) > max(numbers)


async def restarted_alike(made: Still, begin: Began) -> Still:
    """Stop and start a service; what it knows of requests is what was known before, and what all entries say."""
    await ended(made)
    known = made.service.core.engine.book._register.state()
    again = await begin(request_days=KEPT_DAYS)
    assert again.service.core.engine.book._register.state() == known
    whole = FoldedState(lambda: again.service.core.engine.index, again.service.core.engine.settings)
    whole.follow(again.store.journal.entries())
    assert encode_state(folded(again).state()) == encode_state(whole.state())
    assert encode_state(whole.delivery.state()["forgotten"]) == encode_state(
        again.service.requests.measurement.forgotten.body()
    )
    return again


async def test_a_retention_that_fails_holds_up_no_checkpoint(begin: Began, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await begin(request_days=KEPT_DAYS)

    def full(before_s: float) -> int:
        raise StorageError(f"no space to delete what is before {before_s:.0f}")

    monkeypatch.setattr(made.store.meters, "forget", full)
    before = made.store.checkpoints.sequences()
    assert not await made.service.keeping.turn()
    assert made.store.checkpoints.sequences() > before
    monkeypatch.undo()
    assert await made.service.keeping.turn()


async def test_what_runs_or_is_not_settled_is_kept(begin: Began) -> None:
    made = await begin(request_days=0.01)
    put_in_force(made)
    plant = made.service.plant
    declined, _ = await plant.submit(asked(made, 0.5), key=None, actor="x")
    await plant.decline(declined.id, actor="x", reason="")
    request, _ = await plant.submit(asked(made, 0.5), key=None, actor="x")
    await plant.accept(request.id, offer=None, actor="x")
    for at_s in np.arange(request.draft.start_at.timestamp(), request.draft.end_at.timestamp() + 3600.0, 300.0):
        await made.clock.advance(float(at_s) + 1.0)
        made.report(power_kw=3.0, rows=12)
        await made.cycle()
        assert await made.service.keeping.turn()
        assert plant.request(request.id)
    assert [kept.id for kept in plant.requests()] == [request.id]
    assert plant.request(request.id).state is RequestState.COMPLETED
    await made.service.requests.settlement.settle_finished()
    assert plant.request(request.id).state is RequestState.SETTLED
    await made.service.keeping.turn()
    assert plant.request(request.id), "it was settled just now"
    await made.clock.advance(made.clock.now_s() + 0.02 * SECONDS_PER_DAY)
    made.report(power_kw=3.0, rows=12)
    await made.cycle()
    await made.service.keeping.turn()
    with pytest.raises(ForgottenError):
        plant.request(request.id)
    assert made.service.core.engine.book.running(made.clock.now_s()) == ()


async def test_of_what_is_refused_nothing_is_kept(begin: Began) -> None:
    made = await begin()
    put_in_force(made)
    plant, draft = made.service.plant, asked(made, 0.5)
    await made.store.journal.flush()
    before, head = remembered(made), made.store.journal.sequence
    wrong = (
        replace(draft, target_kw=0.0),
        replace(draft, area="atlantis"),
        replace(draft, end_at=draft.start_at),
        replace(draft, notice_class=NoticeClass.DAY_AHEAD),
    )
    for number in range(100):
        for one in wrong:
            with pytest.raises((InputError, UnknownIdError)):
                await plant.submit(one, key=f"key {number}", actor="x")
    assert plant.requests() == ()
    assert (remembered(made), made.store.journal.sequence, made.store.journal.pending) == (before, head, 0)
