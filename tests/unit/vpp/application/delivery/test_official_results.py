"""Official results in the journal: once each, every correction a version, the same after a restart."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import pytest

from vpp.application.delivery import official_results
from vpp.application.delivery.official_results import OFFICIAL, OfficialResults, digest_of, official_body, official_of
from vpp.application.recovery.delivery_memory import DeliveryMemory
from vpp.domain.errors import ConflictError
from vpp.domain.official_settlement import OfficialLine
from vpp.domain.performance import Settled, Shares
from vpp.record.entry import JournalEntry
from vpp.record.kinds import KINDS
from vpp.runtime.clock import VirtualClock

LINES = (
    OfficialLine(operator_id="op-1", site_id="mall", energy_kwh=Decimal("1.50"), amount_cny=Decimal("4.5")),
    OfficialLine(operator_id="op-1", start_at=datetime(2026, 7, 15, 6, tzinfo=UTC), energy_kwh=Decimal("0.25")),
)


@dataclass
class _Entries:
    kept: list[JournalEntry] = field(default_factory=list)
    flushes: int = 0

    def append(self, kind: str, at_s: float, body: dict[str, object]) -> int:
        self.kept.append(JournalEntry(sequence=len(self.kept) + 1, kind=kind, at_s=at_s, body=body, sha256=""))
        return len(self.kept)

    async def flush(self) -> None:
        self.flushes += 1


class _OneSettled:
    def settled(self) -> list[Settled]:
        return [Settled(request_id="r1", at_s=0.0, shares=Shares())]


def results(entries: _Entries) -> OfficialResults:
    journal, settlement = cast(Any, entries), cast(Any, _OneSettled())
    return OfficialResults(clock=VirtualClock(100.0), journal=journal, settlement=settlement)


async def test_the_same_result_is_one_version_and_a_correction_another() -> None:
    entries = _Entries()
    taken = results(entries)
    first, new = await taken.take("r1", source="grid", lines=LINES)
    again, anew = await taken.take("r1", source="grid", lines=LINES)
    assert (new, anew, again) == (True, False, first)
    corrected, _ = await taken.take("r1", source="grid", lines=LINES[:1])
    assert (first.version, corrected.version) == (1, 2)
    assert [entry.kind for entry in entries.kept] == [OFFICIAL, OFFICIAL]
    assert entries.flushes == 3, "durable before the answer, also where it is repeated"


async def test_what_is_not_settled_has_no_official_result() -> None:
    with pytest.raises(ConflictError, match="r9 is not settled"):
        await results(_Entries()).take("r9", source="grid", lines=LINES)


async def test_a_restart_and_a_checkpoint_know_every_version() -> None:
    entries = _Entries()
    taken = results(entries)
    await taken.take("r1", source="grid", lines=LINES)
    await taken.take("r1", source="grid", lines=LINES[:1])
    followed, loaded = DeliveryMemory(), DeliveryMemory()
    for entry in entries.kept:
        followed.follow(entry)
    loaded.load(followed.state())
    assert loaded.officials == followed.officials
    assert [result.version for result in loaded.officials["r1"]] == [1, 2]
    assert loaded.officials["r1"][0].lines == LINES
    resumed = results(entries)
    resumed.resume(loaded.officials)
    _, new = await resumed.take("r1", source="grid", lines=LINES[:1])
    assert not new


def test_a_checkpoint_of_before_knows_none() -> None:
    state = DeliveryMemory().state()
    del state["officials"]
    memory = DeliveryMemory()
    memory.load(state)
    assert memory.officials == {}


async def test_a_long_result_is_hashed_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []

    def hashed(source: str, lines: Sequence[OfficialLine]) -> str:
        threads.append(threading.current_thread())
        return digest_of(source, lines)

    monkeypatch.setattr(official_results, "digest_of", hashed)
    await results(_Entries()).take("r1", source="grid", lines=LINES)
    assert threads != [threading.current_thread()]


def test_numbers_written_otherwise_are_the_same_result() -> None:
    other = OfficialLine(operator_id="op-1", site_id="mall", energy_kwh=Decimal("1.5"), amount_cny=Decimal("4.50"))
    assert digest_of("grid", [other]) == digest_of("grid", LINES[:1])
    assert digest_of("grid", [other]) != digest_of("other", [other])


async def test_an_older_service_may_pass_the_entry_over() -> None:
    result, _ = await results(_Entries()).take("r1", source="grid", lines=LINES)
    body = official_body(result)
    assert body["passable"] is True
    assert official_of(result.at_s, body) == result
    assert KINDS[OFFICIAL].owner == "vpp.application.delivery.official_results"
