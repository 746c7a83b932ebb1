"""The flexibility envelope of stores."""

import numpy as np

from tests.unit.vpp.planning.city_parts import basis
from vpp.domain.request import Direction
from vpp.planning.flexibility.flexibility_envelope import flexibility_envelope


def test_a_store_is_never_asked_for_more_energy_than_it_holds() -> None:
    found = flexibility_envelope(basis(), Direction.UP, np.array([0]), np.array([16]))
    stores = basis().stores
    drawn_kwh = found.stores_kw[:, 0] / stores.members.ratio * 4.0 / stores.limits.efficiency
    assert (drawn_kwh <= np.maximum(stores.schedule.stored_kwh[:, 15] - stores.limits.floor_kwh, 0.0) + 1e-6).all()
