"""Replay over forgotten requests, deleted samples and pruned entries: what cannot be decided again is no difference.

On virtual time, a small town with four requests a day and a retention of a day.
"""

import pytest
import sqlalchemy as sa

from tests.story import test_delivery_is_released as delivery
from tests.story import test_requests_are_forgotten as forgetting
from tests.story import test_service_of_a_quiet_town as town
from tests.story.test_requests_are_forgotten import Began, begin
from tests.story.test_service_of_a_quiet_town import Still
from vpp.application.cycle_record import schedule_body
from vpp.application.loops.slow_loop import PLAN
from vpp.bootstrap.replay import Replay, Verdict
from vpp.bootstrap.store import Store
from vpp.dispatch.requests.forgotten import FORGOTTEN
from vpp.record.entry import JournalEntry
from vpp.storage.sql import telemetry_frames

__all__ = ["begin"]


@pytest.fixture(autouse=True)
def _plans_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let plans of the stories be in the journal, as those of a slow loop are."""
    put = town.put_in_force

    def put_on_record(made: Still) -> None:
        put(made)
        schedule = made.service.plans.schedule
        assert schedule is not None
        made.store.journal.append(PLAN, made.clock.now_s(), schedule_body(schedule))

    for module in (town, forgetting, delivery):
        monkeypatch.setattr(module, "put_in_force", put_on_record)


def replayed(made: Still, *, last: bool = False) -> Verdict:
    """Return what a replay finds in the database of a service that has ended."""
    settings = made.service.settings
    store = Store.open(str(made.store.database.url))
    verdict = Replay(settings, store, last=last).run()
    store.close()
    return verdict


def entries(made: Still, *kinds: str) -> list[JournalEntry]:
    store = Store.open(str(made.store.database.url))
    found = list(store.journal.entries(kinds))
    store.close()
    return found


async def two_runs(begin: Began, **settings: float) -> Still:
    """Let a service live for three days, and again for one day."""
    made = await begin(request_days=1.0, **settings)
    for _ in range(3):
        await forgetting.a_day(made)
    await forgetting.ended(made)
    made = await begin(request_days=1.0, **settings)
    await forgetting.a_day(made)
    await made.store.journal.flush()
    await made.store.samples.flush()
    return made


async def test_a_replay_goes_over_forgotten_requests_without_a_difference(begin: Began) -> None:
    made = await two_runs(begin)
    cycles = entries(made, "cycle")
    assert len(entries(made, FORGOTTEN)) >= 2
    whole, last = replayed(made), replayed(made, last=True)
    assert (whole.differences, whole.undecided, whole.cycles) == ([], {}, len(cycles))
    started = entries(made, "service.started")[-1]
    assert (last.differences, last.undecided) == ([], {})
    assert last.cycles == sum(entry.sequence > started.sequence for entry in cycles)
    assert whole.setpoints > last.setpoints > 0


async def test_cycles_whose_samples_were_deleted_are_no_differences(begin: Began) -> None:
    made = await two_runs(begin)
    cycles = entries(made, "cycle")
    second = entries(made, "service.started")[-1]
    kept_from_s = cycles[len(cycles) // 3].at_s
    store = Store.open(str(made.store.database.url))
    with store.database.begin() as connection:
        connection.execute(sa.delete(telemetry_frames).where(telemetry_frames.c.at_s < kept_from_s))
    store.close()
    whole = replayed(made)
    assert whole.differences == []
    assert whole.cycles == sum(entry.sequence > second.sequence for entry in cycles)
    ((why, count),) = whole.undecided.items()
    assert "VPP_FRAME_DAYS" in why
    assert count == len(cycles) - whole.cycles
    assert "cannot be decided again" in whole.text()


async def test_samples_that_are_missing_in_between_are_a_difference(begin: Began) -> None:
    made = await two_runs(begin)
    middle_s = entries(made, "cycle")[10].at_s
    store = Store.open(str(made.store.database.url))
    with store.database.begin() as connection:
        connection.execute(sa.delete(telemetry_frames).where(telemetry_frames.c.at_s == middle_s))
    store.close()
    assert any("samples are missing" in one for one in replayed(made).differences)


async def test_runs_whose_beginning_was_pruned_are_named_and_the_last_is_decided_again(begin: Began) -> None:
    made = await two_runs(begin, record_keep_days=1.5)
    first = entries(made)[0].sequence
    assert first > 1
    whole = replayed(made)
    assert whole.differences == []
    assert whole.cycles > 0
    assert whole.cycles + sum(whole.undecided.values()) == len(entries(made, "cycle")), "each is decided, or named"
    assert whole.undecided
    assert all("pruned" in why or "began before entry" in why for why in whole.undecided)
    last = replayed(made, last=True)
    assert last.differences == []
    assert last.cycles + sum(last.undecided.values()) > 0
