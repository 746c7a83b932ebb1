"""Safe defaults: lowered at once, raised once the others have been, and sent again where nobody knows."""

from dataclasses import replace

import numpy as np

from tests.unit.vpp.dispatch.commands.charging_world import ChargingWorld, charger, tree

INDEX = tree([0, 0, 0, 0], [40, 100, 100, 100], [0, 0, 0, 0, 0], [10, 10, 10, 10])
NOBODY = np.zeros(4, dtype=np.bool_)


def test_nothing_is_sent_while_all_hold_what_the_registry_has() -> None:
    world = ChargingWorld(INDEX)
    world.cycle("accepted", NOBODY)
    assert world.journal == []


def test_a_raise_waits_until_an_absent_neighbour_was_lowered() -> None:
    world = ChargingWorld(INDEX)
    world.change(replace(world.index.resources[0], default_kw=4.0))
    world.change(replace(world.index.resources[1], default_kw=16.0))
    away = np.array([True, False, False, False])
    world.cycle("accepted", away)
    assert world.held_kw.tolist() == [10.0, 10.0, 10.0, 10.0]
    world.cycle("accepted", NOBODY)
    assert world.held_kw.tolist() == [4.0, 10.0, 10.0, 10.0]
    world.start()
    world.cycle("accepted", NOBODY)
    assert world.held_kw.tolist() == [4.0, 16.0, 10.0, 10.0]


def test_a_raise_whose_answer_was_lost_is_taken_back_all_the_same() -> None:
    world = ChargingWorld(INDEX)
    world.change(replace(world.index.transformers[0], limit_kw=90.0))
    world.change(replace(world.index.resources[0], default_kw=20.0))
    world.cycle("lost", NOBODY)
    assert world.held_kw[0] == 20.0
    world.start()
    world.change(replace(world.index.resources[0], default_kw=10.0))
    world.settle()
    assert world.held_kw.tolist() == [10.0, 10.0, 10.0, 10.0]


def test_one_that_joins_lowers_the_others() -> None:
    world = ChargingWorld(INDEX)
    world.change(charger(4, "s0", 10.0))
    world.cycle("accepted", np.zeros(5, dtype=np.bool_))
    assert world.held_kw.tolist() == [8.0, 8.0, 8.0, 8.0, 8.0]
