"""Readings of a SunSpec device: each quantity from the first of its sources that shows a value."""

import math
from collections.abc import Iterable, Mapping, Sequence

from adapters.modbus.devices.sunspec import sources
from adapters.modbus.devices.sunspec.control import W_PER_KW
from adapters.modbus.devices.sunspec.layout import Layout
from adapters.modbus.devices.sunspec.models import Block
from adapters.modbus.devices.sunspec.sources import Source, Sources
from adapters.modbus.transport.reading import Read
from vpp.domain.resource import STORING, Resource, ResourceClass
from vpp.domain.telemetry import Quantity

UNBOUNDED_KW = (-math.inf, math.inf)
_WH_PER_KWH = 1000.0
_PERCENT = 100.0


class SunSpecReadings:
    """Power, energy, state of charge and bounds, load positive.

    Args:
        layout: Where the models are, with the registers last read.
        resource: The resource; its class decides which sources count.
    """

    def __init__(self, layout: Layout, resource: Resource) -> None:
        self._layout = layout
        self._resource = resource
        self._power = sources.power_of(resource.resource_class)
        self._used: dict[Sources, Source | None] = {}

    def choose(self, refused: Sequence[Read]) -> Iterable[Source]:
        """Choose the source of each quantity to poll and return them; ``refused`` are reads that the device refused."""
        self._used = {wanted: self._chosen(wanted, refused) for wanted in (self._power, *self._polled())}
        return [source for source in self._used.values() if source]

    def samples(self, owners_kw: tuple[float, float]) -> list[tuple[Quantity, float]]:
        """Return every reading, NaN where it is unknown; the bounds lie within those that the owner allows."""
        p_min_kw, p_max_kw = self._bounds_kw(owners_kw)
        return [
            (Quantity.POWER_KW, self._power_kw()),
            (Quantity.ENERGY_KWH, self._value(sources.ENERGY) / _WH_PER_KWH),
            (Quantity.SOC, self._value(sources.SOC) / _PERCENT),
            (Quantity.P_MIN_KW, p_min_kw),
            (Quantity.P_MAX_KW, p_max_kw),
        ]

    def rated_kw(self) -> float:
        """Return the device's greatest power, as registered where it does not show one."""
        rated_kw = self._value(sources.RATED) / W_PER_KW
        return -self._resource.p_min_kw if math.isnan(rated_kw) else rated_kw

    def _polled(self) -> Sequence[Sources]:
        if self._resource.resource_class in STORING:
            return sources.ENERGY, sources.SOC, sources.CHARGE, sources.DISCHARGE
        return sources.ENERGY, sources.AVAILABLE

    def _chosen(self, wanted: Sources, refused: Sequence[Read]) -> Source | None:
        """Return the first source that shows a value; failing that, the first that may show one later."""
        held = [s for s in wanted if s[0] in self._layout.blocks and self._block(s).holds(s[1])]
        showing = [s for s in held if not math.isnan(self._block(s).value(s[1]))]
        hidden = {(read.address, read.count) for read in refused}
        hopeful = [s for s in held if not hidden.intersection(self._block(s).places(s[1]))]
        return next(iter(showing or hopeful), None)

    def _power_kw(self) -> float:
        used = self._used.get(self._power)
        return math.nan if used is None else sources.load_sign(used) * self._value(self._power) / W_PER_KW + 0.0

    def _value(self, wanted: Sources) -> float:
        """Return the value of the source that is polled; of what is not polled, the first value that is known."""
        polled = self._used.get(wanted)
        for source in (polled,) if polled else wanted:
            if source[0] in self._layout.blocks:
                value = self._block(source).value(source[1])
                if not math.isnan(value):
                    return value
        return math.nan

    def _block(self, source: Source) -> Block:
        return self._layout.blocks[source[0]]

    def _bounds_kw(self, owners_kw: tuple[float, float]) -> tuple[float, float]:
        """Return least and greatest net power it can take now, within what its owner allows."""
        (least_kw, most_kw) = owners_kw
        p_min_kw, p_max_kw = self._able_kw()
        return (
            p_min_kw if math.isnan(p_min_kw) else max(p_min_kw, least_kw),
            p_max_kw if math.isnan(p_max_kw) else min(p_max_kw, most_kw),
        )

    def _able_kw(self) -> tuple[float, float]:
        if self._resource.resource_class is ResourceClass.PV:
            return -self._value(sources.AVAILABLE) / W_PER_KW + 0.0, 0.0
        if self._resource.resource_class not in STORING:
            return math.nan, math.nan
        soc, least, most = (self._value(s) for s in (sources.SOC, sources.SOC_MIN, sources.SOC_MAX))
        empty = soc <= (0.0 if math.isnan(least) else least)
        full = soc >= (_PERCENT if math.isnan(most) else most)
        return (
            0.0 if empty else -self._value(sources.DISCHARGE) / W_PER_KW,
            0.0 if full else self._value(sources.CHARGE) / W_PER_KW,
        )


def points_of(chosen: Iterable[Source]) -> Mapping[int, list[str]]:
    """Return the points of sources by model number."""
    names: dict[int, list[str]] = {}
    for number, name in chosen:
        names.setdefault(number, []).append(name)
    return names
