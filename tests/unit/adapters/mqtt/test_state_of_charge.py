"""States of charge in per cent, as shares, and with a glitch."""

from adapters.mqtt.state_of_charge import SocScales


def test_one_glitch_does_not_make_shares_of_per_cent() -> None:
    charges = SocScales()
    assert charges.share(0, 0.8) == 0.8
    charges.refused(0, 40.0)
    shares = [charges.share(0, value) for value in (0.8, 0.81, 0.82, 0.83)]
    assert repr(shares) == "[nan, nan, 0.82, 0.83]"
    assert charges.share(1, 1.0) == 1.0, "every device has habits of its own"
