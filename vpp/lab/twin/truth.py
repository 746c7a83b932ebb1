"""Ground truth of a run: minute means of the actual, the prepared and the ordinary world."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from vpp.domain.resource import STORING
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.index import CLASSES, FleetIndex
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.physics import kernels
from vpp.lab.twin.worlds import PREPARED, STORE_WORLDS, WORLDS

MINUTE_S = 60.0

LoadSink = Callable[[float, FloatArray, FloatArray], None]
"""Receives a sample's begin, the mean load of every transformer in both worlds, shape ``(2, n_transformers)``, and the
part of it that is not ours to move, shape ``(n_transformers,)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTruth:
    """Sessions that ended at or after the record's begin, or still run, one element each.

    Attributes:
        numbers: Session numbers of the model.
        rows: Fleet rows.
        arrive_s: Epoch seconds of plugging in.
        depart_s: Epoch seconds of departure.
        stated_s: The same as the driver stated it, NaN where nothing was stated.
        need_kwh: Energy the car takes if the stay is long enough.
        promised_kwh: Energy promised to the driver.
        car_kw: Greatest power the car takes.
        delivered_kwh: Net energy at the plug so far, both worlds, shape ``(2, n_sessions)``.
        finished: The car has left.
    """

    numbers: RowArray
    rows: RowArray
    arrive_s: FloatArray
    depart_s: FloatArray
    stated_s: FloatArray
    need_kwh: FloatArray
    promised_kwh: FloatArray
    car_kw: FloatArray
    delivered_kwh: FloatArray
    finished: BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Means of the worlds per sample; the first axis is actual, prepared and, but for transformers, ordinary.

    Attributes:
        start_s: Begin of each sample, shape ``(n_samples,)``.
        end_s: End of each sample, shape ``(n_samples,)``.
        class_kw: Net power per ``CLASSES``, shape ``(3, n_samples, n_classes)``.
        area_kw: Net power per area, shape ``(3, n_samples, n_areas)``.
        transformer_kw: Net load per transformer, base load included, shape ``(2, n_samples, n_transformers)``.
        base_kw: The base load of it, shape ``(n_samples, n_transformers)``.
        area_ids: Names of the areas.
        transformer_ids: Names of the transformers.
        limit_kw: Greatest import, shape ``(n_transformers,)``.
        export_limit_kw: Greatest export, shape ``(n_transformers,)``.
        sessions: The charging sessions.
        dispatch_left: Rows whose dispatch value was still in force at the end.
        default_changed: Rows whose default at the end differed from that at the begin.
    """

    start_s: FloatArray
    end_s: FloatArray
    class_kw: FloatArray
    area_kw: FloatArray
    transformer_kw: FloatArray
    base_kw: FloatArray
    area_ids: tuple[str, ...]
    transformer_ids: tuple[str, ...]
    limit_kw: FloatArray
    export_limit_kw: FloatArray
    sessions: SessionTruth
    dispatch_left: RowArray
    default_changed: RowArray

    @property
    def city_kw(self) -> FloatArray:
        """Net power of the whole fleet, shape ``(3, n_samples)``."""
        return np.asarray(self.class_kw.sum(axis=2))

    def write(self, path: Path | str) -> None:
        """Write everything to one ``.npz`` file; raises OSError."""
        columns: dict[str, Any] = {
            f.name: np.asarray(getattr(self, f.name)) for f in fields(self) if f.name != "sessions"
        }
        columns |= {f"session_{f.name}": getattr(self.sessions, f.name) for f in fields(SessionTruth)}
        np.savez_compressed(path, classes=np.array([str(cls) for cls in CLASSES]), **columns)

    @classmethod
    def load(cls, path: Path | str) -> "Truth":
        """Read what ``write`` wrote; raises OSError."""
        with np.load(path) as stored:
            columns = {f.name: stored[f.name] for f in fields(cls) if f.name != "sessions"}
            sessions = {f.name: stored[f"session_{f.name}"] for f in fields(SessionTruth)}
        for name in ("area_ids", "transformer_ids"):
            columns[name] = tuple(str(text) for text in columns[name])
        return cls(**columns, sessions=SessionTruth(**sessions))


class TruthRecorder:
    """Samples a twin; call ``sample`` about once a virtual minute.

    Args:
        twin: The model; the record begins at its present instant.
        installed_kw: Defaults that must be in force again at the end, NaN where any will do, shape ``(n,)``; those of
            this instant unless given.
        loads: Receives every sample's transformer loads, which then are not kept (gigabytes at city scale); the truth
            then names no transformers.
    """

    def __init__(self, twin: Twin, *, installed_kw: FloatArray | None = None, loads: LoadSink | None = None) -> None:
        self._twin = twin
        self._loads = loads
        self._installed_kw = (twin.setpoints.default_kw if installed_kw is None else installed_kw).copy()
        self._begin_s = self._last_s = twin.now_s
        self._last_kwh = twin.net_kwh.copy()
        self._last_ordinary_kwh = twin.meters.ordinary_kwh.copy()
        index = twin.index
        self._counts = (len(CLASSES), len(index.areas), len(index.transformers))
        self._spans_s: list[tuple[float, float]] = []
        self._classes: list[FloatArray] = []
        self._areas: list[FloatArray] = []
        self._transformers: list[FloatArray] = []
        self._base: list[FloatArray] = []

    def expect_defaults(self, installed_kw: FloatArray) -> None:
        """Take other defaults that must be in force at the end, as the fleet's registry has them by then."""
        self._installed_kw = installed_kw.copy()

    def sample(self) -> None:
        """Record the means since the last sample; does nothing if no time has passed."""
        twin, index = self._twin, self._twin.index
        span_s = twin.now_s - self._last_s
        if span_s <= 0.0:
            return
        per_kwh = SECONDS_PER_HOUR / span_s
        ordinary = self._ordinary_less_prepared_kw(per_kwh)
        class_kw, area_kw, load_kw = (np.zeros((WORLDS, count)) for count in self._counts)
        kernels.means(
            twin.net_kwh,
            self._last_kwh,
            per_kwh,
            index.class_code,
            index.area_code,
            index.transformer_code,
            class_kw,
            area_kw,
            load_kw,
        )
        load_kw = index.feeders.summed_upwards(load_kw.T).T
        # The registered base load is its evening peak; the load now is less.
        base_kw = twin.others_kw(0.5 * (twin.now_s + self._last_s))
        load_kw += base_kw
        stores = twin.devices.stores
        self._classes.append(_with_ordinary(class_kw, index.class_code[stores], ordinary))
        self._areas.append(_with_ordinary(area_kw, index.area_code[stores], ordinary))
        if self._loads is None:
            self._transformers.append(load_kw)
            self._base.append(base_kw)
        else:
            self._loads(self._last_s, load_kw, base_kw)
        self._spans_s.append((self._last_s, twin.now_s))
        self._last_s = twin.now_s

    def _ordinary_less_prepared_kw(self, per_kwh: float) -> FloatArray:
        """Return by how much each store's mean power differs in the ordinary world, shape ``(s,)``."""
        twin, stores = self._twin, self._twin.devices.stores
        ordinary_kwh = twin.meters.ordinary_kwh - self._last_ordinary_kwh
        prepared_kwh = twin.net_kwh[PREPARED, stores] - self._last_kwh[PREPARED, stores]
        self._last_ordinary_kwh = twin.meters.ordinary_kwh.copy()
        return np.asarray((ordinary_kwh - prepared_kwh) * per_kwh)

    def advance(self, to_s: float, step_s: float = 5.0) -> None:
        """Run the twin to ``to_s``, sampling at every whole minute."""
        while self._twin.now_s < to_s:
            minute_s = (self._twin.now_s // MINUTE_S + 1.0) * MINUTE_S
            self._twin.advance(min(minute_s, to_s), step_s)
            if self._twin.now_s >= minute_s:
                self.sample()

    def truth(self) -> Truth:
        """Return the record up to now."""
        self.sample()
        index, twin = self._twin.index, self._twin
        kept = index.transformers if self._loads is None else ()
        spans = np.array(self._spans_s, dtype=np.float64).reshape(-1, 2)
        differs = np.abs(twin.setpoints.default_kw - self._installed_kw) > 0.05  # noqa: PLR2004 - less is rounding on a protocol
        return Truth(
            start_s=spans[:, 0],
            end_s=spans[:, 1],
            class_kw=_stacked(self._classes, len(CLASSES), worlds=STORE_WORLDS),
            area_kw=_stacked(self._areas, len(index.areas), worlds=STORE_WORLDS),
            transformer_kw=_stacked(self._transformers, len(kept), samples=len(spans)),
            base_kw=np.stack(self._base) if self._base else np.zeros((len(spans), len(kept))),
            area_ids=tuple(area.id for area in index.areas),
            transformer_ids=tuple(t.id for t in kept),
            limit_kw=index.feeders.limit_kw[: len(kept)],
            export_limit_kw=index.feeders.export_limit_kw[: len(kept)],
            sessions=self._sessions(),
            dispatch_left=np.flatnonzero(~np.isnan(twin.dispatch_kw())).astype(np.int32),
            default_changed=np.flatnonzero(differs).astype(np.int32),
        )

    def write(self, path: Path | str) -> None:
        """Write the record up to now to one ``.npz`` file; raises OSError."""
        self.truth().write(path)

    def _sessions(self) -> SessionTruth:
        log = self._twin.sessions.settled_log()
        kept = np.flatnonzero(log.column("depart_s") >= self._begin_s).astype(np.int32)
        return SessionTruth(
            numbers=kept,
            rows=log.column("rows")[kept].astype(np.int32),
            arrive_s=log.column("arrive_s")[kept],
            depart_s=log.column("depart_s")[kept],
            stated_s=log.column("stated_s")[kept],
            need_kwh=log.column("need_kwh")[kept],
            promised_kwh=log.column("promised_kwh")[kept],
            car_kw=log.column("car_kw")[kept],
            delivered_kwh=log.column("delivered_kwh")[:, kept],
            finished=log.column("finished")[kept] > 0.0,
        )


def final_defaults_kw(index: FleetIndex) -> FloatArray:
    """Return the defaults that must be in force at the end of a run, NaN for storage and V2G: those follow the plan."""
    return np.where(index.is_class(*STORING), np.nan, index.nameplate.default_kw)


def _with_ordinary(sums_kw: FloatArray, code: RowArray | CodeArray, change_kw: FloatArray) -> FloatArray:
    """Return sums of two worlds with those of the ordinary one: the prepared world's and the change of its stores."""
    changed = np.bincount(code, weights=change_kw, minlength=sums_kw.shape[1])
    return np.concatenate((sums_kw, (sums_kw[PREPARED] + changed)[None]))


def _stacked(parts: list[FloatArray], count: int, *, worlds: int = WORLDS, samples: int = 0) -> FloatArray:
    return np.stack(parts, axis=1) if parts else np.zeros((worlds, samples, count))
