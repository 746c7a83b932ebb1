"""A town whose windows are quoted every quarter of an hour for nobody: judged by meters, kept over a restart."""

import numpy as np
import pytest

from tests.story.test_service_of_a_quiet_town import Still, asked, connect, put_in_force, still
from vpp.application.requests.shadow_quotes import WINDOWS
from vpp.bootstrap.service import Service
from vpp.domain.errors import ConflictError
from vpp.domain.request import CITY, Direction, QuoteRecord
from vpp.domain.timegrid import floor_s
from vpp.fleet.scope import Scope
from vpp.record.state_codec import encode_state

__all__ = ["still"]


async def quarters(made: Still, count: int, *, power_kw: float = 3.0, turns: bool = True) -> None:
    """Let quarters of an hour pass, with a cycle every minute and a turn of the shadow quotes in each."""
    for _ in range(count):
        begin_s = floor_s(made.clock.now_s(), 900) + 900.0
        for minute in range(15):
            await made.clock.advance(begin_s + 60.0 * minute + 1.0)
            made.report(power_kw=power_kw, rows=12)
            await made.cycle()
            if minute == 4:
                put_in_force(made)
                if turns:
                    await made.service.requests.shadows.turn()


def up(made: Still, area: str = CITY, notice: str = "15min") -> QuoteRecord | None:
    """Return the record of cuts of an area at a notice, the block with most windows."""
    found = [
        one
        for one in made.service.plant.quote_calibration().records
        if (one.area, one.direction, one.notice) == (area, Direction.UP, notice)
    ]
    return max(found, key=lambda one: one.windows, default=None)


def up_ratio(made: Still) -> float:
    """Return the share of p10 that was kept at the shortest notice in the afternoon, all areas together."""
    return made.service.requests.shadows.book.tally.pooled(0, 2).ratio[0]


async def test_windows_are_judged_by_the_meters_once_they_are_over(still: Still) -> None:
    await quarters(still, 5)
    assert up(still) is None, "nothing is over yet"
    await quarters(still, 5)
    record = up(still)
    assert record is not None
    assert record.windows >= 3
    assert not record.learnt
    assert record.kept_ratio[0] > 0.7, "the cars went on as expected; the response rate falls, for nobody obeys here"
    assert up(still, notice="24h") is None


async def test_what_was_promised_and_is_not_there_is_not_kept(still: Still) -> None:
    await quarters(still, 4)
    await quarters(still, 5, power_kw=1.5)
    record = up(still, notice="1h")
    assert record is not None
    assert record.kept_ratio[0] < 0.5


async def test_a_quote_says_how_its_like_were_kept_and_what_makes_it_feasible(still: Still) -> None:
    await quarters(still, 10)
    made, _ = await still.service.plant.submit(asked(still, 0.5), key=None, actor="x")
    assert made.quote is not None
    assert made.quote.kept_windows > 0
    assert 0.0 <= made.quote.kept_ratio <= 1.0
    assert made.quote.certain_ratio == 0.0


async def test_windows_in_which_a_request_ran_are_left_out(still: Still) -> None:
    await quarters(still, 3)
    plant = still.service.plant
    request, _ = await plant.submit(asked(still, 0.5), key=None, actor="x")
    await plant.accept(request.id, offer=None, actor="x")
    before = up(still)
    await quarters(still, 8)
    after, left_out = up(still), plant.quote_calibration().left_out
    assert left_out["under_dispatch"] > 0
    assert (after.windows if after else 0) == (before.windows if before else 0)
    assert plant.quote_calibration(scope=Scope(areas=frozenset())).left_out == {}
    assert plant.quote_calibration(scope=Scope(areas=frozenset())).records == ()


async def test_the_turn_after_a_settlement_counts_the_request(still: Still) -> None:
    await quarters(still, 2)
    plant = still.service.plant
    request, _ = await plant.submit(asked(still, 0.5), key=None, actor="x")
    await plant.accept(request.id, offer=None, actor="x")
    await quarters(still, 5)
    await still.service.requests.settlement.settle_finished()
    book = still.service.requests.shadows.book
    windows = sum(kept.windows for _, _, kept in book.tally.rows())
    await still.service.requests.shadows.turn()
    await still.store.journal.flush()
    entries = list(still.store.journal.entries((WINDOWS,)))
    requests = [one for entry in entries for one in entry.body["requests"]]  # type: ignore[attr-defined]
    assert len(requests) == 1
    assert requests[0]["direction"] == "up"
    assert sum(kept.windows for _, _, kept in book.tally.rows()) == windows + 1


async def test_a_request_that_cannot_be_measured_any_more_stops_nothing(
    still: Still, monkeypatch: pytest.MonkeyPatch
) -> None:
    await quarters(still, 2)
    plant, shadows = still.service.plant, still.service.requests.shadows
    request, _ = await plant.submit(asked(still, 0.5), key=None, actor="x")
    await plant.accept(request.id, offer=None, actor="x")
    await quarters(still, 5)
    await still.service.requests.settlement.settle_finished()

    def pruned(_: str) -> None:
        raise ConflictError("its baseline was pruned from the journal")

    monkeypatch.setattr(shadows, "_performance", pruned)
    await shadows.turn()
    assert shadows.book.settled_s == still.service.plant.fleet().at_s


async def test_windows_of_a_fleet_that_grows_under_way_are_judged(still: Still) -> None:
    await quarters(still, 4)
    await connect(still, slice(12, 16))
    await quarters(still, 6)
    record = up(still)
    assert record is not None
    assert record.windows >= 4


async def test_a_restart_goes_on_from_the_same_book_and_windows_it_did_not_see_are_counted(still: Still) -> None:
    await quarters(still, 8)
    await still.store.journal.flush()
    again = Service(still.service.settings, still.store, still.clock, ())
    await again.open()
    before, after = still.service.requests.shadows.book, again.requests.shadows.book
    assert encode_state(after.state()) == encode_state(before.state())
    assert up(still) is not None
    still.service, before_restart = again, still.service
    await before_restart.close()
    still.report(power_kw=3.0, rows=12)
    await still.cycle()
    await quarters(still, 6)
    assert again.requests.shadows.book.left_out["not_seen"] > 0


async def test_the_share_that_was_kept_is_a_metric_once_enough_windows_are_known(
    still: Still, monkeypatch: pytest.MonkeyPatch
) -> None:
    await quarters(still, 6)
    names = {"notice": "15min", "block": "12-18"}
    assert np.isnan(still.value("vpp_quote_kept_ratio", **names) or np.nan)
    monkeypatch.setattr("vpp.application.requests.shadow_quotes._LEAST_SHOWN", 1)
    still.service.requests.shadows.show()
    assert still.value("vpp_quote_kept_ratio", **names) == pytest.approx(up_ratio(still))
