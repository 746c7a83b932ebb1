"""Trust in the record: nothing new is promised before it is verified, nor after it was found not to hold.

Control of what runs does not wait for it. While it is trusted, its head is signed and exported every minute in which
there are new entries, after every commitment, at checkpoints and at a clean stop.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter

import structlog

from vpp.application.trust.accepted_restore import check_acceptable, note_acceptance, vouch_for_acceptance
from vpp.domain.errors import StorageError, UnverifiedError, VppError
from vpp.ports import Clock, Journal, RecordAnchor
from vpp.record.decisions import RestoreDecision
from vpp.record.entry import Head
from vpp.record.verification import Verification

_log = structlog.get_logger(__name__)
_PATIENCE_WALL_S = 2.0
"""Longest time a commitment waits for the verification, or for its head."""
_LOOK_S, _EXPORT_S, _AGAIN_S = 5.0, 60.0, 300.0
"""Seconds between two looks for a decision or for heads to send, two heads, and two verifications that failed."""


class RecordTrust:
    """Verifies the record beside control and vouches for it while it grows.

    Args:
        anchor: Vouches for the journal; ``None`` where the record ends with the process and is trusted as it is.
        journal: The record.
        clock: The only source of time.

    Attributes:
        failures: Attempts to keep or send heads that failed so far.
        verified: Called once with the verification by which the record is trusted, before it is.
    """

    def __init__(self, anchor: RecordAnchor | None, journal: Journal, clock: Clock) -> None:
        self._anchor = anchor
        self._journal = journal
        self._clock = clock
        self._found: Verification | None = None
        self._fault = ""
        self._accepted = False
        self._closing = False
        self._verifying: asyncio.Task[None] | None = None
        self._exporting = asyncio.Lock()
        self._exported: Head | None = None
        self._exported_s = self._verified_s = float("-inf")
        self._faults: dict[str, str] = {}
        self._vouching: set[asyncio.Task[None]] = set()
        self._noted: RestoreDecision | None = None
        self.failures = 0
        self.verified: Callable[[Verification], object] = lambda _: None

    @property
    def trusted(self) -> bool:
        """The record was verified, or an operator accepted it as it stands."""
        return self._anchor is None or self._accepted or (self._found is not None and self._found.holds)

    @property
    def guards(self) -> bool:
        """The record is verified: a damaged one is found, and refused for new commitments."""
        return self._anchor is not None

    @property
    def failing(self) -> str:
        """Why signed heads cannot be kept or sent now, empty while they can."""
        return "; ".join(self._faults.values())

    @property
    def verifying(self) -> bool:
        """The first verification has not ended yet."""
        return self._anchor is not None and self._found is None and not self._fault

    @property
    def reason(self) -> str:
        """Why the record is not trusted, empty while it is."""
        if self.trusted:
            return ""
        if self._found is None:
            return self._fault or "it is being verified"
        return self._found.reason

    def start(self) -> None:
        """Have the record verified beside whatever else goes on, unless that is under way."""
        if self._anchor is not None and self._verifying is None:
            self._verifying = asyncio.create_task(self._verify(self._anchor), name="verification")

    async def require(self) -> None:
        """Return if something new may be promised; waits a moment for a verification that is about to end.

        Raises:
            UnverifiedError: The record is being verified, or does not hold.
        """
        self.start()
        if not self.trusted and self._verifying is not None:
            await asyncio.wait((self._verifying,), timeout=_PATIENCE_WALL_S)
        if not self.trusted:
            raise UnverifiedError(f"nothing new is promised while the record is not trusted: {self.reason}")

    async def vouch(self) -> None:
        """Sign and export the journal's head if it is new; a fault is counted and shown, and stops nothing."""
        anchor = self._anchor
        if anchor is None or not self.trusted:
            return
        async with self._exporting:
            head = self._journal.head()
            if head == self._exported or not head.sequence:
                return
            at_s = self._clock.now_s()
            try:
                await asyncio.to_thread(anchor.export, head, at_s)
            except VppError as error:
                self._failed("kept", str(error))
                return
            self._exported, self._exported_s = head, at_s
            self._works("kept")

    async def committed(self) -> None:
        """Export the head after a commitment; does not wait long for a place that is slow."""
        if self._anchor is None:
            return
        vouching = asyncio.create_task(self.vouch(), name="head")
        self._vouching.add(vouching)
        vouching.add_done_callback(self._vouching.discard)
        await asyncio.wait((vouching,), timeout=_PATIENCE_WALL_S)

    async def run(self) -> None:
        """Verify, export, send and look for decisions until cancelled."""
        if self._anchor is None:
            return
        while True:
            await self._turn(self._anchor)
            await self._clock.sleep(_LOOK_S)

    async def close(self) -> None:
        """Export the last head and send what waits."""
        self._closing = True
        if self._verifying is not None:
            await asyncio.wait((self._verifying,))
        await self.vouch()
        if self._anchor is not None and self.trusted:
            await self._send(self._anchor)

    async def _turn(self, anchor: RecordAnchor) -> None:
        now_s = self._clock.now_s()
        if self.trusted:
            if now_s - self._exported_s >= _EXPORT_S:
                await self.vouch()
            await self._send(anchor)
            return
        decision = None if self.verifying else await _decision(anchor)
        if self._verifying is None or decision is not None or now_s - self._verified_s >= _AGAIN_S:
            await self._verified_again()
        if decision is not None and not self.verifying:
            await self._decide(anchor, decision)

    async def _verified_again(self) -> None:
        if self._verifying is not None and self._verifying.done():
            self._verifying = None
        self.start()
        if self._verifying is not None:
            await asyncio.wait((self._verifying,))

    async def _verify(self, anchor: RecordAnchor) -> None:
        began, before = perf_counter(), self.reason
        try:
            found = await asyncio.to_thread(anchor.verify_start, self._go_on)
        except _ClosingError:
            return
        except (VppError, OSError) as error:
            self._found, self._fault = None, f"it cannot be verified: {error}"
            _log.error("record cannot be verified; new commitments are refused", why=str(error))
            return
        finally:
            self._verified_s = self._clock.now_s()
        if found.holds:
            self.verified(found)
        self._found, self._fault = found, ""
        figures = {
            "entries": found.entries,
            "by_digest": found.by_digest,
            "heads": found.heads,
            "wall_s": round(perf_counter() - began, 3),
        }
        if found.holds:
            _log.info("record verified", unprotected=found.unprotected, **figures)
        elif self.reason != before:
            _log.error(
                "record does not verify; new commitments are refused until an operator decides",
                findings=[finding.body() for finding in found.findings],
                **figures,
            )

    def _go_on(self, _entries: int) -> None:
        if self._closing:
            raise _ClosingError

    async def _decide(self, anchor: RecordAnchor, decision: RestoreDecision) -> None:
        """Carry a decision out: the entry, then the head that makes it bind."""
        if self.trusted or self._found is None:
            await asyncio.to_thread(anchor.decided)
            return
        try:
            check_acceptable(self._found)
            if self._noted != decision:
                note_acceptance(self._journal, self._found, decision, self._clock.now_s())
                self._noted = decision
            await self._journal.flush()
            await asyncio.to_thread(vouch_for_acceptance, self._journal, anchor, self._clock.now_s())
        except StorageError as error:
            self._failed("kept", str(error))
            return
        except VppError as error:
            await asyncio.to_thread(anchor.decided)
            _log.error("the decision on the record cannot be carried out", why=str(error))
            return
        self._accepted, self._exported, self._exported_s = True, self._journal.head(), self._clock.now_s()
        _log.warning("record accepted as it stands", actor=decision.actor, reason=decision.reason)

    async def _send(self, anchor: RecordAnchor) -> None:
        try:
            await asyncio.to_thread(anchor.send)
        except StorageError as error:
            self._failed("sent", str(error))
        else:
            self._works("sent")

    def _failed(self, what: str, why: str) -> None:
        self.failures += 1
        if what not in self._faults:
            _log.error(f"signed heads cannot be {what}", why=why)
        self._faults[what] = why

    def _works(self, what: str) -> None:
        if self._faults.pop(what, None) is not None:
            _log.info(f"signed heads are {what} again")


async def _decision(anchor: RecordAnchor) -> RestoreDecision | None:
    """Return a decision that waits, ``None`` where it or the key cannot be read: the verification says of what."""
    try:
        return await asyncio.to_thread(anchor.decision)
    except (VppError, OSError):
        return None


class _ClosingError(Exception):
    """The service stops; a verification under way ends."""
