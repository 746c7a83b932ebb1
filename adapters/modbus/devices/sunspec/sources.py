"""Sources of a SunSpec device's quantities: model numbers and points, the best first.

Inverters and storage count production as positive (models 101-103, 111-113, 701, 802); meters count what is taken from
the grid as positive (models 201-204, 211-214). Inside, load is positive.
"""

from vpp.domain.resource import STORING, ResourceClass

Source = tuple[int, str]
"""A model number and one of its points."""
Sources = tuple[Source, ...]
"""Sources of one quantity, the best first."""

METERS = (204, 203, 202, 201, 214, 213, 212, 211)
"""Delta, wye, split-phase and single-phase meters, with scale factors and in floating point."""
_INVERTERS = (701, 103, 102, 101, 113, 112, 111, 802)

_PRODUCED: Sources = tuple((number, "W") for number in _INVERTERS)
_METERED: Sources = tuple((number, "W") for number in METERS)
_TAKEN_IN: Sources = tuple((number, "TotWhImp") for number in METERS)
ENERGY: Sources = ((701, "TotWhAbs"), *_TAKEN_IN)
SOC: Sources = ((713, "SoC"), (802, "SoC"), (124, "ChaState"))
CHARGE: Sources = ((702, "WChaRteMax"), (702, "WChaRteMaxRtg"), (802, "WChaRteMax"), (120, "MaxChaRte"))
DISCHARGE: Sources = (
    *((702, "WDisChaRteMax"), (702, "WDisChaRteMaxRtg")),
    *((802, "WDisChaRteMax"), (120, "MaxDisChaRte")),
)
AVAILABLE: Sources = ((122, "WAval"),)
RATED: Sources = ((702, "WMax"), (702, "WMaxRtg"), (121, "WMax"), (120, "WRtg"))
SOC_MIN: Sources = ((802, "SoCMin"),)
SOC_MAX: Sources = ((802, "SoCMax"),)
IDENTITY = ("Mn", "Md", "Vr", "SN")
STATIC: Sources = (*RATED, *CHARGE, *DISCHARGE, *SOC_MIN, *SOC_MAX, *((1, name) for name in IDENTITY))


def power_of(resource_class: ResourceClass) -> Sources:
    """Return the sources of a row's power: its inverter for photovoltaics and storage, a meter for anything else.

    Inverters often show the meter behind them in the same map; that one measures the whole connection.
    """
    if resource_class in STORING or resource_class is ResourceClass.PV:
        return (*_PRODUCED, *_METERED)
    return (*_METERED, *_PRODUCED)


def load_sign(source: Source) -> float:
    """Return 1 where a source counts load as positive, -1 where it counts production."""
    return 1.0 if source[0] in METERS else -1.0
