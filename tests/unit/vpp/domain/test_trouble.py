"""Troubles of a device: one bit each, and words in two languages."""

from hypothesis import given
from hypothesis import strategies as st

from vpp.domain.trouble import WORDS, Trouble, clock_words, mask_of, troubles_of, worded


@given(st.sets(st.sampled_from(Trouble)))
def test_a_mask_holds_what_was_put_in(troubles: set[Trouble]) -> None:
    assert set(troubles_of(mask_of(troubles))) == troubles


def test_every_trouble_has_words_in_both_languages() -> None:
    assert set(WORDS) == set(Trouble)
    assert all(words.english and words.chinese for words in WORDS.values())


def test_a_slow_clock_is_said_in_minutes() -> None:
    assert worded(Trouble.CLOCK_OFF, clock_words(300.0)) == ("clock 5 min slow", "时钟慢5分钟")
    assert worded(Trouble.CLOCK_OFF, clock_words(-20.0)).english == "clock 20 s fast"


def test_bits_this_version_does_not_know_are_left_out() -> None:
    assert troubles_of(1 << 50 | 1) == (Trouble.NOT_METERED,)
