"""A request for far more than the city has: an honest no, and an offer that holds."""

from tests.story.city import FAR_TOO_MUCH_KW, VirtualCity
from vpp.domain.request import RequestState, Verdict


async def test_a_no_names_its_limits_and_the_counter_offer_is_then_delivered(city: VirtualCity) -> None:
    request = await city.ask(city.draft(FAR_TOO_MUCH_KW, minutes=30.0))

    quote = request.quote
    assert quote is not None
    assert quote.verdict in (Verdict.INFEASIBLE, Verdict.PARTIAL)
    assert quote.limits
    assert all(limit.name and limit.until_at > limit.from_at for limit in quote.limits)
    offer = quote.counter_offers[0]
    assert 0.0 < offer.target_kw <= quote.p50_kw

    accepted = await city.plant.accept(request.id, offer=0, actor="dispatcher")
    assert accepted.accepted_kw == offer.target_kw
    over = await city.play_out(request.id)

    performance, verdict = city.plant.performance(request.id), city.verdict(over)
    assert performance is not None
    assert over.state is RequestState.SETTLED
    assert performance.accuracy_ratio >= 0.97
    assert verdict["accuracy_true_ratio"] >= 0.96
    assert verdict["promises_broken"] == 0
    assert verdict["cap_violations"] == 0
    assert verdict["limits_not_restored"] == 0
