"""Tables of any order and with gaps come onto one grid."""

import numpy as np
import pandas as pd
import pytest

from forecasts.panel.grid import Columns, panel_of
from forecasts.panel.panel import PanelError
from forecasts.panel.plausibility import Plausible

COLUMNS = Columns(time="time", value="kwh", series=("city", "site"), zone="city", capacity="ports", live=("occ",))


def table() -> pd.DataFrame:
    times = pd.to_datetime(["2020-01-01 05:00", "2020-01-01 03:00", "2020-01-01 04:00"])
    return pd.DataFrame(
        {
            "city": ["y", "x", "x"],
            "site": ["s", "s", "s"],
            "time": times,
            "kwh": [1.0, 2.0, -99.0],
            "occ": [0.5, 1.0, 0.0],
            "ports": [4, 2, 2],
        }
    )


def test_rows_lie_on_a_grid_that_begins_at_midnight() -> None:
    made = panel_of(table(), COLUMNS, step_s=3600, bounds={})
    assert made.series == ("x/s", "y/s")
    assert made.zone.tolist() == [0, 1]
    assert made.start_s == pd.Timestamp("2020-01-01").timestamp()
    assert made.value[3, 0] == 2.0
    assert made.value[5, 1] == 1.0
    assert np.isnan(made.value[5, 0])
    assert made.listed.sum() == 3
    assert made.live["occ"][3, 0] == 1.0


def test_bounds_make_faults_unknown() -> None:
    made = panel_of(table(), COLUMNS, step_s=3600, bounds={"kwh": Plausible(low=0.0, high=100.0)})
    assert np.isnan(made.value[4, 0])
    assert made.recorded[4, 0] == -99.0


def test_a_row_is_known_from_its_own_column_and_never_before_its_step_has_ended() -> None:
    told = pd.to_datetime(["2020-01-01 09:10", "2020-01-01 03:00", "2020-01-01 05:00"])
    made = panel_of(table().assign(available_at=told), COLUMNS, step_s=3600, bounds={})
    assert made.known_from[5, 1] == 10
    assert made.known_from[3, 0] == 4
    assert made.known_from[4, 0] == 5
    assert (made.live_from == made.known_from).all()


def test_energy_of_sessions_is_known_once_they_have_ended() -> None:
    sessions = Columns(
        time="time", value="kwh", series=("city", "site"), zone="city", live=("occ",), session_hours=72, occupied="occ"
    )
    made = panel_of(table(), sessions, step_s=3600, bounds={})
    assert made.known_from[3, 0] == 5
    assert made.known_from[5, 1] == 6 + 72


def test_missing_columns_are_named() -> None:
    with pytest.raises(PanelError, match=r"columns missing: kwh, ports; found: city"):
        panel_of(table().drop(columns=["kwh", "ports"]), COLUMNS, step_s=3600, bounds={})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"time": ["noon", "x", "y"]}, "time: expected times"),
        ({"kwh": ["a", "b", "c"]}, "kwh: no numbers"),
        (
            {"time": [pd.NaT, pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-01")]},
            "time: a time is missing in row 0",
        ),
    ],
)
def test_what_cannot_be_read_is_named(changes: dict[str, list[object]], said: str) -> None:
    with pytest.raises(PanelError, match=said):
        panel_of(table().assign(**changes), COLUMNS, step_s=3600, bounds={})


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(PanelError, match="no rows"):
        panel_of(table().iloc[:0], COLUMNS, step_s=3600, bounds={})
