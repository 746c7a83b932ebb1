"""Eligibility: rows that can be counted on, by one definition for quote, acceptance, dispatch and settlement.

A quote counts the rows that are eligible on its snapshot; acceptance enlists those that are eligible on its own; only
they are commanded and only they are settled. Rows that are lost later are named, by the same rules.
"""

import zlib
from enum import IntEnum

import numpy as np

from numerics.jit import njit
from numerics.spread import GOLDEN_WORD, mixed
from vpp.domain.regulation import FOLLOWING
from vpp.domain.request import Direction, Product, RequestDraft
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, Quality
from vpp.domain.trouble import Trouble, mask_of
from vpp.fleet.calendar import local_day
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex

_GOOD, _SUBSTITUTED = int(Quality.GOOD), int(Quality.SUBSTITUTED)
REFERENCE_RATIO = 0.1
"""Share of the roofs that are left out of every request for a rise, as the control group of the others."""
_BARRING = mask_of((Trouble.MEASURED_ONLY, Trouble.FAULTED, Trouble.OUT_OF_SERVICE))
"""Troubles with which a device takes no part; others show in what it does."""


class Standing(IntEnum):
    """Whether a row can be counted on; the first reason that applies."""

    ELIGIBLE = 0
    DISCONNECTED = 1
    OUT_OF_SERVICE = 2
    STALE = 3
    REFUSING = 4
    NO_BASELINE = 5
    NO_PART = 6
    RETIRED = 7
    REFERENCE = 8


ELIGIBLE, DISCONNECTED, OUT_OF_SERVICE, STALE, REFUSING, NO_BASELINE, NO_PART, RETIRED, REFERENCE = (
    int(code) for code in Standing
)

WORDS = {
    Standing.DISCONNECTED: "not connected",
    Standing.OUT_OF_SERVICE: "faulted, out of service or measured only",
    Standing.STALE: "not metered just now, or implausibly",
    Standing.REFUSING: "refuses or ignores commands",
    Standing.NO_BASELINE: "not metered long enough for a baseline",
    Standing.REFERENCE: "shows what the other roofs would feed in",
}
"""Why a row is not counted on, for people; rows of retired devices are no news."""


def part_rows(draft: RequestDraft, index: FleetIndex) -> BoolArray:
    """Return the rows whose class and area take part in a request, shape ``(n_resources,)``.

    Photovoltaics cannot cut net load, so their clouds are no part of a cut's measurement. A signal is followed by some
    classes only, and by these it is measured. Of a drill's area only the drawn rows take part.
    """
    chosen = index.in_area(draft.area)
    if draft.drawn_ratio < 1.0:
        chosen &= drawn_rows(draft, len(index))
    if draft.product is Product.REGULATION:
        return chosen & index.is_class(*FOLLOWING)
    return chosen & ~index.is_class(ResourceClass.PV) if draft.direction is Direction.UP else chosen


def reference_roofs(draft: RequestDraft, index: FleetIndex) -> BoolArray:
    """Return the roofs that no request of a day commands, shape ``(n_resources,)``: one in ten, by lot.

    They are the control group of the others (docs/adr/0050). The lot is a hash of the row with the local day of the
    start, so requests of one day leave the same roofs alone, and no roof is always among them.
    """
    roofs = index.rows_of(ResourceClass.PV)
    day = np.uint64(local_day(draft.start_at.timestamp()).toordinal())
    with np.errstate(over="ignore"):
        words = mixed((roofs.astype(np.uint64) + np.uint64(1)) * GOLDEN_WORD + day)
    chosen = np.zeros(len(index), dtype=np.bool_)
    chosen[roofs[words / 2.0**64 < REFERENCE_RATIO]] = True
    return chosen


def drawn_rows(draft: RequestDraft, count: int) -> BoolArray:
    """Return which rows a drill has drawn, shape ``(count,)``: each with the chance ``drawn_ratio``.

    The lot is a hash of the row with the drill's area and start, so quote, acceptance, restart and replay draw the same
    rows, whatever joins later.
    """
    with np.errstate(over="ignore"):
        words = np.arange(count, dtype=np.uint64) * GOLDEN_WORD + np.uint64(zlib.crc32(draft.area.encode()))
        words = mixed(words + np.uint64(int(draft.start_at.timestamp())) * GOLDEN_WORD)
    return np.asarray(words / 2.0**64 < draft.drawn_ratio)


def barred_rows(state: FleetState) -> BoolArray:
    """Return the rows that take no commands, shape ``(n_resources,)``: for a trouble of theirs, or not in service."""
    if len(state.troubles) != len(state):
        barred = np.zeros(len(state), dtype=np.bool_)
    else:
        barred = np.asarray((state.troubles & _BARRING) != 0)
    barred[state.index.out_of_service] = True
    return barred


def standing(state: FleetState, *, part: BoolArray, measurable: BoolArray, refusing: BoolArray) -> CodeArray:
    """Return the ``Standing`` of every row, shape ``(n_resources,)``.

    Args:
        state: Snapshot of the fleet.
        part: Rows whose class and area take part, shape ``(n_resources,)``.
        measurable: Rows that can be given a baseline, shape ``(n_resources,)``.
        refusing: Rows no command may be sent to when it is due, shape ``(n_resources,)``.
    """
    now = _standing(state.connected, state.quality, state.power_kw, barred_rows(state))
    now = np.where((now == ELIGIBLE) & refusing, REFUSING, now)
    now = np.where((now == ELIGIBLE) & ~measurable, NO_BASELINE, now)
    now[state.index.out_of_service] = RETIRED
    return np.where(part, now, NO_PART).astype(np.uint8)


@njit()
def standing_of(connected: bool, quality: int, power_kw: float, barred: bool) -> int:  # noqa: FBT001 - a kernel takes arguments by position
    """Return the standing of one row by its link and its meter."""
    if not connected:
        return DISCONNECTED
    if barred:
        return OUT_OF_SERVICE
    if quality not in (_GOOD, _SUBSTITUTED) or np.isnan(power_kw):
        return STALE
    return ELIGIBLE


@njit()
def _standing(connected: BoolArray, quality: CodeArray, power_kw: FloatArray, barred: BoolArray) -> CodeArray:
    found = np.empty(len(connected), dtype=np.uint8)
    for row in range(len(connected)):
        found[row] = standing_of(connected[row], quality[row], power_kw[row], barred[row])
    return found
