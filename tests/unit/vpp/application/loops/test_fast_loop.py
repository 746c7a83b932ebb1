"""The order of a cycle and of a tick, and the time of the next tick."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock, call

import pytest

from vpp.application.loops.fast_loop import FastLoop, LoopPeriods
from vpp.application.operating_picture import PlansInForce
from vpp.runtime.clock import VirtualClock

AT_S = 1000.0
OUTCOMES = SimpleNamespace(rows="rows", ids="ids")


def _parts(batch: tuple[int, ...], *, following: bool = True) -> Any:  # noqa: ANN401 - mocks of several parts
    """Return mocks of the parts a loop calls, under one that notes the order."""
    parts = Mock()
    parts.inputs.state = "snapshot"
    parts.inputs.take_cycle.return_value = parts.inputs.take_tick.return_value = [OUTCOMES]
    parts.engine.cycle.return_value = SimpleNamespace(batch=batch)
    parts.engine.tick.return_value = batch
    parts.engine.regulation.following = following
    parts.durability.settle = AsyncMock()
    parts.attach_mock(parts.durability.settle, "settle")
    return parts


def _loop(parts: Any) -> FastLoop:  # noqa: ANN401 - as above
    return FastLoop(
        clock=VirtualClock(AT_S),
        periods=LoopPeriods(cycle_s=10.0, regulation_s=2.0),
        inputs=parts.inputs,
        engine=parts.engine,
        plane=parts.plane,
        durability=parts.durability,
        metrics=parts.metrics,
        plans=PlansInForce(),
        enlistment=parts.enlistment,
        observer=parts.observer,
    )


def _names(parts: Any) -> list[str]:  # noqa: ANN401 - as above
    return [name for name, _, _ in parts.mock_calls if not name.startswith(("metrics", "plane.adapter", "plane.sent"))]


async def test_a_cycle_fixes_its_inputs_decides_records_and_only_then_sends() -> None:
    parts = _parts((1,))
    await _loop(parts).cycle()
    assert _names(parts) == [
        "inputs.take_cycle",
        "engine.outcomes",
        "inputs.meter",
        "engine.cycle",
        "settle",
        "plane.send",
        "observer",
    ]
    assert parts.observer.mock_calls == [call("snapshot", parts.engine.cycle.return_value)]


async def test_a_tick_does_the_same_without_a_snapshot_or_a_report() -> None:
    parts = _parts((1,))
    await _loop(parts).tick()
    assert _names(parts) == ["inputs.take_tick", "engine.outcomes", "engine.tick", "settle", "plane.send"]


async def test_an_empty_batch_is_not_sent() -> None:
    parts = _parts(())
    loop = _loop(parts)
    await loop.cycle()
    await loop.tick()
    assert not parts.plane.send.mock_calls


@pytest.mark.parametrize(
    ("following", "now_s", "tick_s"),
    [(True, 1000.0, 1002.0), (True, 1007.5, 1008.0), (True, 1008.5, None), (False, 1000.0, None)],
)
def test_ticks_lie_between_cycles_and_only_while_a_signal_is_followed(
    following: bool,  # noqa: FBT001 - a column of the table
    now_s: float,
    tick_s: float | None,
) -> None:
    assert _loop(_parts((), following=following)).next_tick_s(now_s, 1010.0) == tick_s
