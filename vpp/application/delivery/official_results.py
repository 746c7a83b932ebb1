"""Official results of requests: taken once, every correction a new version, compared with the own settlement."""

import asyncio
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from vpp.application.delivery.settlement import Settlement
from vpp.domain.errors import ConflictError, UnknownIdError
from vpp.domain.official_settlement import OfficialLine, OfficialResult, Reconciliation
from vpp.domain.performance import Settled, Shares
from vpp.domain.timegrid import instant
from vpp.ports import Clock, Journal
from vpp.settlement.money.reconciliation import OwnResult, reconciled

OFFICIAL = "settlement.official"


class OfficialResults:
    """Takes official results into the journal and compares them; calls that read block.

    Args:
        clock: The only source of time.
        journal: Holds the results.
        settlement: The own results.
    """

    def __init__(self, *, clock: Clock, journal: Journal, settlement: Settlement) -> None:
        self._clock = clock
        self._journal = journal
        self._settlement = settlement
        self._taken: dict[str, list[OfficialResult]] = {}

    def resume(self, taken: Mapping[str, Sequence[OfficialResult]]) -> None:
        """Take up what was stated before a restart, by request id."""
        self._taken = {request_id: list(versions) for request_id, versions in taken.items()}

    def forget(self, request_ids: Iterable[str]) -> None:
        """Drop the results of requests that are forgotten; the journal keeps them."""
        for request_id in request_ids:
            self._taken.pop(request_id, None)

    async def take(self, request_id: str, *, source: str, lines: Sequence[OfficialLine]) -> tuple[OfficialResult, bool]:
        """Record an official result; durable before this returns. The flag is false if it is the last one again.

        Raises:
            ConflictError: The request is not settled.
            StorageError: The journal takes nothing now; it may be sent again.
        """
        digest = await asyncio.to_thread(digest_of, source, lines)
        self._settled(request_id)
        versions = self._taken.setdefault(request_id, [])
        if versions and versions[-1].sha256 == digest:
            await self._journal.flush()
            return versions[-1], False
        result = OfficialResult(
            request_id=request_id,
            version=len(versions) + 1,
            source=source,
            at_s=self._clock.now_s(),
            sha256=digest,
            lines=tuple(lines),
        )
        versions.append(result)
        self._journal.append(OFFICIAL, result.at_s, official_body(result))
        await self._journal.flush()
        return result, True

    def compared(self, request_id: str, settled: Settled, version: int | None = None) -> Reconciliation:
        """Return an official result, the last one unless a version is named, against our shares; blocks.

        Args:
            request_id: The request.
            settled: The shares that are in sight.
            version: Number of the version.

        Raises:
            UnknownIdError: There is no such result.
        """
        versions = self._taken.get(request_id, [])
        place = len(versions) if version is None else version
        if not 1 <= place <= len(versions):
            raise UnknownIdError(
                "official result", request_id if version is None else f"{request_id} version {version}"
            )
        return reconciled(self._own(request_id, settled.shares), versions[place - 1])

    def _own(self, request_id: str, shares: Shares) -> OwnResult:
        """Return our shares with their intervals, without where the baseline was pruned or owners have changed."""
        try:
            measured = self._settlement.performance(request_id)
        except ConflictError:
            measured = None
        if measured is None:
            return OwnResult(shares=shares, intervals=())
        whole = measured.shares
        owners = list(zip(whole.operator_ids, whole.site_ids, strict=True))
        wanted = list(zip(shares.operator_ids, shares.site_ids, strict=True))
        if not shares.delivered_kw.shape[1] and set(wanted) <= set(owners):
            again = whole.chosen([owners.index(owner) for owner in wanted])
            shares = replace(shares, delivered_kw=again.delivered_kw)
        return OwnResult(shares=shares, intervals=measured.intervals)

    def _settled(self, request_id: str) -> None:
        if not any(one.request_id == request_id for one in self._settlement.settled()):
            raise ConflictError(
                f"request {request_id} is not settled: there is nothing to compare an official result with"
            )


def digest_of(source: str, lines: Sequence[OfficialLine]) -> str:
    """Return the hash of a result: the same lines in the same order, however their numbers were written."""
    facts = [source, [[str(value) for value in _facts(line)] for line in lines]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _facts(line: OfficialLine) -> tuple[object, ...]:
    return (
        line.operator_id,
        line.site_id,
        None if line.start_at is None else line.start_at.timestamp(),
        None if line.energy_kwh is None else line.energy_kwh.normalize(),
        None if line.amount_cny is None else line.amount_cny.normalize(),
    )


def official_body(result: OfficialResult) -> dict[str, object]:
    """Return an official result for the journal, a list a field; it decides nothing, so an older service passes it."""
    return {
        "request_id": result.request_id,
        "version": result.version,
        "source": result.source,
        "sha256": result.sha256,
        "operator_id": [line.operator_id for line in result.lines],
        "site_id": [line.site_id for line in result.lines],
        "start_s": [None if line.start_at is None else line.start_at.timestamp() for line in result.lines],
        "energy_kwh": [None if line.energy_kwh is None else str(line.energy_kwh) for line in result.lines],
        "amount_cny": [None if line.amount_cny is None else str(line.amount_cny) for line in result.lines],
        "passable": True,
    }


def official_of(at_s: float, body: Mapping[str, Any]) -> OfficialResult:
    """Return the result that ``official_body`` wrote."""
    columns = (body[name] for name in ("operator_id", "site_id", "start_s", "energy_kwh", "amount_cny"))
    return OfficialResult(
        request_id=str(body["request_id"]),
        version=int(body["version"]),
        source=str(body["source"]),
        at_s=at_s,
        sha256=str(body["sha256"]),
        lines=tuple(
            OfficialLine(
                operator_id=operator_id,
                site_id=site_id,
                start_at=None if start_s is None else instant(start_s),
                energy_kwh=None if energy is None else Decimal(energy),
                amount_cny=None if amount is None else Decimal(amount),
            )
            for operator_id, site_id, start_s, energy, amount in zip(*columns, strict=True)
        ),
    )
