"""Memory after a rush of TLS handshakes."""

import ctypes
import math
from types import SimpleNamespace

import pytest

from adapters.kit.timing_wheel import SLOT_WALL_S, TimingWheel
from adapters.kit.tls_memory import CALM, RUSH, WINDOW_WALL_S, TlsMemory, release


class Gateway:
    """A timing wheel and what it tidies up."""

    def __init__(self) -> None:
        self.wheel = TimingWheel()
        self.tidied: list[float] = []
        self.tls_memory = TlsMemory(self.wheel, lambda: self.tidied.append(self.now))
        self.now = 0.0

    def live(self, wall_s: float, *, handshakes_per_s: float = 0.0) -> None:
        """Let time pass."""
        end, owed = self.now + wall_s, 0.0
        while self.now < end:
            self.now += SLOT_WALL_S
            self.wheel.advance(self.now)
            owed += handshakes_per_s * SLOT_WALL_S
            while owed >= 1.0:
                self.tls_memory.handshake_done(self.now)
                owed -= 1.0


def test_a_rush_is_tidied_up_after_once_it_is_over() -> None:
    gateway = Gateway()
    gateway.live(20.0, handshakes_per_s=RUSH)
    assert gateway.tidied == []

    gateway.live(60.0)

    assert len(gateway.tidied) == 1
    assert gateway.tidied[0] <= 20.0 + 2.5 * WINDOW_WALL_S
    assert math.isinf(gateway.tls_memory.alarm)


def test_stations_that_flap_do_not_keep_a_rush_from_being_tidied_up_after() -> None:
    gateway = Gateway()
    gateway.live(5.0, handshakes_per_s=RUSH)
    gateway.live(60.0, handshakes_per_s=0.5 * CALM / WINDOW_WALL_S)
    assert len(gateway.tidied) == 1


def test_stations_that_come_one_by_one_leave_nothing_to_tidy_up() -> None:
    gateway = Gateway()
    gateway.live(600.0, handshakes_per_s=0.5 * CALM / WINDOW_WALL_S)
    assert gateway.tidied == []


def test_memory_that_is_free_is_given_back_by_the_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(malloc_trim=trimmed.append))
    release()
    assert trimmed == [0]


def test_a_c_library_that_cannot_give_memory_back_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda name: asked.append(name) or SimpleNamespace())
    release()
    assert asked == [None]
