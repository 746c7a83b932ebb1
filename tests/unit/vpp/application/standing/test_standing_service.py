"""Standing commitments in the journal: entered once, ended once, forgotten in time, the same after a restart."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from tests.unit.vpp.planning.reserve.test_standing_hours import TERMS
from vpp.application.standing.standing_book import STANDING, StandingBook, commitment_body, commitment_of
from vpp.application.standing.standing_service import StandingService
from vpp.domain.errors import ConflictError, InputError, UnknownIdError
from vpp.domain.standing import StandingCommitment, StandingHours
from vpp.domain.timegrid import instant
from vpp.record.kinds import KINDS
from vpp.record.state_codec import decode_state, encode_state
from vpp.runtime.clock import VirtualClock

NOW_S = TERMS.from_at.timestamp() + 86_400.0
NIGHT = StandingHours(from_hour=22.0, until_hour=6.0, months=frozenset({7, 8}), day_types=frozenset({"workday"}))


@dataclass
class _Entries:
    bodies: list[dict[str, Any]] = field(default_factory=list)
    flushes: int = 0

    def append(self, kind: str, at_s: float, body: dict[str, Any]) -> int:
        del at_s
        assert kind == STANDING
        self.bodies.append(body)
        return len(self.bodies)

    async def flush(self) -> None:
        self.flushes += 1


class _Open:
    async def require(self) -> None:
        """Let everything pass."""

    async def made(self) -> None:
        """Have nobody vouch."""


def service(entries: _Entries, clock: VirtualClock | None = None, **changes: Any) -> StandingService:  # noqa: ANN401
    return StandingService(
        clock=clock or VirtualClock(NOW_S),
        journal=cast(Any, entries),
        gate=cast(Any, _Open()),
        areas=lambda: {"north"},
        **changes,
    )


async def test_a_key_enters_one_commitment_and_stands_for_its_terms_only() -> None:
    entries = _Entries()
    standing = service(entries)
    first, new = await standing.enter(TERMS, key="k", actor="alice")
    again, anew = await standing.enter(TERMS, key="k", actor="bob")
    assert (new, anew, again) == (True, False, first)
    assert len(entries.bodies) == 1
    assert entries.flushes == 2, "durable before the answer, also where it is repeated"
    with pytest.raises(ConflictError, match="'k' was used for standing commitment"):
        await standing.enter(replace(TERMS, power_kw=1.0), key="k", actor="alice")
    other, _ = await standing.enter(TERMS, key=None, actor="alice")
    assert other.id != first.id
    assert standing.all() == (first, other)


async def test_what_makes_no_sense_is_refused_by_name() -> None:
    standing = service(_Entries())
    with pytest.raises(UnknownIdError, match="south"):
        await standing.enter(replace(TERMS, area="south"), key=None, actor="alice")
    with pytest.raises(InputError, match="until_at"):
        await standing.enter(replace(TERMS, until_at=instant(NOW_S)), key=None, actor="alice")
    with pytest.raises(UnknownIdError, match="std-9"):
        standing.get("std-9")


async def test_a_commitment_is_ended_once_and_one_that_is_over_stays_as_it_is() -> None:
    entries, clock = _Entries(), VirtualClock(NOW_S)
    standing = service(entries, clock)
    entered, _ = await standing.enter(TERMS, key=None, actor="alice")
    assert entered.over_at is None
    ended = await standing.end(entered.id, actor="bob")
    assert ended.ended_at == instant(NOW_S)
    assert not ended.holds_at(instant(NOW_S))
    assert await standing.end(entered.id, actor="bob") == ended
    assert [body["act"] for body in entries.bodies] == ["entered", "ended"]


async def test_commitments_of_the_settings_are_known_and_not_ended_over_the_api() -> None:
    stated = StandingCommitment(id="noon", terms=TERMS, created_at=instant(0.0), actor="settings")
    standing = service(_Entries(), stated=(stated,))
    assert standing.get("noon") == stated
    with pytest.raises(ConflictError, match="VPP_STANDING_COMMITMENTS"):
        await standing.end("noon", actor="alice")


async def test_what_has_been_over_for_as_long_as_requests_are_kept_is_forgotten() -> None:
    entries, clock = _Entries(), VirtualClock(NOW_S)
    standing = service(entries, clock, keep_days=10.0)
    short, _ = await standing.enter(replace(TERMS, until_at=instant(NOW_S) + timedelta(days=1)), key="k", actor="a")
    kept, _ = await standing.enter(TERMS, key=None, actor="a")
    await clock.advance(NOW_S + 10.5 * 86_400.0)
    await standing.forget()
    assert len(standing.all()) == 2
    await clock.advance(NOW_S + 11.5 * 86_400.0)
    await standing.forget()
    assert standing.all() == (kept,)
    assert entries.bodies[-1] == {"act": "forgotten", "ids": [short.id]}
    third, _ = await standing.enter(TERMS, key=None, actor="a")
    assert third.id.endswith("-3"), "an id is never given twice"


async def test_a_restart_and_a_checkpoint_know_every_commitment() -> None:
    entries = _Entries()
    standing = service(entries)
    night = replace(TERMS, hours=(NIGHT,), call_cny_per_kwh=Decimal("0.1"), until_at=instant(NOW_S + 1e6))
    first, _ = await standing.enter(night, key="k", actor="alice")
    await standing.enter(TERMS, key=None, actor="alice")
    await standing.end(first.id, actor="alice")
    followed, loaded = StandingBook(), StandingBook()
    for body in entries.bodies:
        followed.follow(body)
    loaded.load(decode_state(encode_state(followed.state())))
    assert followed.all() == loaded.all() == standing.all()
    assert loaded.made == 2
    again = service(_Entries())
    again.resume(followed.state())
    assert again.all() == standing.all()


def test_a_body_says_everything_exactly() -> None:
    one = StandingCommitment(
        id="s", terms=replace(TERMS, hours=(NIGHT,)), created_at=instant(NOW_S), actor="a", key="k"
    )
    assert commitment_of(commitment_body(one)) == one
    assert KINDS[STANDING].owner == StandingBook.__module__
