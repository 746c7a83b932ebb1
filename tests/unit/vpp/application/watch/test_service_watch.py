"""Troubles of the service itself: announced once when they begin and once when they end, and shown."""

from collections.abc import Mapping
from types import SimpleNamespace

import pytest

from vpp.application.loops.durability import Durability
from vpp.application.watch.alarms import Alarms
from vpp.application.watch.service_watch import ServiceWatch
from vpp.domain.errors import StorageError
from vpp.runtime.observability import Metrics


class Spool:
    """A store with something to write, which fails while it is told to."""

    def __init__(self) -> None:
        self.pending, self.pending_bytes, self.dropped = 3, 30, 0
        self.fault: Exception | None = StorageError("the journal cannot be written: disk full")

    async def flush(self) -> None:
        """Write, or fail."""
        if self.pending and self.fault is not None:
            raise self.fault
        self.pending = 0


class Stage:
    """A watch with everything it looks at."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.spool, self.metrics = Spool(), Metrics("0")
        idle = Spool()
        idle.pending, idle.dropped = 0, 7
        self.durability = Durability(
            samples=idle, meters=idle, journal=self.spool, patience_wall_s=600.0, most_bytes=1000
        )
        self.trust = SimpleNamespace(trusted=True, verifying=False, reason="", failing="", failures=0)
        self.watch = ServiceWatch(self.durability, self.trust, Alarms(self, self.metrics), self.metrics)  # type: ignore[arg-type] # as much as is looked at

    def publish(self, kind: str, at_s: float, body: Mapping[str, object]) -> None:
        """Hear what is told."""
        assert kind == "alarm"
        assert at_s > 0.0
        self.heard.append((str(body["alarm"]), str(body["state"])))

    def value(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        """Return a metric."""
        return self.metrics.registry.get_sample_value(name, dict(labels or {}))


async def test_storage_that_fails_is_an_alarm_with_its_reason_until_it_works() -> None:
    stage = Stage()
    await stage.durability.settle()
    for at_s in (1.0, 2.0):
        stage.watch.follow(at_s)
    assert stage.heard == [("storage_failing", "set")]
    assert stage.value("vpp_storage_failing", {"kind": "journal"}) == 1.0
    assert stage.value("vpp_spooled_entries", {"kind": "journal"}) == 3.0
    assert stage.value("vpp_samples_dropped_total") == 7.0
    stage.spool.fault = None
    while stage.durability.failing:
        await stage.durability.settle()
    stage.watch.follow(3.0)
    assert stage.heard == [("storage_failing", "set"), ("storage_failing", "cleared")]
    assert stage.value("vpp_storage_failing", {"kind": "journal"}) == 0.0


def test_a_deposed_leader_and_a_stranger_are_told_of_once() -> None:
    stage = Stage()
    bus = stage.watch.leadership = SimpleNamespace(deposed=False, strangers=0)
    stage.watch.follow(1.0)
    assert stage.heard == []
    bus.deposed, bus.strangers = True, 4
    stage.watch.follow(2.0)
    bus.strangers = 8
    stage.watch.follow(3.0)
    stage.watch.follow(4.0)
    assert stage.heard == [("leader_deposed", "set"), ("stranger_on_bus", "set"), ("stranger_on_bus", "cleared")]
    assert stage.value("vpp_bus_strangers_total") == 8.0


@pytest.mark.parametrize("by_cycle", [True, False])
def test_a_loop_that_fails_is_told_of_whether_or_not_cycles_run(by_cycle: bool) -> None:  # noqa: FBT001 - a case
    stage = Stage()
    look = stage.watch.follow if by_cycle else stage.watch.loops
    stage.watch.failing = lambda: {"settlement": "no such plan"}
    look(1.0)
    assert stage.heard == [("loop_failing", "set")]
    assert stage.value("vpp_loop_failing", {"loop": "settlement"}) == 1.0
    stage.watch.failing = dict
    look(2.0)
    assert stage.heard[-1] == ("loop_failing", "cleared")
    assert stage.value("vpp_loop_failing", {"loop": "settlement"}) == 0.0


async def test_a_record_that_is_not_trusted_is_an_alarm_once_it_was_verified() -> None:
    stage = Stage()
    stage.trust.trusted, stage.trust.verifying = False, True
    stage.watch.follow(1.0)
    assert stage.heard == []
    assert stage.value("vpp_record_trusted") == 0.0
    stage.trust.verifying, stage.trust.reason = False, "entries were deleted"
    stage.watch.follow(2.0)
    stage.trust.trusted = True
    stage.watch.follow(3.0)
    assert stage.heard == [("record_untrusted", "set"), ("record_untrusted", "cleared")]
    assert stage.value("vpp_record_trusted") == 1.0


async def test_heads_that_cannot_be_kept_are_an_alarm_until_they_are() -> None:
    stage = Stage()
    stage.trust.failing, stage.trust.failures = "no room", 3
    stage.watch.follow(1.0)
    assert stage.value("vpp_record_heads_failing") == 1.0
    assert stage.value("vpp_record_head_failures_total") == 3.0
    stage.trust.failing = ""
    stage.watch.follow(2.0)
    assert stage.heard == [("heads_failing", "set"), ("heads_failing", "cleared")]
