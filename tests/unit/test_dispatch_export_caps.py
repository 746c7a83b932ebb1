"""Production that a transformer's export cap holds back returns when there is room for it, and not before."""

from dataclasses import replace

import numpy as np

from vpp.dispatch.caps import lift_caps
from vpp.dispatch.columns import RosterTable
from vpp.dispatch.feeders import FeederTree
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.fleet import FleetIndex, FleetState
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.state.image import ProcessImage

EXPORT_KW, SUN_KW, HELD_KW = 20.0, -48.0, -19.4


def _index() -> FleetIndex:
    return FleetIndex(
        areas=(Area(id="a", name="A"),),
        operators=(Operator(id="o", name="O"),),
        transformers=(Transformer(id="t", area_id="a", limit_kw=400.0, export_limit_kw=EXPORT_KW),),
        sites=(Site(id="s", name="S", area_id="a", operator_id="o", transformer_id="t"),),
        resources=(
            Resource(
                id="pv",
                site_id="s",
                resource_class=ResourceClass.PV,
                adapter=Adapter.MODBUS,
                address="h:502/1",
                p_min_kw=-50.0,
                p_max_kw=0.0,
            ),
        ),
    )


def _held_after(available_kw: float) -> bool:
    """Tell whether an inverter that is held at 19.4 of 48 kW stays so when that much could be produced."""
    index, roster = _index(), RosterTable().grow(1)
    state: FleetState = replace(
        ProcessImage(index).swap(0.0, np.zeros(1, dtype=np.uint8)), available_min_kw=np.array([available_kw])
    )
    roster.cap_kw[0] = HELD_KW
    lift_caps(
        roster,
        FeederTree(index),
        state,
        shown_kw=np.array([HELD_KW]),
        free_kw=np.array([max(SUN_KW, available_kw)]),
        kept=np.zeros(1, dtype=np.bool_),
        order=np.zeros(1),
        settings=DispatchSettings(),
    )
    return not bool(np.isnan(roster.cap_kw[0]))


def test_an_inverter_held_for_an_export_cap_is_not_let_go_while_the_sun_shines() -> None:
    assert _held_after(SUN_KW), "it would be held again in the next cycle, and so on"


def test_an_inverter_held_for_an_export_cap_is_let_go_under_clouds() -> None:
    assert not _held_after(-5.0)
