"""The shared clock: it waits for the slowest event loop, never goes back, and forgets the dead."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.bus_parts import until
from vpp.domain.errors import ConfigurationError, InputError
from vpp.ports import owing
from vpp.runtime.pace import PacedClock, PaceFile, Pacer

SPEED = 50.0


@pytest.fixture
def page(tmp_path: Path) -> Iterator[PaceFile]:
    """Return a page that shows 1,000 s."""
    made = PaceFile.create(tmp_path / "pace", start_s=1_000.0, speed=SPEED)
    yield made
    made.close()


def test_time_passes_at_full_speed_while_everybody_keeps_up(page: PaceFile) -> None:
    pacer, slot = Pacer(page), page.take_slot()
    for _ in range(100):
        pacer.stride(0.01)
        page.reach(slot, page.now_s)
    assert page.now_s == pytest.approx(1_000.0 + SPEED)
    assert page.rate == pytest.approx(SPEED)


def test_time_waits_for_the_slowest_loop_and_says_for_whom(page: PaceFile) -> None:
    pacer, fast, slow = Pacer(page), page.take_slot(), 1
    page.reach(slow, 1_000.0)
    page._words[8 + 2 * slow] = page._words[8 + 2 * fast]  # another loop of this process
    for _ in range(1000):
        pacer.stride(0.01)
        page.reach(fast, page.now_s)
    assert page.now_s <= 1_000.0 + 0.1 * SPEED
    assert pacer.waited_for
    page.reach(slow, page.now_s)
    pacer.stride(0.01)
    assert not pacer.waited_for


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.floats(0.0, 100.0)), max_size=40))
def test_time_never_goes_back_nor_far_beyond_the_slowest(
    tmp_path_factory: pytest.TempPathFactory, turns: list[tuple[float, float]]
) -> None:
    page = PaceFile.create(tmp_path_factory.mktemp("pace") / "pace", start_s=0.0, speed=SPEED)
    pacer, slot, reached_s = Pacer(page), page.take_slot(), 0.0
    for wall_s, behind_s in turns:
        before_s = page.now_s
        pacer.stride(wall_s)
        assert before_s <= page.now_s <= reached_s + 0.1 * SPEED
        reached_s = max(page.now_s - behind_s, reached_s)
        page.reach(slot, reached_s)
    page.close()


def test_a_dead_process_is_not_waited_for(page: PaceFile) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    slot = page.take_slot()
    page._words[8 + 2 * slot] = float(dead.pid)
    page.forget_dead()
    assert list(page.reached()) == []


async def test_sleepers_wake_when_the_common_time_has_come(page: PaceFile) -> None:
    clock = PacedClock(page)
    beating = asyncio.create_task(clock.beat())
    with Pacer(page):
        await clock.sleep(5.0)
        assert clock.now_s() >= 1_005.0
        await clock.sleep_until(1_000.0)
    beating.cancel()
    await asyncio.wait((beating,))
    assert list(page.reached()) == []


async def test_time_waits_for_work_that_is_owed(page: PaceFile, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pacer, strides = PacedClock(page), Pacer(page), list[float]()
    stride = pacer.stride

    def noted(wall_s: float) -> None:
        stride(wall_s)
        strides.append(wall_s)

    monkeypatch.setattr(pacer, "stride", noted)
    beating = asyncio.create_task(clock.beat())
    with pacer:
        with owing(clock, 1_010.0):
            await clock.sleep_until(1_010.0)
            enough = len(strides) + 50  # twice as far as it may go
            await until(lambda: len(strides) >= enough)
            assert page.now_s <= 1_010.0 + 0.1 * SPEED
        await clock.sleep_until(1_020.0)
    beating.cancel()
    await asyncio.wait((beating,))


def test_wall_seconds_follow_the_rate_of_late(page: PaceFile) -> None:
    clock = PacedClock(page)
    assert clock.wall(100.0) == pytest.approx(2.0)
    page.rate = SPEED / 4.0
    assert clock.wall(100.0) == pytest.approx(8.0)
    page.rate = 0.0
    assert clock.wall(100.0) == pytest.approx(100.0)


def test_what_is_no_pace_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="VPP_CLOCK_PACE"):
        PaceFile.open(tmp_path / "none")
    (tmp_path / "other").write_bytes(bytes(4096))
    with pytest.raises(ConfigurationError, match="no pace file"):
        PaceFile.open(tmp_path / "other")
    with pytest.raises(InputError, match="clock_speed"):
        PaceFile.create(tmp_path / "pace", start_s=0.0, speed=0.0)
