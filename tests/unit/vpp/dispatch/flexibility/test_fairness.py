"""Memory of who was shed."""

import numpy as np
import pytest

from vpp.dispatch.flexibility.fairness import Fairness, shed_time_without
from vpp.dispatch.settings import DispatchSettings

COUNT = 60


def shed(count: int = COUNT) -> Fairness:
    """Return a memory in which every row was shed for as many seconds as its number, plus one."""
    memory = Fairness(DispatchSettings().merit, recovery_s=3600.0)
    memory.resize(COUNT)
    rows = np.arange(count, dtype=np.int32)
    memory.restore({"at_s": 0.0, "rows": rows, "shed_s": rows + 1.0, "debt_kwh": rows + 0.5})
    return memory


@pytest.mark.parametrize("count", [3, COUNT])
def test_a_restart_forgets_the_same_rows_as_the_service_did(count: int) -> None:
    memory, gone = shed(count), np.array([1, 2], dtype=np.int32)
    kept = shed_time_without(memory.body(), gone)
    memory.forget(gone)
    again = shed()
    again.restore(kept)
    assert again.shed_s()[:4].tolist() == memory.shed_s()[:4].tolist() == [1.0, 0.0, 0.0, 4.0 if count > 3 else 0.0]
    assert again.debt_kwh.tolist() == memory.debt_kwh.tolist()
