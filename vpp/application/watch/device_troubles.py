"""Troubles of all devices, row by row, with their beginnings: as links report them and as the service sees them.

A trouble is logged once when it begins and once when it ends; many that begin or end together, or one that recurs all
the time, are counted in one line.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import structlog

from numerics.jit import njit
from vpp.application.row_alignment import fitted_flags
from vpp.domain.health import DeviceHealth, RejectedValue, TroubleCount, known_trouble
from vpp.domain.resource import CHARGING
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray, Quality, RowArray
from vpp.domain.trouble import Trouble, clock_words, mask_of, worded
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import ADAPTERS, FleetIndex
from vpp.state.image import ProcessImage
from vpp.telemetry.sample_gate import LastRefused, SampleGate
from vpp.telemetry.table_gate import nameplate_kw
from vpp.telemetry.verdict import Verdict

_log = structlog.get_logger(__name__)
PATIENCE_S: Final = 180.0
"""Time from a device's connection to its first measurement, after which it counts as not metered."""
REMEMBERED_S: Final = 900.0
"""Time after a refused value in which its device counts as sending implausible values."""
STAMPED: Final = frozenset({Verdict.FUTURE, Verdict.AGE})
"""Verdicts about a stamp."""
_NAMED: Final = 5
"""Most devices listed one by one when a trouble begins or ends in one cycle."""
_LINES: Final = 30
"""Most lines about one trouble within ``_LINES_S``; further ones are counted."""
_LINES_S: Final = 600.0
_STALE, _BAD = int(Quality.STALE), int(Quality.BAD)
_NOT_METERED, _FROZEN, _IMPLAUSIBLE, _IGNORES, _CLOCK, _BELOW_PROMISE = (
    mask_of([trouble])
    for trouble in (
        Trouble.NOT_METERED,
        Trouble.METER_FROZEN,
        Trouble.IMPLAUSIBLE_VALUES,
        Trouble.IGNORES_LIMITS,
        Trouble.CLOCK_OFF,
        Trouble.BELOW_PROMISE,
    )
)
_NO_ROWS: Final = np.zeros(0, dtype=np.int32)


class DeviceTroubles:
    """Follows the troubles of all rows cycle by cycle."""

    def __init__(self) -> None:
        self._mask: IdArray = np.zeros(0, dtype=np.int64)
        self._waiting_s: FloatArray = np.zeros(0)
        self._since_s: dict[tuple[int, Trouble], float] = {}
        self._counts = TroubleCount()
        self._lines: dict[tuple[Trouble, bool], tuple[float, int]] = {}

    def follow(
        self,
        state: FleetState,
        image: ProcessImage,
        gate: SampleGate,
        ignoring: BoolArray,
        below_promise: RowArray = _NO_ROWS,
    ) -> None:
        """Take a cycle.

        The fleet may have grown since its snapshot was taken; rows that joined are judged in the next cycle.

        Args:
            state: Its snapshot.
            image: Last values of each row's link and meter, bad powers among them.
            gate: Refused values.
            ignoring: Rows that accept commands and do not follow them, shape ``(n_resources,)``.
            below_promise: Rows held below their driver's promise for a transformer's cap, shape ``(n,)``.
        """
        count, index, since_s = len(state), state.index, state.at_s - REMEMBERED_S
        self._fit(count)
        implausible = gate.refused_since(since_s, Verdict.RANGE, Verdict.RATE, Verdict.NOT_A_NUMBER)
        clock = gate.refused_since(since_s, *STAMPED)
        mask = _masks(
            image.troubles()[:count],
            image.power_kw()[:count],
            state.quality,
            state.connected,
            ~index.is_class(*CHARGING) | state.plugged,
            fitted_flags(implausible, count),
            fitted_flags(clock, count),
            fitted_flags(ignoring, count),
            self._waiting_s,
            state.at_s,
        )
        mask[below_promise] |= _BELOW_PROMISE
        changed = np.flatnonzero(mask != self._mask)
        if len(changed):
            self._change(state, changed, mask)
            self._counts = _counted(index, mask)

    def of(self, row: int) -> Sequence[tuple[Trouble, float]]:
        """Return the troubles of a row, each with the epoch second it was first seen."""
        if row >= len(self._mask):
            return ()
        return [(trouble, self._since_s.get((row, trouble), np.nan)) for trouble in Trouble if self._has(row, trouble)]

    def health(
        self, index: FleetIndex, row: int, card: Mapping[str, object], refused: LastRefused | None
    ) -> DeviceHealth:
        """Return the troubles of the device in ``row``, and the last value refused of it.

        Args:
            index: The fleet.
            row: Its row.
            card: Reported by its link; ``clock_offset_s``, positive where its clock is slow, is a detail.
            refused: The last value refused of it.
        """
        offset_s = card.get("clock_offset_s")
        if not isinstance(offset_s, int | float) and refused is not None and refused.verdict in STAMPED:
            offset_s = -refused.ahead_s
        details = {Trouble.CLOCK_OFF: clock_words(offset_s)} if isinstance(offset_s, int | float) else {}
        return DeviceHealth(
            troubles=tuple(known_trouble(trouble, since_s, details) for trouble, since_s in self.of(row)),
            last_rejected=None if refused is None else rejected_value(index, row, refused),
        )

    def rows_with(self, trouble: Trouble, count: int) -> BoolArray:
        """Return which of the first ``count`` rows have a trouble, shape ``(count,)``."""
        return fitted_flags(np.asarray(self._mask >> int(trouble) & 1 == 1), count)

    @property
    def counts(self) -> TroubleCount:
        """Number of rows with each trouble now."""
        return self._counts

    def _has(self, row: int, trouble: Trouble) -> bool:
        return bool(int(self._mask[row]) >> trouble & 1)

    def _fit(self, count: int) -> None:
        more = count - len(self._mask)
        if more > 0:
            self._mask = np.append(self._mask, np.zeros(more, dtype=np.int64))
            self._waiting_s = np.append(self._waiting_s, np.full(more, np.nan))

    def _change(self, state: FleetState, rows: IdArray, mask: IdArray) -> None:
        began, ended = mask[rows] & ~self._mask[rows], self._mask[rows] & ~mask[rows]
        self._mask = mask
        for trouble in Trouble:
            beginning, ending = rows[began >> trouble & 1 == 1].tolist(), rows[ended >> trouble & 1 == 1].tolist()
            for row in beginning:
                self._since_s[row, trouble] = state.at_s
            for row in ending:
                self._since_s.pop((row, trouble), None)
            self._log_change(state, trouble, beginning, begins=True)
            self._log_change(state, trouble, ending, begins=False)

    def _log_change(self, state: FleetState, trouble: Trouble, rows: Sequence[int], *, begins: bool) -> None:
        if not rows:
            return
        names = [state.index.resources[row].id for row in rows[:_NAMED]]
        event, words = "device trouble begins" if begins else "device trouble ends", worded(trouble)
        code = trouble.name.lower()
        if len(rows) > _NAMED or not self._may_list(trouble, begins, state.at_s, len(rows)):
            _log.warning(event, trouble=code, devices=len(rows), examples=names, english=words.english)
            return
        for name in names:
            _log.warning(event, trouble=code, resource=name, english=words.english, chinese=words.chinese)

    def _may_list(self, trouble: Trouble, begins: bool, at_s: float, count: int) -> bool:  # noqa: FBT001 - a key
        """Return whether devices are listed one by one; false where too many lines were written lately."""
        began_s, lines = self._lines.get((trouble, begins), (at_s, 0))
        if at_s - began_s > _LINES_S:
            began_s, lines = at_s, 0
        self._lines[trouble, begins] = began_s, lines + count
        return lines + count <= _LINES


@njit()
def _masks(  # noqa: PLR0917 - a kernel takes arguments by position
    reported: IdArray,
    power_kw: FloatArray,
    quality: CodeArray,
    connected: BoolArray,
    metering: BoolArray,
    implausible: BoolArray,
    clock: BoolArray,
    ignoring: BoolArray,
    waiting_s: FloatArray,
    at_s: float,
) -> IdArray:
    """Return the troubles of every row: those its link reports and those the service sees."""
    mask = reported.copy()
    for row in range(len(mask)):
        if implausible[row] or (quality[row] == _BAD and not np.isnan(power_kw[row])):
            mask[row] |= _IMPLAUSIBLE
        if clock[row]:
            mask[row] |= _CLOCK
        if ignoring[row]:
            mask[row] |= _IGNORES
        never = np.isnan(power_kw[row])
        if not (connected[row] and metering[row] and never):
            waiting_s[row] = np.nan
        elif np.isnan(waiting_s[row]):
            waiting_s[row] = at_s
        if at_s - waiting_s[row] > PATIENCE_S:
            mask[row] |= _NOT_METERED
        if connected[row] and metering[row] and not never and quality[row] == _STALE:
            mask[row] |= _FROZEN
    return mask


def _counted(index: FleetIndex, mask: IdArray) -> TroubleCount:
    total: dict[Trouble, int] = {}
    by_adapter: dict[tuple[str, Trouble], int] = {}
    for trouble in Trouble:
        has = mask >> int(trouble) & 1 == 1
        if not has.any():
            continue
        total[trouble] = int(np.count_nonzero(has))
        counts = np.bincount(index.adapter_code[has], minlength=len(ADAPTERS)).tolist()
        by_adapter |= {(adapter.value, trouble): n for adapter, n in zip(ADAPTERS, counts, strict=True) if n}
    return TroubleCount(total=total, by_adapter=by_adapter)


def rejected_value(index: FleetIndex, row: int, refused: LastRefused) -> RejectedValue:
    """Return what was last refused of a device, as people are shown it."""
    resource = index.resources[row]
    return RejectedValue(
        quantity=refused.quantity,
        kind=refused.verdict.word,
        value=refused.value,
        nameplate_kw=nameplate_kw(resource.p_min_kw, resource.p_max_kw),
        age_s=refused.age_s,
        ahead_s=refused.ahead_s,
    )


def labels_of(counts: TroubleCount) -> Mapping[tuple[str, str], int]:
    """Return counts by the labels of the metric."""
    return {(adapter, trouble.name.lower()): count for (adapter, trouble), count in counts.by_adapter.items()}
