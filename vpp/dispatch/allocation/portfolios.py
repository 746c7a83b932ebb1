"""Portfolios of running requests with their frozen baselines, read at any instant."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vpp.dispatch.allocation.situation import Portfolio
from vpp.dispatch.flexibility.baseline_curve import BaselineCurve
from vpp.domain.performance import Baseline
from vpp.domain.request import DispatchRequest
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.fleet.index import CLASSES, FleetIndex
from vpp.state.eligibility import drawn_rows

Overlapping = Callable[[str], Sequence[DispatchRequest]]


def _none(_: str) -> Sequence[DispatchRequest]:
    """Return no requests."""
    return ()


class FrozenPortfolio(NamedTuple):
    """Rows whose meters count for a request now, shape ``(n_resources,)``, and their baseline, ``None`` without one."""

    rows: BoolArray
    curve: BaselineCurve | None


class Portfolios:
    """Portfolios by request; a curve is made once for a baseline.

    Args:
        index: The fleet.
        overlapping: Returns the committed requests that overlap one, by its id; none if not given.
    """

    def __init__(self, index: FleetIndex, overlapping: Overlapping = _none) -> None:
        self._index, self._overlapping = index, overlapping
        self._curves: dict[str, tuple[Baseline, int, BaselineCurve]] = {}

    def resize(self, index: FleetIndex) -> None:
        """Take a fleet that has changed."""
        self._index = index
        self._curves.clear()

    def keep(self, running: Collection[str]) -> None:
        """Release the curves of all other requests."""
        for request_id in self._curves.keys() - running:
            del self._curves[request_id]

    def frozen(
        self, request: DispatchRequest, baseline: Baseline | None, portfolios: Mapping[str, BoolArray]
    ) -> FrozenPortfolio:
        """Return a request's portfolio; rows that are not in service any more do not count.

        Args:
            request: The request.
            baseline: As frozen, ``None`` where none was.
            portfolios: Rows that count by request id; all rows of its area, or the drawn ones, where it is not named,
                less those of requests that overlap it.
        """
        named = portfolios.get(request.id)
        rows = self._not_enlisted(request, portfolios) if named is None else named
        if len(self._index.out_of_service):
            rows = rows & self._index.in_service
        if baseline is None:
            return FrozenPortfolio(rows, None)
        known = self._curves.get(request.id)
        if known is None or known[0] is not baseline or known[1] != len(rows):
            known = (baseline, len(rows), BaselineCurve(baseline, rows, class_rows(self._index)))
            self._curves[request.id] = known
        return FrozenPortfolio(rows, known[2])

    def _not_enlisted(self, request: DispatchRequest, portfolios: Mapping[str, BoolArray]) -> BoolArray:
        """Return the rows that may serve a request which has none of its own yet."""
        rows = self._index.in_area(request.draft.area)
        if request.draft.drawn_ratio < 1.0:
            rows &= drawn_rows(request.draft, len(rows))
        for other in self._overlapping(request.id):
            if other.id in portfolios:
                rows &= ~portfolios[other.id]
        return rows


def portfolio_at(frozen: FrozenPortfolio, now_s: float, own_kw: FloatArray) -> Portfolio:
    """Return a portfolio with its baseline now; rows that follow their own meters count with what they would take now.

    Args:
        frozen: The portfolio.
        now_s: Epoch seconds.
        own_kw: Undispatched power of every row by its own meter, NaN where none is followed, shape ``(n_resources,)``.
    """
    rows, curve, count = frozen.rows, frozen.curve, len(own_kw)
    if curve is None:
        return Portfolio(rows=rows, curve=None, baseline_kw=np.nan, baseline_rows_kw=np.full(count, np.nan))
    total_kw, by_row = curve.total_kw(now_s), curve.rows_kw(now_s, count)
    if curve.own.any():
        own_kw = np.where(curve.own, own_kw, np.nan)
        total_kw += float(np.nansum(own_kw[rows]))
        by_row = np.where(np.isnan(own_kw), by_row, own_kw)
    return Portfolio(rows=rows, curve=curve, baseline_kw=total_kw, baseline_rows_kw=by_row)


def class_rows(index: FleetIndex) -> dict[str, BoolArray]:
    """Return the rows of every class by its name, read-only."""
    return {kind.value: index.is_class(kind) for kind in CLASSES}
