"""Acts on standing commitments: entered, ended, forgotten."""

from collections.abc import Callable, Collection, Sequence

from vpp.application.requests.commitment_gate import CommitmentGate
from vpp.application.standing.standing_book import STANDING, StandingBook, commitment_body
from vpp.domain.errors import ConflictError, InputError, UnknownIdError
from vpp.domain.request import CITY
from vpp.domain.standing import StandingCommitment, StandingTerms
from vpp.domain.units import SECONDS_PER_DAY
from vpp.ports import Clock, Journal
from vpp.record.state_codec import StateTree

MOST = 1_000
"""Commitments that are known at a time."""


class StandingService:
    """Carries out what is asked of standing commitments; every act is durable before it is answered.

    Args:
        clock: The only source of time.
        journal: Holds every act.
        gate: Keeps new commitments back while they could be forgotten, or the record is not trusted.
        areas: Returns the ids of the fleet's areas.
        stated: Commitments of the settings, which no act changes.
        keep_days: Days for which a commitment is kept once it is over; 0 for ever.

    Attributes:
        forgotten: Called with the ids of commitments that are forgotten.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        journal: Journal,
        gate: CommitmentGate,
        areas: Callable[[], Collection[str]],
        stated: Sequence[StandingCommitment] = (),
        keep_days: float = 0.0,
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._gate = gate
        self._areas = areas
        self._stated = {one.id: one for one in stated}
        self._keep_s = keep_days * SECONDS_PER_DAY
        self.forgotten: Callable[[Sequence[str]], None] = _nobody
        self._book = StandingBook()

    def resume(self, state: StateTree) -> None:
        """Go on from the book of earlier runs."""
        self._book.load(state)

    def all(self) -> Sequence[StandingCommitment]:
        """Return every commitment: those of the settings, then those entered, oldest first."""
        return (*self._stated.values(), *self._book.all())

    def get(self, commitment_id: str) -> StandingCommitment:
        """Return one commitment; raises UnknownIdError."""
        found = self._stated.get(commitment_id) or self._book.get(commitment_id)
        if found is None:
            raise UnknownIdError("standing commitment", commitment_id)
        return found

    async def enter(self, terms: StandingTerms, *, key: str | None, actor: str) -> tuple[StandingCommitment, bool]:
        """Enter a commitment; the flag is false where ``key`` was seen before.

        Raises:
            InputError: A field is out of range.
            UnknownIdError: There is no such area.
            ConflictError: ``key`` was used for other terms, or too many are known.
            StorageError: The journal takes nothing now.
        """
        known = self._book.under(key)
        if known is not None:
            if known.terms != terms:
                raise ConflictError(f"the idempotency key {key!r} was used for standing commitment {known.id}")
            await self._journal.flush()
            return known, False
        now = self._clock.now()
        self._check(terms)
        if len(self._book.all()) >= MOST:
            raise ConflictError(f"{MOST} standing commitments are known; forget some of them (VPP_REQUEST_DAYS)")
        await self._gate.require()
        again = self._book.under(key)
        if again is not None:  # another caller with the key was let through first
            return await self.enter(terms, key=key, actor=actor)
        entered = StandingCommitment(
            id=f"std-{now.timestamp():.0f}-{self._book.made + 1}", terms=terms, created_at=now, actor=actor, key=key
        )
        self._record({"act": "entered", "commitment": commitment_body(entered)})
        await self._journal.flush()
        await self._gate.made()
        return entered, True

    async def end(self, commitment_id: str, *, actor: str) -> StandingCommitment:
        """End a commitment now; one that is over stays as it is.

        Raises:
            UnknownIdError: There is no such commitment.
            ConflictError: It stands in the settings.
            StorageError: The journal takes nothing now.
        """
        commitment, now = self.get(commitment_id), self._clock.now()
        if commitment_id in self._stated:
            raise ConflictError(f"standing commitment {commitment_id} stands in VPP_STANDING_COMMITMENTS: end it there")
        if commitment.over_at is None or now < commitment.over_at:
            self._record({"act": "ended", "id": commitment_id, "at_s": now.timestamp(), "actor": actor})
        await self._journal.flush()
        return self.get(commitment_id)

    async def forget(self) -> None:
        """Forget commitments that have been over for as long as requests are kept.

        Raises:
            StorageError: The database takes nothing now.
        """
        before_s = self._clock.now_s() - self._keep_s
        over = [one.id for one in self._book.all() if one.over_at is not None and one.over_at.timestamp() < before_s]
        if self._keep_s and over:
            self._record({"act": "forgotten", "ids": over})
            self.forgotten(over)
            await self._journal.flush()

    def _record(self, body: dict[str, object]) -> None:
        self._journal.append(STANDING, self._clock.now_s(), body)
        self._book.follow(body)

    def _check(self, terms: StandingTerms) -> None:
        if terms.area != CITY and terms.area not in self._areas():
            raise UnknownIdError("area", terms.area)
        if terms.until_at is not None and terms.until_at <= max(terms.from_at, self._clock.now()):
            raise InputError("until_at", terms.until_at.isoformat(), "a time after from_at and after now")


def _nobody(commitment_ids: Sequence[str]) -> None:
    """Tell nobody."""
