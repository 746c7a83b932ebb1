"""Capability cards shared by stations that are alike."""

from dataclasses import replace

from adapters.ocpp.profiles.power_units import RateUnit
from adapters.ocpp.station.capability_cards import Abilities, CapabilityCards


def test_stations_alike_share_one_record() -> None:
    cards = CapabilityCards()
    known = Abilities(version="ocpp1.6", vendor="A", model="M", firmware="1", units=(RateUnit.W,))
    assert cards.shared(known) is cards.shared(replace(known))
    assert cards.begin_test(known)
    assert not cards.begin_test(known)  # one of a make is enough
    cards.remember(replace(known, tested=True, follows=False))
    assert cards.recall(replace(known, units=None)).tested
    assert cards.recall(known).follows is None  # that is a station's own
    assert not cards.begin_test(known)


def test_a_probe_may_be_left_until_it_is_cleared_or_the_make_is_known() -> None:
    cards = CapabilityCards()
    known = Abilities(version="ocpp1.6", vendor="Acme", model="One")
    assert cards.may_keep_probe("CP3", known), "a process before this one may have begun a test"
    assert not cards.may_keep_probe("CP3", replace(known, model="")), "a nameless make is never tested"
    cards.note_probed("CP3")
    cards.remember(replace(known, tested=True))
    assert cards.may_keep_probe("CP3", known)
    assert not cards.may_keep_probe("CP4", known)
    cards.note_cleared("CP3")
    assert not cards.may_keep_probe("CP3", known)
