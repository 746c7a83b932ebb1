"""Metered values as stations write them."""

import pytest

from adapters.ocpp.samples import Metering, read_samples
from adapters.ocpp.wire import Json
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
