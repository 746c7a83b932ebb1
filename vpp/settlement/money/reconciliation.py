"""Reconciliation of an official result with the own settlement, line by line."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property

import numpy as np

from vpp.domain.official_settlement import Agreement, OfficialLine, OfficialResult, ReconciledLine, Reconciliation
from vpp.domain.performance import FEN_PER_CNY, IntervalResult, Shares
from vpp.domain.units import SECONDS_PER_HOUR, STEP_S

_WATT_HOUR = Decimal("0.001")
"""In kWh: to this energies are rounded, and by as much meters and rounding in between may differ."""


@dataclass(frozen=True, kw_only=True)
class OwnResult:
    """The own settlement of a request.

    Attributes:
        shares: Parts by operator and site.
        intervals: The measured intervals; none where they cannot be measured again.
    """

    shares: Shares
    intervals: Sequence[IntervalResult]

    def parts(self, operator_id: str, site_id: str) -> Sequence[int]:
        """Return the positions of an operator's parts, of one site if it is named."""
        return self._places.get((operator_id, site_id), ())

    def energy_kwh(self, parts: Sequence[int], start_at: datetime | None) -> Decimal | None:
        """Return what some parts delivered over the hold, or in the held part of one interval; ``None`` if unknown."""
        if start_at is None:
            return _energy(float(self.shares.energy_kwh[list(parts)].sum()))
        step = self._steps.get(start_at)
        if step is None or step >= self.shares.delivered_kw.shape[1]:
            return None
        held_h = self.intervals[step].held_ratio * STEP_S / SECONDS_PER_HOUR
        return _energy(float(self.shares.delivered_kw[list(parts), step].sum()) * held_h)

    def amount_cny(self, parts: Sequence[int], start_at: datetime | None) -> Decimal | None:
        """Return the net amount of some parts; ``None`` for single intervals, and where nothing was settled."""
        net = self.shares.settlement_fen.get("net")
        if net is None or start_at is not None:
            return None
        return Decimal(int(net[list(parts)].sum())) / FEN_PER_CNY

    @cached_property
    def _places(self) -> Mapping[tuple[str, str], Sequence[int]]:
        """Positions of parts by operator and site, and of all of an operator's by an empty site."""
        places: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        owners = zip(self.shares.operator_ids, self.shares.site_ids, strict=True)
        for place, (operator_id, site_id) in enumerate(owners):
            for site in {"", site_id}:
                places[operator_id, site].append(place)
        return places

    @cached_property
    def _steps(self) -> Mapping[datetime, int]:
        """Steps of the measured intervals by their begin."""
        return {interval.start_at: step for step, interval in enumerate(self.intervals)}


def reconciled(own: OwnResult, result: OfficialResult) -> Reconciliation:
    """Return both results side by side: the official lines in order, then our parts that none of them covers."""
    lines = [_line(own, line) for line in result.lines]
    covered = {place for line in result.lines for place in own.parts(line.operator_id, line.site_id)}
    rest = sorted(set(range(len(own.shares))) - covered)
    return Reconciliation(result=result, lines=(*lines, *_uncovered(own, rest)))


def _line(own: OwnResult, line: OfficialLine) -> ReconciledLine:
    parts = own.parts(line.operator_id, line.site_id)
    energy = own.energy_kwh(parts, line.start_at) if parts else None
    amount = own.amount_cny(parts, line.start_at) if parts else None
    return ReconciledLine(
        operator_id=line.operator_id,
        site_id=line.site_id,
        start_at=line.start_at,
        our_energy_kwh=energy,
        official_energy_kwh=line.energy_kwh,
        our_amount_cny=amount,
        official_amount_cny=line.amount_cny,
        agreement=Agreement.ONLY_OFFICIAL if energy is None else _agreement(line, energy, amount),
    )


def _agreement(line: OfficialLine, energy: Decimal, amount: Decimal | None) -> Agreement:
    near = line.energy_kwh is None or abs(line.energy_kwh - energy) <= _WATT_HOUR
    paid = line.amount_cny is None or amount is None or line.amount_cny == amount
    return Agreement.EQUAL if near and paid else Agreement.DIFFERS


def _uncovered(own: OwnResult, parts: Iterable[int]) -> list[ReconciledLine]:
    return [
        ReconciledLine(
            operator_id=own.shares.operator_ids[place],
            site_id=own.shares.site_ids[place],
            start_at=None,
            our_energy_kwh=own.energy_kwh([place], None),
            official_energy_kwh=None,
            our_amount_cny=own.amount_cny([place], None),
            official_amount_cny=None,
            agreement=Agreement.ONLY_OURS,
        )
        for place in parts
    ]


def _energy(kwh: float) -> Decimal | None:
    """Return an energy to the watt-hour; ``None`` where it is unknown."""
    return Decimal(kwh).quantize(_WATT_HOUR) if np.isfinite(kwh) else None
