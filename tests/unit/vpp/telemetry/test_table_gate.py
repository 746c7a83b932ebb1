"""The plausibility gate for metered history."""

from datetime import UTC, datetime

import numpy as np
import pytest

from tests.fleets import at_one_site
from vpp.domain.errors import InputError
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.index import FleetIndex
from vpp.telemetry.table_gate import check_means, judge_means
from vpp.telemetry.verdict import Verdict

START_AT = datetime(2026, 7, 1, tzinfo=UTC)
GRID = TimeGrid(start_at=START_AT, count=4)
NOW_S = GRID.end_s
KINDS = {
    "hall": (ResourceClass.HVAC, 0.0, 100.0),
    "roof": (ResourceClass.PV, -50.0, 0.0),
    "store": (ResourceClass.STORAGE, -50.0, 50.0),
    "plant": (ResourceClass.INDUSTRY, 40.0, 90.0),
    "car": (ResourceClass.EV, 0.0, 7.0),
}


def fleet() -> FleetIndex:
    return at_one_site(
        tuple(
            Resource(
                id=name,
                site_id="s",
                resource_class=kind,
                adapter=Adapter.MQTT,
                address=f"s/{name}",
                p_min_kw=least,
                p_max_kw=most,
            )
            for name, (kind, least, most) in KINDS.items()
        ),
        limit_kw=1e3,
        export_limit_kw=1e3,
    )


def checked(name: str, *means_kw: float, now_s: float = NOW_S) -> None:
    index = fleet()
    mean_kw: FloatArray = np.full((1, GRID.count), np.nan)
    mean_kw[0, : len(means_kw)] = means_kw
    check_means(index, GRID, np.array([index.row_of[name]], dtype=np.int32), mean_kw, now_s=now_s)


@pytest.mark.parametrize(
    ("name", "means_kw"),
    [
        ("hall", (0.0, 100.0, 130.0, np.nan)),
        ("hall", (-0.4,)),
        ("roof", (-50.0, 0.4, -0.0)),
        ("store", (-50.0, 50.0)),
        ("plant", (0.0, 90.0)),
        ("car", (7.4, -0.1)),
    ],
)
def test_what_devices_do_is_taken(name: str, means_kw: tuple[float, ...]) -> None:
    checked(name, *means_kw)


@pytest.mark.parametrize(
    ("name", "mean_kw", "guess"),
    [
        ("hall", 60_000.0, "watts"),
        ("hall", -60.0, "the other sign"),
        ("hall", 1e300, ""),
        ("hall", 160.0, ""),
        ("roof", 30.0, "the other sign"),
        ("roof", -30_000.0, "watts"),
        ("store", 3.6e7, "milliwatts"),
        ("car", 1e12, ""),
        ("car", -7.0, "the other sign"),
        ("plant", 85_000.0, "watts"),
    ],
)
def test_what_no_such_device_can_do_is_refused_with_its_likely_unit(name: str, mean_kw: float, guess: str) -> None:
    with pytest.raises(InputError) as caught:
        checked(name, 1.0 if name in {"hall", "car"} else 0.0, mean_kw)
    assert caught.value.field == f"{name} at 2026-07-01T00:15:00+00:00"
    text = str(caught.value.value)
    assert "nameplate" in text
    assert guess in text
    assert text.endswith("?") == bool(guess)


def test_the_message_reads_as_it_should() -> None:
    with pytest.raises(InputError, match="60,000 kW, nameplate 100 kW: watts\\?"):
        checked("hall", 60_000.0)


def test_an_interval_that_has_not_ended_was_not_metered() -> None:
    checked("hall", 6.0, 6.0, now_s=GRID.start_s + 1800.0)
    with pytest.raises(InputError, match="an interval that has ended"):
        checked("hall", 6.0, 6.0, now_s=GRID.start_s + 1000.0)


def test_infinity_is_no_mean_and_every_reason_is_counted() -> None:
    index = fleet()
    rows = np.array([0, 4], dtype=np.int32)
    mean_kw = np.array([[np.inf, 1e6, np.nan, 6.0], [1.0, 1e6, 2.0, 9e9]])
    refused, counts = judge_means(index, GRID, rows, mean_kw, now_s=GRID.start_s + 2700.0)
    assert [(fault.verdict, fault.row) for fault in refused] == [
        (Verdict.NOT_A_NUMBER, 0),
        (Verdict.FUTURE, 0),
        (Verdict.FUTURE, 4),
        (Verdict.RANGE, 0),
        (Verdict.RANGE, 4),
    ]
    assert counts == {Verdict.NOT_A_NUMBER: 1, Verdict.FUTURE: 2, Verdict.RANGE: 2}
    with pytest.raises(InputError, match=r"hall at .* and 4 more"):
        check_means(index, GRID, rows, mean_kw, now_s=GRID.start_s + 2700.0)
