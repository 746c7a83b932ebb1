"""A baseline is frozen once, however many callers wait for it, and only ever lengthened."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vpp.application.delivery import baseline_freezing as module
from vpp.application.delivery.baseline_freezing import BASELINE, BaselineFreezing
from vpp.domain.errors import ConflictError
from vpp.domain.request import RequestState
from vpp.runtime.clock import VirtualClock

REQUEST: Any = SimpleNamespace(id="r1", version=3)
ENDS_S = {"r1": 900.0}


class _Measurement:
    """Computes a baseline that ends with the request."""

    def __init__(self) -> None:
        self.baselines: dict[str, Any] = {}
        self.computed: list[bool] = []
        self.entries: dict[str, int] = {}
        self.back = True
        self.handed: tuple[str, list[bool]] | None = None

    def has_baseline(self, request_id: str) -> bool:
        return request_id in self.baselines

    def baseline(self, request: Any, state: object, schedule: object, *, late: bool) -> Any:  # noqa: ANN401 - doubles
        del state, schedule
        self.computed.append(late)
        return SimpleNamespace(grid=SimpleNamespace(end_s=ENDS_S[request.id]))

    def keep(self, request: Any, baseline: Any) -> None:  # noqa: ANN401 - as above
        self.baselines[request.id] = baseline

    async def spared(self, request: Any) -> Mapping[str, Any]:  # noqa: ANN401 - as above
        return {} if request.id == "r1" else {"r1": np.array([True, False])}

    def hand_over(self, request: Any, rows: Any) -> Any:  # noqa: ANN401 - as above
        self.handed = (request.id, rows.tolist())
        return self.baselines[request.id]

    def noted(self, request_id: str, sequence: int) -> None:
        self.entries[request_id] = sequence


class _Entries(list[str]):
    def append(self, kind: str, at_s: float = 0.0, body: Mapping[str, object] = {}) -> int:  # type: ignore[override] # a journal's
        del at_s, body
        super().append(kind)
        return len(self)


@pytest.fixture
def freezing(monkeypatch: pytest.MonkeyPatch) -> tuple[BaselineFreezing, _Measurement, _Entries]:
    monkeypatch.setattr(module, "baseline_body", lambda _id, _baseline: {})
    monkeypatch.setattr(module, "lengthened", lambda _known, longer: longer)
    measurement, entries = _Measurement(), _Entries()
    book: Any = SimpleNamespace(timetable=lambda request_id: SimpleNamespace(watched_s=ENDS_S[request_id]))
    picture: Any = SimpleNamespace(state=lambda: None, schedule=None, clock=VirtualClock(0.0))
    book.get = lambda request_id: SimpleNamespace(id=request_id, state=RequestState.SCHEDULED)
    made = BaselineFreezing(  # type: ignore[arg-type] # doubles
        book=book,
        journal=entries,
        picture=picture,
        measurement=measurement,
        spared=measurement.spared,
        are_back=lambda _: measurement.back,
    )
    return made, measurement, entries


async def test_a_baseline_is_computed_and_journalled_once_for_all_who_wait(
    freezing: tuple[BaselineFreezing, _Measurement, _Entries],
) -> None:
    made, measurement, entries = freezing
    waiting = [asyncio.create_task(made.freeze(REQUEST)) for _ in range(3)]
    await asyncio.sleep(0)
    assert made.under_way("r1")
    await asyncio.gather(*waiting)
    assert (measurement.computed, entries) == ([False], [BASELINE])
    assert measurement.entries == {"r1": 1}
    assert not made.under_way("r1")


async def test_rows_are_divided_late_once_devices_are_back_or_were_waited_for(
    freezing: tuple[BaselineFreezing, _Measurement, _Entries],
) -> None:
    made, measurement, _ = freezing
    clock: Any = made._picture.clock
    assert made.is_ripe(REQUEST)
    measurement.back = False
    assert not made.is_ripe(REQUEST)
    await clock.advance(899.0)
    assert not made.is_ripe(REQUEST)
    await clock.advance(900.0)
    assert made.is_ripe(REQUEST)
    assert not made.is_ripe(REQUEST), "each wait begins anew"


async def test_a_baseline_is_lengthened_only_where_the_request_ends_later(
    freezing: tuple[BaselineFreezing, _Measurement, _Entries], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, measurement, entries = freezing
    await made.lengthen(REQUEST)
    assert entries == [], "there is none to lengthen"
    await made.freeze(REQUEST)
    await made.lengthen(REQUEST)
    assert entries == [BASELINE]
    monkeypatch.setitem(ENDS_S, "r1", 1800.0)
    await made.lengthen(REQUEST)
    assert (measurement.computed, entries) == ([False, True], [BASELINE, BASELINE])
    assert measurement.baselines["r1"].grid.end_s == 1800.0


async def test_what_another_request_spares_is_taken_from_it_before_it_is_enlisted(
    freezing: tuple[BaselineFreezing, _Measurement, _Entries], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, measurement, entries = freezing
    monkeypatch.setitem(ENDS_S, "r2", 900.0)
    await made.freeze(REQUEST)
    await made.freeze(SimpleNamespace(id="r2", version=1))  # type: ignore[arg-type] # a request
    assert measurement.handed == ("r1", [True, False])
    assert entries == [BASELINE, BASELINE, BASELINE], "the first request's without them, and the second's"
    assert measurement.entries == {"r1": 2, "r2": 3}


async def test_a_request_that_is_cancelled_while_rows_are_divided_is_handed_none(
    freezing: tuple[BaselineFreezing, _Measurement, _Entries], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, measurement, _ = freezing
    monkeypatch.setitem(ENDS_S, "r2", 900.0)
    await made.freeze(REQUEST)
    monkeypatch.setattr(made._book, "get", lambda _id: SimpleNamespace(state=RequestState.CANCELLED))
    await made.freeze(SimpleNamespace(id="r2", version=1))  # type: ignore[arg-type] # a request
    assert measurement.handed is None


async def test_whoever_waits_for_those_that_overlap_a_request_waits_until_all_are_enlisted(
    freezing: tuple[BaselineFreezing, _Measurement, _Entries], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, measurement, _ = freezing
    newcomer: Any = SimpleNamespace(id="r2", version=1)
    monkeypatch.setitem(ENDS_S, "r2", 900.0)
    monkeypatch.setattr(made._book, "overlapping", lambda _id: (newcomer,), raising=False)
    await made.freeze(REQUEST)
    with pytest.raises(ConflictError, match="r2"):
        await made.others_enlisted("r1")
    enlisting = asyncio.create_task(made.freeze(newcomer))
    await asyncio.sleep(0)
    await made.others_enlisted("r1")
    assert measurement.handed is not None
    await enlisting


async def test_a_baseline_is_lengthened_without_the_rows_that_were_handed_over_meanwhile(
    freezing: tuple[BaselineFreezing, _Measurement, _Entries], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, measurement, _ = freezing
    monkeypatch.setitem(ENDS_S, "r2", 900.0)
    await made.freeze(REQUEST)
    lengthened_from: list[Any] = []
    asked, divided = asyncio.Event(), asyncio.Event()
    spared = made._spared

    async def spared_later(request: Any) -> Mapping[str, Any]:  # noqa: ANN401 - doubles
        asked.set()
        await divided.wait()
        return await spared(request)

    def lengthened(known: Any, longer: Any) -> Any:  # noqa: ANN401 - doubles
        lengthened_from.append(known)
        return longer

    monkeypatch.setattr(module, "lengthened", lengthened)
    left = SimpleNamespace(grid=SimpleNamespace(end_s=900.0))

    def hand_over(request: Any, rows: Any) -> Any:  # noqa: ANN401 - as above
        del rows
        measurement.baselines[request.id] = left
        return left

    monkeypatch.setattr(measurement, "hand_over", hand_over)
    monkeypatch.setattr(made, "_spared", spared_later)
    newcomer: Any = SimpleNamespace(id="r2", version=1)
    freezes = asyncio.create_task(made.freeze(newcomer))
    await asked.wait()
    monkeypatch.setitem(ENDS_S, "r1", 1800.0)
    lengthens = asyncio.create_task(made.lengthen(REQUEST))
    await asyncio.sleep(0)
    divided.set()
    await asyncio.gather(freezes, lengthens)
    assert len(lengthened_from) == 1
    assert lengthened_from[0] is left
