"""The flexibility envelope of stores."""

import numpy as np

from tests.unit.vpp.planning.city_parts import ground
from vpp.domain.request import Direction
from vpp.planning.quote.flexibility_envelope import room


def test_a_store_is_never_asked_for_more_energy_than_it_holds() -> None:
    found = room(ground(), Direction.UP, np.array([0]), np.array([16]))
    stores = ground().stores
    drawn_kwh = found.stores_kw[:, 0] / stores.ratio * 4.0 / stores.efficiency
    assert (drawn_kwh <= np.maximum(stores.stored_kwh[:, 15] - stores.floor_kwh, 0.0) + 1e-6).all()
