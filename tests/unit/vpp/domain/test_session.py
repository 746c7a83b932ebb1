"""News of cars from devices: what cannot be meant is kept out, whatever adapter it comes by."""

import math

import pytest

from vpp.domain.errors import InputError
from vpp.domain.session import Promise, SessionEnded, SessionPromised, SessionStarted, check_promise, sound

NOW_S = 1_784_100_000.0
YEAR_1_S, YEAR_9999_S = -62_135_596_800.0, 253_402_300_799.0


@pytest.mark.parametrize("departure_s", [YEAR_1_S, YEAR_9999_S, math.nan, math.inf, 0.0, NOW_S + 1e7])
def test_a_departure_out_of_all_reason_is_no_promise(departure_s: float) -> None:
    promise = Promise(energy_kwh=10.0, departure_s=departure_s)
    with pytest.raises(InputError, match="departure_at"):
        check_promise(promise, NOW_S)
    with pytest.raises(InputError, match="departure_at"):
        sound(SessionPromised(session_id="a", promise=promise), NOW_S)


@pytest.mark.parametrize(
    ("energy_kwh", "floor_kwh"),
    [(-1.0, 0.0), (1e9, 0.0), (math.nan, 0.0), (5.0, 6.0), (5.0, math.nan), (math.inf, 0.0)],
)
def test_an_energy_no_car_takes_is_no_promise(energy_kwh: float, floor_kwh: float) -> None:
    with pytest.raises(InputError, match="kwh"):
        check_promise(Promise(energy_kwh=energy_kwh, departure_s=NOW_S + 60.0, floor_kwh=floor_kwh), NOW_S)


def test_a_promise_that_can_be_meant_is_left_as_it_is() -> None:
    event = SessionPromised(session_id="a", promise=Promise(energy_kwh=10.0, departure_s=NOW_S + 3600.0))
    assert sound(event, NOW_S) is event


@pytest.mark.parametrize("at_s", [YEAR_1_S, YEAR_9999_S, math.nan, -math.inf])
def test_news_stamped_out_of_all_reason_counts_as_of_now(at_s: float) -> None:
    for kind in (SessionStarted, SessionEnded):
        taken = sound(kind(session_id="a", row=1, at_s=at_s, meter_kwh=math.inf), NOW_S)
        assert isinstance(taken, kind)
        assert (taken.at_s, repr(taken.meter_kwh)) == (NOW_S, "nan")


def test_sound_news_is_left_as_it_is() -> None:
    event = SessionStarted(session_id="a", row=1, at_s=NOW_S - 86_400.0, meter_kwh=math.nan)
    assert sound(event, NOW_S) is event
