"""Meter tables: size, and memory that grows with what was sent."""

import tracemalloc

import pytest

from vpp.api.metertable import meter_table
from vpp.api.problems import RejectedFieldsError
from vpp.domain.errors import InputError
from vpp.domain.timegrid import instant


def test_nine_days_of_a_thousand_meters_fit_one_table() -> None:
    header = ",".join(["start_at", *(f"cs-{i}" for i in range(1320))])
    cells = ",".join(["12.345"] * 1320)
    lines = [f"{instant(900.0 * step).isoformat()},{cells}" for step in range(870)]
    table = meter_table("\n".join((header, *lines)).encode(), {f"cs-{i}" for i in range(1320)})

    assert table.mean_kw.shape == (1320, 870)
    assert (table.mean_kw == 12.345).all()


def test_memory_grows_with_what_was_sent_not_with_what_it_claims() -> None:
    ids = [f"cs-{i}" for i in range(12_000)]
    wide = ",".join(["start_at", *ids])
    tracemalloc.start()
    with pytest.raises(RejectedFieldsError, match="ids of registered"):
        meter_table(f"{wide}\n2026-01-01T00:00:00Z\n".encode(), {"cs-1"})
    with pytest.raises(RejectedFieldsError, match="12001 fields"):
        meter_table((wide + "\n" + "2026-01-01T00:00:00Z\n" * 5000).encode(), set(ids))
    apart = [f"{at},{','.join(['1'] * 12_000)}" for at in ("2025-07-01T00:00:00Z", "2026-07-01T00:00:00Z")]
    with pytest.raises(InputError, match="without such holes"):
        meter_table("\n".join((wide, *apart)).encode(), set(ids))
    assert tracemalloc.get_traced_memory()[1] < 40e6
    tracemalloc.stop()
