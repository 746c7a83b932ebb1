"""Cache of quotes and declarations: what they share is gathered once a snapshot and kept while it is fresh."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from vpp.domain.request import Product, Quote, RequestDraft
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.planning.flexibility.aggregation import Aggregation
from vpp.planning.flexibility.error_law import ErrorLaws, NormalLaws
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.planning.flexibility.flexibility_inputs import FlexibilityInputs, FlexibilityPolicy
from vpp.planning.forecast.load_forecast import Forecast
from vpp.planning.quote.assessment import Envelopes
from vpp.planning.quote.capability import Declaration, declare
from vpp.planning.quote.quote import VALID_S, check_draft, quote_on
from vpp.planning.quote.rebound import ClassPrices
from vpp.planning.quote.regulation_quote import symmetric_quote
from vpp.planning.tariff import Tariff

FRESH_S = 60.0
"""A snapshot of that age is taken anew; telemetry of a device may be as old."""
_MOST_ENVELOPES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gathered:
    """A basis and what it was gathered from."""

    forecast: Forecast
    schedule: Schedule | None
    eligible: BoolArray | None
    basis: FlexibilityBasis

    def serves(
        self,
        state: FleetState,
        forecast: Forecast,
        schedule: Schedule | None,
        eligible: BoolArray | None,
        *,
        fresh_s: float,
    ) -> bool:
        """Return whether a question about these is answered by this basis."""
        if self.eligible is not eligible and not np.array_equal(self.eligible, eligible):  # type: ignore[arg-type]
            return False
        before = self.basis.inputs.state
        same = self.forecast is forecast and self.schedule is schedule and before.index is state.index
        return same and 0.0 <= state.at_s - before.at_s < fresh_s


class QuoteCache:
    """Keeps the flexibility basis of the last snapshot; safe to use from several threads.

    Args:
        policy: What may be promised.
        prices: What it costs.
        fresh_s: Seconds for which a snapshot serves further questions, unless forecast, plan or fleet change.
        laws: What is known of the errors of quotes; the normal law if not given.
        tariff: Prices at which stores could trade until a request's start; Shanghai's if not given.
    """

    def __init__(
        self,
        *,
        policy: FlexibilityPolicy | None = None,
        prices: ClassPrices | None = None,
        fresh_s: float = FRESH_S,
        laws: ErrorLaws | None = None,
        tariff: Tariff | None = None,
    ) -> None:
        self._policy = policy or FlexibilityPolicy()
        self._prices = prices or ClassPrices()
        self._fresh_s = fresh_s
        self._laws = laws or NormalLaws()
        self._tariff = tariff or Tariff()
        self._guard = threading.Lock()
        self._groups: tuple[FleetIndex, Aggregation] | None = None
        self._latest: _Gathered | None = None
        self._envelopes: Envelopes = {}

    def quote(
        self,
        draft: RequestDraft,
        *,
        state: FleetState,
        forecast: Forecast,
        schedule: Schedule | None,
        delivery_ratio: Callable[[], FloatArray],
        committed_kw: FloatArray,
        now: datetime,
        called_kw: FloatArray | None = None,
        valid_s: float = VALID_S,
        eligible: BoolArray | None = None,
        score: Callable[[], FloatArray] | None = None,
    ) -> Quote:
        """Return the quote of a draft; see `vpp.planning.quote.quote.quote`.

        Args:
            draft: What is asked.
            state: Snapshot of the fleet.
            forecast: Of the same rows.
            schedule: The plan in force.
            delivery_ratio: Returns each row's chance to follow a command; called only when the basis is gathered anew.
            committed_kw: Already promised by forecast step.
            now: Moment of the quote.
            called_kw: The part of it that takes energy; see `vpp.planning.quote.quote.quote_on`.
            valid_s: How long it holds.
            eligible: Rows that acceptance would enlist, shape ``(n_resources,)``; all that are usable if not given.
            score: Returns the score each row is expected to have under a regulation signal; called only for one.

        Raises:
            InputError: A field of the draft makes no sense, or the forecast does not reach so far.
            UnknownIdError: No such area.
        """
        basis, envelopes = self._basis_for(state, forecast, schedule, delivery_ratio, eligible)
        check_draft(draft, basis.inputs, committed_kw)
        if draft.product is Product.REGULATION:
            return symmetric_quote(
                basis,
                draft,
                committed_kw=committed_kw,
                now=now,
                valid_s=valid_s,
                prices=self._prices,
                score=None if score is None else score(),
            )
        return quote_on(
            basis,
            draft,
            committed_kw=committed_kw,
            now=now,
            called_kw=called_kw,
            valid_s=valid_s,
            prices=self._prices,
            envelopes=envelopes,
            laws=self._laws,
            tariff=self._tariff,
        )

    def basis(
        self,
        *,
        state: FleetState,
        forecast: Forecast,
        schedule: Schedule | None,
        delivery_ratio: Callable[[], FloatArray],
        eligible: BoolArray | None,
    ) -> FlexibilityBasis:
        """Return what quotes on these are made from; arguments as ``quote``."""
        return self._basis_for(state, forecast, schedule, delivery_ratio, eligible)[0]

    def declaration(
        self,
        *,
        state: FleetState,
        forecast: Forecast,
        schedule: Schedule | None,
        delivery_ratio: Callable[[], FloatArray],
        steps: int | None = None,
        eligible: BoolArray | None = None,
    ) -> Declaration:
        """Return the declaration of every area; arguments as ``quote``, steps as ``capability.declare``."""
        basis, _ = self._basis_for(state, forecast, schedule, delivery_ratio, eligible)
        return declare(basis, steps=steps)

    def _basis_for(
        self,
        state: FleetState,
        forecast: Forecast,
        schedule: Schedule | None,
        delivery_ratio: Callable[[], FloatArray],
        eligible: BoolArray | None,
    ) -> tuple[FlexibilityBasis, Envelopes]:
        with self._guard:
            latest = self._latest
            if latest is None or not latest.serves(state, forecast, schedule, eligible, fresh_s=self._fresh_s):
                inputs = FlexibilityInputs.of(
                    state, forecast=forecast, schedule=schedule, policy=self._policy, eligible=eligible
                )
                basis = FlexibilityBasis.of(inputs, delivery_ratio(), self._groups_of(state.index))
                latest = _Gathered(forecast=forecast, schedule=schedule, eligible=eligible, basis=basis)
                self._latest, self._envelopes = latest, {}
            elif len(self._envelopes) > _MOST_ENVELOPES:
                self._envelopes = {}
            return latest.basis, self._envelopes

    def _groups_of(self, index: FleetIndex) -> Aggregation:
        if self._groups is None or self._groups[0] is not index:
            self._groups = index, Aggregation.of(index)
        return self._groups[1]
