"""What may be promised to drivers behind weak and strong transformers."""

from dataclasses import replace

import numpy as np
import pytest

from vpp.domain.resource import ResourceClass
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.charging_sessions import safe_share
from vpp.lab.twin.population.presets import demo_fleet

FLEET = demo_fleet(stations=40, inverters=2, batteries=1, v2g=2, sites=1)


def with_limits(factor: float) -> FleetIndex:
    return FleetIndex(
        areas=FLEET.areas,
        operators=FLEET.operators,
        transformers=tuple(
            replace(one, limit_kw=one.base_load_kw + factor * (one.limit_kw - one.base_load_kw))
            for one in FLEET.transformers
        ),
        sites=FLEET.sites,
        resources=FLEET.resources,
    )


def test_where_all_defaults_fit_the_whole_default_may_be_promised() -> None:
    assert safe_share(FLEET).tolist() == [1.0] * len(FLEET)


def test_behind_a_weak_transformer_the_promise_is_the_headroom_over_the_sum_of_the_defaults() -> None:
    weak = with_limits(0.01)
    chargers = np.flatnonzero(weak.is_class(ResourceClass.EV))
    share = safe_share(weak)
    assert len(chargers) > 0
    for code in np.unique(weak.transformer_code[chargers]).tolist():
        here = chargers[weak.transformer_code[chargers] == code]
        headroom_kw = weak.feeders.limit_kw[code] - weak.feeders.base_kw[code]
        taken_kw = (share[here] * np.maximum(weak.nameplate.default_kw, weak.nameplate.floor_kw)[here]).sum()
        assert taken_kw == pytest.approx(headroom_kw)


def test_only_chargers_are_bounded() -> None:
    weak = with_limits(0.01)
    assert (safe_share(weak)[~weak.is_class(ResourceClass.EV)] == 1.0).all()
