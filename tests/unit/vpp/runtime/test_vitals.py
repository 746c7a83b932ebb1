"""Ages that go on rising when what they watch has stopped, and counts of what was refused or repaired."""

import pytest
from prometheus_client import CollectorRegistry

from vpp.runtime.vitals import IMPORTS, Vitals


class Wall:
    """Wall seconds as a test sets them."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        """Return them."""
        return self.now_s


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_the_age_of_the_last_cycle_rises_while_no_cycle_comes(wall: Wall, registry: CollectorRegistry) -> None:
    vitals = Vitals(registry, wall)
    wall.now_s = 140.0
    assert registry.get_sample_value("vpp_cycle_age_seconds") == 40.0, "a loop that never begins stands still, too"
    vitals.note_cycle()
    for now_s, age_s in ((143.0, 3.0), (230.0, 90.0)):
        wall.now_s = now_s
        assert registry.get_sample_value("vpp_cycle_age_seconds") == age_s
    vitals.note_cycle()
    assert registry.get_sample_value("vpp_cycle_age_seconds") == 0.0


def test_a_poller_is_asked_at_every_scrape(wall: Wall, registry: CollectorRegistry) -> None:
    Vitals(registry, wall).watch_poller("ocpp", lambda: wall.now_s - 100.0)
    wall.now_s = 107.0
    assert registry.get_sample_value("vpp_poller_age_seconds", {"adapter": "ocpp"}) == 7.0


def test_what_is_wrong_with_the_service_is_shown_and_cleared(wall: Wall, registry: CollectorRegistry) -> None:
    vitals = Vitals(registry, wall)
    vitals.set_storage_failing("journal", failing=True)
    vitals.set_leader_deposed(deposed=True)
    assert registry.get_sample_value("vpp_storage_failing", {"kind": "journal"}) == 1.0
    assert registry.get_sample_value("vpp_leader_deposed") == 1.0
    vitals.set_storage_failing("journal", failing=False)
    assert registry.get_sample_value("vpp_storage_failing", {"kind": "journal"}) == 0.0


def test_a_trouble_that_is_over_leaves_the_gauge(wall: Wall, registry: CollectorRegistry) -> None:
    vitals = Vitals(registry, wall)
    labels = {"adapter": "ocpp", "trouble": "clock_off"}
    vitals.observe_troubles({("ocpp", "clock_off"): 3})
    assert registry.get_sample_value("vpp_device_troubles", labels) == 3.0
    vitals.observe_troubles({})
    assert registry.get_sample_value("vpp_device_troubles", labels) is None


def test_refusing_healing_and_imports_are_counted_apart(wall: Wall, registry: CollectorRegistry) -> None:
    vitals = Vitals(registry, wall)
    vitals.observe_samples({"range": 4}.items())
    vitals.observe_healed({("ocpp", "null"): 5}.items())
    vitals.count_import_rejected("history")
    assert registry.get_sample_value("vpp_samples_rejected_total", {"kind": "range"}) == 4.0
    assert registry.get_sample_value("vpp_healed_total", {"adapter": "ocpp", "kind": "null"}) == 5.0
    shown = {kind: registry.get_sample_value("vpp_imports_rejected_total", {"kind": kind}) for kind in IMPORTS}
    assert shown == {"history": 1.0, "promise": 0.0, "prices": 0.0, "signal": 0.0}
