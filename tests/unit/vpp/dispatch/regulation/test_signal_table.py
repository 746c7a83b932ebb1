"""Tables of a regulation signal, read by instant or second and by share or kW."""

from pathlib import Path

import numpy as np
import pytest

from vpp.dispatch.regulation.signal_table import Signal, parse_signal, read_signal
from vpp.domain.errors import InputError
from vpp.lab.twin.signals import regd_like


def test_a_signal_holds_each_value_until_the_next() -> None:
    signal = Signal(time_s=np.array([0.0, 10.0]), value=np.array([0.1, 0.2]))
    assert signal.at(np.array([-1.0, 0.0, 9.9, 10.0, 99.0])) == pytest.approx([np.nan, 0.1, 0.1, 0.2, 0.2], nan_ok=True)
    resampled = signal.resampled(4.0)
    assert (resampled.time_s.tolist(), resampled.value.tolist()) == ([0.0, 4.0, 8.0], [0.1, 0.1, 0.1])
    with pytest.raises(InputError, match="step_s"):
        signal.resampled(0.0)
    with pytest.raises(InputError, match="duration_s"):
        regd_like(seed=0, duration_s=1.0)


def test_a_users_table_is_read_with_instants_or_seconds_and_shares_or_kw(tmp_path: Path) -> None:
    path = tmp_path / "agc.csv"
    path.write_text("target_kw,time\n-120,0\n30.5,4.0\n")
    signal = read_signal(path)
    assert (signal.unit, signal.time_s.tolist(), signal.value.tolist()) == ("target_kw", [0.0, 4.0], [-120.0, 30.5])
    instants = parse_signal(b"time,value\n2026-07-15T14:00:00+08:00,0.5\n2026-07-15T14:00:02+08:00,-1\n")
    assert np.diff(instants.time_s).tolist() == [2.0]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (b"", "header line"),
        (b"time,value\n", "header line"),
        (b"when,value\n0,0\n", "columns time and value"),
        (b"time,value\n0,0\n4\n", "row 2.*2 fields"),
        (b"time,value\n0,0\nlater,0\n", "row 2, time"),
        (b"time,value\n2026-07-15T14:00:00,0\n", "row 1, time.*offset"),
        (b"time,value\n0,0\n0,0\n", "row 2, time.*after"),
        (b"time,value\n0,1.5\n", "row 1, value.*-1 to 1"),
        (b"time,value\n0,nan\n", "row 1, value"),
        (b"time,target_kw\n0,inf\n", "row 1, target_kw.*kW"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_table_that_makes_no_sense_names_its_row(table: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_signal(table)
