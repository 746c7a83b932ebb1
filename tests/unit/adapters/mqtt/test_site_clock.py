"""A site's clock: measured over time, set back, never ahead of what came before."""

from adapters.mqtt.site_clock import SiteClock

NOW_S = 1_784_100_000.0


def test_a_short_acquaintance_tells_nothing_of_a_clock() -> None:
    clock = SiteClock()
    for k in range(3):
        clock.note(NOW_S + 10.0 * k - 300.0, NOW_S + 10.0 * k)
    assert clock.offset_s == 0.0


def test_what_was_stamped_later_is_never_told_as_earlier_whatever_becomes_of_the_offset() -> None:
    clock, told = SiteClock(), []
    for k, delay_s in enumerate((45.0, 50.0, 40.0, 55.0, 30.0, 20.0, 5.0, 28.0, 2.0)):
        stamp_s = NOW_S + 30.0 * k
        clock.note(stamp_s, stamp_s + delay_s)
        at_s = clock.instant_s(stamp_s, stamp_s + delay_s)
        assert at_s is not None
        told.append(at_s)
    assert told == sorted(set(told))


def test_after_its_clock_was_set_back_a_site_is_heard_as_before() -> None:
    clock = SiteClock()
    for k in range(5):
        clock.note(NOW_S + 30.0 * k + 300.0, NOW_S + 30.0 * k)
        clock.instant_s(NOW_S + 30.0 * k + 300.0, NOW_S + 30.0 * k)
    later_s = NOW_S + 200.0
    clock.note(later_s, later_s)
    assert clock.instant_s(later_s, later_s) is not None
