"""Metered values as stations write them."""

import pytest

from adapters.ocpp.messages.ocpp_j import Json
from adapters.ocpp.telemetry.sampled_values import Metering, begun_register, read_samples
from vpp.domain.telemetry import Quantity


def read(*samples: Json, phases: int = 3) -> tuple[dict[Quantity, float], int]:
    """Return the quantities of a reading and how many samples were dropped."""
    dropped: list[None] = []
    metering = Metering(volts=220.0, phases=phases, rejected=lambda: dropped.append(None))
    return dict(read_samples(samples, metering)), len(dropped)


def power(value: str, **more: object) -> Json:
    return {"measurand": "Power.Active.Import", "value": value, **more}


@pytest.mark.parametrize(
    ("sample", "quantity", "value"),
    [
        (power("7200"), Quantity.POWER_KW, 7.2),
        (power("7200", unit="W"), Quantity.POWER_KW, 7.2),
        (power("7.2", unit="kW"), Quantity.POWER_KW, 7.2),
        ({"measurand": "Power.Active.Export", "value": "5000"}, Quantity.POWER_KW, -5.0),
        ({"value": "1500"}, Quantity.ENERGY_KWH, 1.5),
        ({"value": "1.5", "unit": "kWh"}, Quantity.ENERGY_KWH, 1.5),
        ({"measurand": "SoC", "value": "55", "unit": "Percent"}, Quantity.SOC, 0.55),
        ({"measurand": "SoC", "value": 55}, Quantity.SOC, 0.55),
        ({"value": 15, "unitOfMeasure": {"unit": "Wh", "multiplier": 2}}, Quantity.ENERGY_KWH, 1.5),
        ({"value": 1500, "unitOfMeasure": {}}, Quantity.ENERGY_KWH, 1.5),
    ],
)
def test_units_are_read_from_the_sample(sample: Json, quantity: Quantity, value: float) -> None:
    assert read(sample) == ({quantity: pytest.approx(value)}, 0)


@pytest.mark.parametrize(
    "sample",
    [
        power(""),
        power("nan"),
        power("inf"),
        power("1,5"),
        power("5", unit="VA"),
        power("5", unit="furlong"),
        {"measurand": "SoC", "value": "400", "unit": "Percent"},
        {"measurand": "SoC", "value": "400", "unit": "V"},
        {"value": 1, "unitOfMeasure": {"unit": "Wh", "multiplier": 400}},
    ],
)
def test_nonsense_is_dropped_and_counted_and_its_neighbour_kept(sample: Json) -> None:
    assert read(sample, {"value": "1000"}) == ({Quantity.ENERGY_KWH: 1.0}, 1)


def test_what_we_do_not_use_is_passed_over_in_silence() -> None:
    signed = {"value": "AAEC", "format": "SignedData"}
    assert read({"measurand": "Frequency", "value": "50"}, signed) == ({}, 0)


def test_import_less_export_is_net_power() -> None:
    exported = {"measurand": "Power.Active.Export", "value": "1500"}
    assert read(power("500"), exported)[0] == {Quantity.POWER_KW: pytest.approx(-1.0)}


def test_phases_are_added_up_unless_a_total_is_given() -> None:
    phases = [power("1000", phase=phase) for phase in ("L1", "L2-N", "L3")]
    assert read(*phases)[0] == {Quantity.POWER_KW: pytest.approx(3.0)}
    assert read(*phases, power("3300"))[0] == {Quantity.POWER_KW: pytest.approx(3.3)}
    assert read(power("1000", phase="N"))[0] == {}


def test_power_is_reckoned_from_current_and_voltage_where_that_is_all() -> None:
    def current(value: str, **more: object) -> Json:
        return {"measurand": "Current.Import", "value": value, **more}

    volts = {"measurand": "Voltage", "value": "230", "phase": "L1-N"}
    assert read(current("10"))[0] == {Quantity.POWER_KW: pytest.approx(6.6)}
    assert read(current("10"), phases=1)[0] == {Quantity.POWER_KW: pytest.approx(2.2)}
    assert read(current("10", phase="L1"), current("5", phase="L2"), volts)[0] == {
        Quantity.POWER_KW: pytest.approx(3.4)
    }
    assert read(current("10"), power("100"))[0] == {Quantity.POWER_KW: pytest.approx(0.1)}


def current(value: str, **more: object) -> Json:
    return {"measurand": "Current.Import", "value": value, **more}


def volts(value: str, **more: object) -> Json:
    return {"measurand": "Voltage", "value": value, **more}


def read_at(*samples: Json, **changes: object) -> dict[Quantity, float]:
    """Return the quantities of a reading at some post."""
    plain: dict[str, object] = {"volts": 220.0, "phases": 3, "p_max_kw": 11.0, "rejected": lambda: None}
    return dict(read_samples(samples, Metering(**{**plain, **changes})))  # type: ignore[arg-type]


def test_direct_current_is_volts_times_amperes_and_unknown_without_volts() -> None:
    dc: dict[str, object] = {"p_max_kw": 150.0, "is_dc": True}
    assert read_at(current("100"), volts("400"), **dc) == {Quantity.POWER_KW: pytest.approx(40.0)}
    assert read_at(current("100"), **dc) == {}
    returned = {"measurand": "Current.Export", "value": "30"}
    assert read_at(returned, volts("400"), **dc) == {Quantity.POWER_KW: pytest.approx(-12.0)}
    assert read_at(current("50"), volts("400"), p_max_kw=22.0) == {Quantity.POWER_KW: pytest.approx(20.0)}


@pytest.mark.parametrize(
    ("stated", "power_kw"),
    [
        ((current("16"), volts("230")), 11.04),
        ((current("16"), volts("400")), 11.085),
        ((current("16", phase="L1"), current("16", phase="L2"), current("16", phase="L3"), volts("400")), 11.085),
        ((current("16", phase="L1"), volts("400", phase="L1-L2")), 3.695),
        ((current("16"), *(volts("230", phase=phase) for phase in ("L1", "L2", "L3"))), 11.04),
    ],
)
def test_three_phases_are_added_up_from_either_voltage(stated: tuple[Json, ...], power_kw: float) -> None:
    assert read_at(*stated)[Quantity.POWER_KW] == pytest.approx(power_kw, abs=0.01)


@pytest.mark.parametrize("beside", ["Inlet", "Body", "EV", "Cable", "Upstream"])
def test_the_outlet_is_the_car_wherever_else_is_metered(beside: str) -> None:
    elsewhere = power("14000", location=beside)
    for samples in ((power("11000"), elsewhere), (elsewhere, power("11000", location="Outlet"))):
        assert read(*samples)[0] == {Quantity.POWER_KW: pytest.approx(11.0)}


def test_an_inlet_alone_counts_for_a_station_of_one_connector() -> None:
    assert read_at(power("11000", location="Inlet"))[Quantity.POWER_KW] == pytest.approx(11.0)
    assert read_at(power("11000", location="Inlet"), shared_inlet=True) == {}


def test_import_and_export_are_taken_from_one_place() -> None:
    fed_in = {"measurand": "Power.Active.Export", "value": "3000", "location": "Inlet"}
    assert read(power("11000"), fed_in)[0] == {Quantity.POWER_KW: pytest.approx(11.0)}


def test_the_register_of_the_start_is_not_the_register_of_now() -> None:
    begun: Json = {"value": "5000000", "context": "Transaction.Begin"}
    for samples in (({"value": "5010000"}, begun), (begun, {"value": "5010000"})):
        assert read(*samples)[0] == {Quantity.ENERGY_KWH: pytest.approx(5010.0)}
        metering = Metering(volts=220.0, phases=3, rejected=lambda: None)
        assert begun_register(samples, metering) == pytest.approx(5000.0)


def test_what_is_offered_is_not_what_is_taken_and_no_register_is_below_nought() -> None:
    assert read({"measurand": "Power.Offered", "value": "11000"}, {"measurand": "Current.Offered", "value": "16"}) == (
        {},
        0,
    )
    assert read({"value": "-1"}) == ({}, 1)
