"""A long record is verified in a process of its own, with the same result."""

import pytest

from tests.unit.vpp.storage.anchor.parts import Plant
from vpp.domain.errors import ConfigurationError
from vpp.storage.anchor.beside import verify_beside


@pytest.fixture
def plant(empty: Plant) -> Plant:
    return empty


class _StopError(Exception):
    """Whoever waits is asked to stop."""


def _stop(_: int) -> None:
    raise _StopError


def test_another_process_finds_the_same(plant: Plant) -> None:
    plant.run(30)
    assert verify_beside(plant.place, lambda _: None) == plant.verify()
    plant.rewrite(7)
    found = verify_beside(plant.place, lambda _: None)
    assert not found.holds
    assert found == plant.verify()


def test_its_faults_are_raised_here(plant: Plant) -> None:
    plant.run(5)
    plant.key.chmod(0o644)
    with pytest.raises(ConfigurationError, match="VPP_RECORD_KEY"):
        verify_beside(plant.place, lambda _: None)


def test_it_ends_when_whoever_waits_stops(plant: Plant) -> None:
    plant.run(5)
    with pytest.raises(_StopError):
        verify_beside(plant.place, _stop)
