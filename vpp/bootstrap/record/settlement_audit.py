"""Audit of a settlement: measured again from journal and stored intervals, and compared with what was issued."""

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.console import Console

from vpp.application.delivery.issued_shares import shares_body, shares_from
from vpp.application.delivery.recovery import ISSUED, issued_body
from vpp.bootstrap.parts.restoration import recovered_of, take_up
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.domain.errors import ConfigurationError, ConflictError
from vpp.domain.timegrid import instant
from vpp.runtime.clock import VirtualClock
from vpp.settlement.money.programme import Programme
from vpp.settlement.money.programme_table import programme_of
from vpp.storage.journal import SqlJournal

_SHOWN = 20
_COMPARED = (
    "accuracy_ratio",
    "delivered_mean_kw",
    "energy_kwh",
    "rebound_peak_kw",
    "baseline_sha256",
    "settlement_cny",
    "regulation",
    "intervals",
    "shares",
)
"""Fields that follow from journal and intervals alone; the spread needs plans that are not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A figure that came out otherwise.

    Attributes:
        field: Its place in the issued measurement.
        issued: As it was issued.
        recomputed: As it is now.
    """

    field: str
    issued: object
    recomputed: object

    def body(self) -> dict[str, object]:
        """Return it as JSON-like content."""
        return {"field": self.field, "issued": _plain(self.issued), "recomputed": _plain(self.recomputed)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementAudit:
    """What measuring again has found.

    Attributes:
        request_id: The request.
        entry: Entry of the journal in which it was issued.
        issued_at: When.
        programme_sha256: Hash of the programme it was settled by; empty in entries older than programmes.
        compared: Number of figures compared.
        differences: Those that came out otherwise.
    """

    request_id: str
    entry: int
    issued_at: str
    programme_sha256: str
    compared: int
    differences: tuple[Difference, ...]

    def body(self) -> dict[str, object]:
        """Return it as JSON-like content."""
        return {
            "request_id": self.request_id,
            "entry": self.entry,
            "issued_at": self.issued_at,
            "programme_sha256": self.programme_sha256,
            "compared": self.compared,
            "differences": [difference.body() for difference in self.differences],
            "holds": not self.differences,
        }


def run_settlement_audit(settings: Settings, request_id: str, *, as_json: bool) -> int:
    """Measure a settled request again and print what differs; return 0 only if nothing does."""
    store = Store.open(settings.database_url, archive=settings.archive_place, migrate=False)
    try:
        with Console(stderr=True).status("measuring again"):
            found = audited(settings, store, request_id)
    finally:
        store.database.dispose()
    sys.stdout.write(json.dumps(found.body()) + "\n" if as_json else _text(found))
    return 1 if found.differences else 0


def audited(settings: Settings, store: Store, request_id: str) -> SettlementAudit:
    """Return what a settled request comes out as from journal and stored intervals; writes nothing.

    Raises:
        ConfigurationError: It was not settled, as far as the journal goes.
        UnknownIdError: The journal knows no such request any more.
        ConflictError: Its baseline was pruned from the journal, or its metered intervals are not kept any more.
    """
    entries = [entry for entry in store.journal.entries((ISSUED,)) if entry.body["request_id"] == request_id]
    if not entries:
        raise ConfigurationError(
            f"REQUEST: {request_id!r} has no settlement in the journal; give the id of a settled one"
        )
    entry = entries[-1]
    body: Any = store.journal.opened(entry.body)
    programme = programme_of(body["programme"]) if "programme" in body else Programme()
    again = _measured_again(settings, store, request_id, programme, entry.at_s)
    # Columns were written in other forms by earlier versions.
    issued = {**body, "shares": shares_body(shares_from(body.get("shares")))}
    pairs = [pair for name in _COMPARED if name in body for pair in _leaves(name, issued[name], again.get(name))]
    differences = tuple(
        Difference(field=field, issued=one, recomputed=other) for field, one, other in pairs if not _same(one, other)
    )
    if differences:
        _check_kept(store, request_id, body["intervals"]["start_s"])
    return SettlementAudit(
        request_id=request_id,
        entry=entry.sequence,
        issued_at=instant(entry.at_s).isoformat(),
        programme_sha256=str(body.get("programme_sha256", "")),
        compared=len(pairs),
        differences=differences,
    )


def _check_kept(store: Store, request_id: str, starts_s: Sequence[float]) -> None:
    """Refuse a settlement whose intervals were deleted; raises ConflictError."""
    begin_s, first_s = min(starts_s, default=math.inf), store.meters.first_s
    if begin_s < (math.inf if first_s is None else first_s) and begin_s < math.inf:
        kept = "none is kept" if first_s is None else f"they are kept from {instant(first_s).isoformat()} on"
        raise ConflictError(
            f"request {request_id!r} cannot be measured again: its metered intervals begin at"
            f" {instant(begin_s).isoformat()}, and {kept} (VPP_INTERVAL_DAYS)"
        )


def _measured_again(
    settings: Settings, store: Store, request_id: str, programme: Programme, issued_s: float
) -> Mapping[str, object]:
    last = store.journal.head().sequence
    # A clock that was set back has the last entry before the settlement.
    now_s = max(issued_s, next(store.journal.entries(after=last - 1)).at_s)
    service = Service(
        settings, replace(store, journal=_Reading(store.database, settings.archive_place)), VirtualClock(now_s), ()
    )
    take_up(service.core, service.requests, (), recovered_of(service.core).state, now_s)
    measurement = service.requests.measurement
    measurement.programme = programme
    return issued_body(measurement.measure(service.core.engine.book.get(request_id)), programme)


class _Reading(SqlJournal):
    """A journal that is read and not written to."""

    def set_torn_aside(self, at_s: float) -> int:  # noqa: ARG002 - nothing is moved here
        """Return 0: nothing is moved."""
        return 0

    def append(self, kind: str, at_s: float, body: Mapping[str, object]) -> int:  # noqa: ARG002 - nothing is kept
        """Return 0: nothing is kept."""
        return 0


def _leaves(field: str, issued: Any, recomputed: Any) -> Iterator[tuple[str, object, object]]:  # noqa: ANN401 - JSON-like
    """Iterate the figures of two bodies side by side, each with its place."""
    if isinstance(issued, Mapping):
        other = recomputed if isinstance(recomputed, Mapping) else {}
        for name in [*issued, *(name for name in other if name not in issued)]:
            yield from _leaves(f"{field}.{name}", issued.get(name), other.get(name))
    elif isinstance(issued, Sequence | np.ndarray) and not isinstance(issued, str):
        other_list = recomputed if isinstance(recomputed, Sequence | np.ndarray) else ()
        for place in range(max(len(issued), len(other_list))):
            one = issued[place] if place < len(issued) else None
            two = other_list[place] if place < len(other_list) else None
            yield from _leaves(f"{field}[{place}]", one, two)
    else:
        yield field, issued, recomputed


def _same(issued: object, recomputed: object) -> bool:
    """Return whether two figures are equal bit for bit; unknown is null in the journal."""
    return _plain(issued) == _plain(recomputed)


def _plain(value: object) -> object:
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and math.isnan(plain) else plain


def _text(found: SettlementAudit) -> str:
    lines = [f"request {found.request_id}, issued {found.issued_at} in entry {found.entry}: {found.compared} figures"]
    lines += [
        f"{one.field}: issued {_plain(one.issued)}, now {_plain(one.recomputed)}" for one in found.differences[:_SHOWN]
    ]
    if len(found.differences) > _SHOWN:
        lines.append(f"and {len(found.differences) - _SHOWN} more; --json names them all")
    lines.append("the settlement differs" if found.differences else "the settlement holds")
    return "\n".join(lines) + "\n"
