"""A twin in a world as it is: days differ, meters err, and the worlds beside each other still share all of it."""

import numpy as np
import pytest

from vpp.domain.resource import ResourceClass
from vpp.domain.setpoint import Layer
from vpp.fleet.index import CLASSES
from vpp.lab.twin.environment.environment import weather_of
from vpp.lab.twin.environment.session_conduct import conducted_sessions
from vpp.lab.twin.environment.world_file import KIND_WORLD, World, world
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.truth import TruthRecorder
from vpp.lab.twin.worlds import ACTUAL, PREPARED

MIDNIGHT_S = 1_784_044_800.0  # 15 July 2026 in Shanghai


def twin(kind: World, scale: float = 0.2) -> Twin:
    return Twin(
        demo_fleet(scale=scale),
        seed=1,
        start_s=MIDNIGHT_S,
        sessions=conducted_sessions(None, kind, seed=1),
        weather=weather_of(kind, seed=1),
        world=kind,
    )


def daily_kwh(kind: World, resource_class: ResourceClass, days: int = 5) -> np.ndarray:
    model, code = twin(kind), CLASSES.index(resource_class)
    found, before = [], 0.0
    for day in range(days):
        model.advance(MIDNIGHT_S + 86_400.0 * (day + 1), 300.0)
        total = model.net_kwh[ACTUAL, model.index.class_code == code].sum()
        found.append(total - before)
        before = total
    return np.array(found)


@pytest.mark.parametrize("resource_class", [ResourceClass.HVAC, ResourceClass.PV])
def test_days_differ(resource_class: ResourceClass) -> None:
    kind = daily_kwh(KIND_WORLD, resource_class, days=3)
    hostile = daily_kwh(world("hostile"), resource_class)
    assert kind.std() / abs(kind.mean()) < 0.02
    assert hostile.std() / abs(hostile.mean()) > 0.05


def test_without_a_command_the_worlds_are_one() -> None:
    model = twin(world("hostile"))
    model.advance(MIDNIGHT_S + 6 * 3600.0, 300.0)
    assert np.array_equal(model.net_kwh[ACTUAL], model.net_kwh[PREPARED])


def test_commands_do_not_change_the_surroundings() -> None:
    quiet, ordered = twin(world("hostile")), twin(world("hostile"))
    for row in range(len(ordered.index)):
        ordered.apply(row, Layer.DISPATCH, 0.0, np.inf)
    for model in (quiet, ordered):
        model.advance(MIDNIGHT_S + 10 * 3600.0, 300.0)
    assert np.array_equal(ordered.net_kwh[PREPARED], quiet.net_kwh[ACTUAL])
    assert not np.array_equal(ordered.net_kwh[ACTUAL], quiet.net_kwh[ACTUAL])


def test_meters_and_registers_err_by_the_same_share() -> None:
    model = twin(world("hostile"))
    model.advance(MIDNIGHT_S + 6 * 3600.0, 300.0)
    shown = model.meters.registers_kwh[model.meters.register_kwh > 1.0]
    true = model.meters.register_kwh[model.meters.register_kwh > 1.0]
    assert 0.005 < np.abs(shown / true - 1.0).mean() < 0.02


def test_others_take_more_than_registered_here_and_there() -> None:
    model = twin(
        world("hostile").model_copy(
            update={"network": world("hostile").network.model_copy(update={"tight_share": 0.5, "tight_peak": 1.1})}
        ),
        scale=1.0,
    )
    recorder = TruthRecorder(model)
    model.advance(MIDNIGHT_S + 19.5 * 3600.0, 900.0)
    recorder.advance(MIDNIGHT_S + 20.5 * 3600.0, 60.0)
    truth = recorder.truth()
    assert (truth.base_kw > truth.limit_kw).any()
    assert (truth.base_kw[-1] != model.index.feeders.base_kw).all()
