"""A settlement that fails is named and tried again, and keeps no other from being made."""

from collections.abc import Awaitable, Callable, Mapping

import pytest

from vpp.application.delivery.settlement_runs import FAILED, SettlementRuns
from vpp.bus.event_stream import EventStream
from vpp.domain.errors import AuditError, InputError

NOW_S = 1_784_088_000.0


class _Journal:
    def __init__(self) -> None:
        self.kinds: list[str] = []

    def append(self, kind: str, at_s: float, body: Mapping[str, object]) -> None:
        del at_s, body
        self.kinds.append(kind)


def _step(done: list[str], name: str, fault: Exception | None = None) -> Callable[[], Awaitable[None]]:
    async def settle() -> None:
        if fault is not None:
            raise fault
        done.append(name)

    return settle


async def _attempt_all(clearing: SettlementRuns, faults: Mapping[str, Exception | None], now_s: float) -> list[str]:
    done: list[str] = []
    for name, fault in faults.items():
        await clearing.attempt(name, _step(done, name, fault), now_s)
    return done


@pytest.mark.parametrize("fault", [InputError("notice_s", 1.0, "an earlier one"), ValueError("shapes"), KeyError("r")])
async def test_one_request_that_cannot_be_settled_stops_no_other(fault: Exception) -> None:
    journal, news = _Journal(), EventStream()
    clearing = SettlementRuns(journal, news)  # type: ignore[arg-type]  # it only appends

    done = await _attempt_all(clearing, {"a": None, "b": fault, "c": None}, NOW_S)

    assert done == ["a", "c"]
    assert list(clearing.failed) == ["b"]
    assert clearing.failed["b"].cause == str(fault)
    assert journal.kinds == [FAILED]


async def test_it_is_tried_again_after_a_quarter_of_an_hour_and_cleared_when_it_works() -> None:
    journal, news = _Journal(), EventStream()
    clearing = SettlementRuns(journal, news)  # type: ignore[arg-type]  # it only appends
    fault = ValueError("not metered")
    await _attempt_all(clearing, {"a": fault}, NOW_S)

    assert await _attempt_all(clearing, {"a": None}, NOW_S + 10.0) == [], "not at once"
    await _attempt_all(clearing, {"a": fault}, NOW_S + 900.0)
    assert clearing.failed["a"].since_s == NOW_S
    assert clearing.failed["a"].tried_s == NOW_S + 900.0
    assert journal.kinds == [FAILED], "the same cause is written once"

    assert await _attempt_all(clearing, {"a": None}, NOW_S + 1800.0) == ["a"]
    assert not clearing.failed


async def test_a_broken_journal_still_stops_the_loop() -> None:
    clearing = SettlementRuns(_Journal(), EventStream())  # type: ignore[arg-type]  # it only appends
    with pytest.raises(AuditError):
        await clearing.attempt("a", _step([], "a", AuditError("chain")), NOW_S)
