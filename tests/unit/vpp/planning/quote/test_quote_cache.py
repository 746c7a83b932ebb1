"""Quotes of any draft on a small synthetic city."""

import numpy as np
import pytest

from tests.unit.vpp.planning.city_parts import expected, made, now
from vpp.domain.request import Direction
from vpp.domain.timegrid import instant
from vpp.lab.bench.quote import drafts_of
from vpp.lab.bench.synthetic_city import NOW_S
from vpp.planning.quote.quote_cache import QuoteCache


def test_any_draft_gets_an_answer_that_makes_sense() -> None:
    quote_cache = QuoteCache()
    for asked in drafts_of(made(), now(), 4, count=16):
        answer = quote_cache.quote(
            asked,
            state=now(),
            forecast=expected(),
            schedule=None,
            delivery_ratio=lambda: np.full(len(now()), 0.95),
            committed_kw=np.zeros(192),
            now=instant(NOW_S),
        )
        lows, middles, highs = (
            np.array(values)
            for values in (answer.deliverable_p10_kw, answer.deliverable_p50_kw, answer.deliverable_p90_kw)
        )
        assert (lows <= middles + 1e-9).all()
        assert (middles <= highs + 1e-9).all()
        assert 0.0 <= answer.confidence_ratio <= 1.0
        assert answer.energy_kwh == pytest.approx(middles.sum() * 0.25)
        assert answer.promises_broken == 0
        if asked.rebound_cap_kw is not None and asked.direction is Direction.UP:
            assert max(answer.rebound_kw) <= asked.rebound_cap_kw * 1.001
