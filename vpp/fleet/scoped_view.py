"""Fleet as one scope sees it: an index and snapshots of its own rows alone."""

from collections.abc import Iterable
from dataclasses import fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from vpp.domain.site import Area, Site, Transformer
from vpp.domain.telemetry import RowArray
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.fleet.scope import Scope


class ScopedView:
    """Members of a fleet that a scope sees, with rows numbered among themselves.

    Areas are listed by the scope, transformers where they feed a site in sight. A transformer that also feeds what is
    out of sight has an unknown base load (NaN), and so no known flow: that would show what others take.

    Attributes:
        whole: The fleet.
        index: The part in sight; the fleet itself where nothing is out of sight.
        rows: Row in the fleet of every row in sight, rising, shape ``(n_seen,)``.
    """

    def __init__(self, whole: FleetIndex, scope: Scope) -> None:
        self.whole = whole
        self.rows: RowArray = np.flatnonzero(scope.rows(whole)).astype(np.int32)
        self.index = whole if scope.is_everything else _narrowed(whole, scope, self.rows)
        self._seen: tuple[FleetState, FleetState] | None = None

    def state(self, whole: FleetState) -> FleetState:
        """Return a snapshot of the fleet, narrowed to the rows in sight; made once for each snapshot."""
        if self.index is self.whole:
            return whole
        seen = self._seen  # read once: threads that query samples come here, too
        if seen is None or seen[0] is not whole:
            seen = self._seen = whole, _taken(whole, self.index, self.rows)
        return seen[1]

    @cached_property
    def open_feeders(self) -> frozenset[str]:
        """Ids of the transformers whose flow is known: they feed nothing out of sight."""
        return frozenset(t.id for t in self.index.transformers if not np.isnan(t.base_load_kw))

    def position(self, row: int) -> int | None:
        """Return the number among the rows in sight of a row of the fleet, ``None`` where it is out of sight."""
        place = int(np.searchsorted(self.rows, row))
        return place if place < len(self.rows) and int(self.rows[place]) == row else None


def _taken(state: FleetState, index: FleetIndex, rows: RowArray) -> FleetState:
    """Return the snapshot of some rows; columns that are kept for no row stay empty."""
    columns: dict[str, Any] = {
        column.name: values[rows]
        for column in fields(state)
        if isinstance(values := getattr(state, column.name), np.ndarray) and len(values) == len(state)
    }
    for values in columns.values():
        values.flags.writeable = False
    return replace(state, index=index, **columns)


def _narrowed(whole: FleetIndex, scope: Scope, rows: RowArray) -> FleetIndex:
    sites = [site for site in whole.sites if scope.sees(site)]
    transformers = _transformers(whole, scope, sites)
    return replace(
        whole,
        resources=tuple(whole.resources[row] for row in rows.tolist()),
        sites=tuple(sites),
        transformers=tuple(transformers),
        areas=tuple(_areas(whole.areas, scope, {t.area_id for t in transformers})),
        operators=tuple(o for o in whole.operators if scope.operators is None or o.id in scope.operators),
        former_owners=(),
        withheld=tuple(np.flatnonzero(np.isin(rows, whole.withheld)).tolist()),
    )


def _areas(areas: Iterable[Area], scope: Scope, needed: set[str]) -> list[Area]:
    """Return the areas of the scope, and those in which transformers of its sites lie."""
    return [area for area in areas if scope.areas is None or area.id in scope.areas or area.id in needed]


def _transformers(whole: FleetIndex, scope: Scope, sites: Iterable[Site]) -> list[Transformer]:
    """Return the transformers that feed a site in sight, and to whom a whole area is open all of it."""
    parent_of = {t.id: t.parent_id for t in whole.transformers}
    seen = _upwards((site.transformer_id for site in sites), parent_of)
    seen |= {t.id for t in whole.transformers if scope.covers(t.area_id)}
    hidden = {site.transformer_id for site in whole.sites if not scope.sees(site)}
    shared = _upwards(hidden | {t.id for t in whole.transformers if t.id not in seen}, parent_of)
    return [
        replace(
            transformer,
            base_load_kw=float("nan") if transformer.id in shared else transformer.base_load_kw,
            parent_id=transformer.parent_id if transformer.parent_id in seen else None,
        )
        for transformer in whole.transformers
        if transformer.id in seen
    ]


def _upwards(begin: Iterable[str], parent_of: dict[str, str | None]) -> set[str]:
    """Return transformers and all that feed them."""
    found: set[str] = set()
    for identity in begin:
        at: str | None = identity
        while at is not None and at not in found:
            found.add(at)
            at = parent_of[at]
    return found
