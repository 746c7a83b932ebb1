"""Versions, time stamps and fault codes of OCPP-J."""

import math

import pytest

from adapters.ocpp.messages.ocpp_j import (
    SPELLING,
    Fault,
    Version,
    choose_version,
    parse_stamp,
    stamp,
)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["ocpp1.6", "ocpp2.1"], Version.V21),
        (["ocpp2.0.1", "ocpp1.6"], Version.V201),
        ([], Version.V16),
        (["ocpp1.5", "soap"], None),
    ],
)
def test_the_best_common_version_is_chosen(offered: list[str], chosen: Version | None) -> None:
    assert choose_version(offered) is chosen


@pytest.mark.parametrize(
    "text", ["2025-07-01T18:00:00Z", "2025-07-02T02:00:00+08:00", "2025-07-01T18:00:00", "20250701T18Z"]
)
def test_stamps_are_read_with_and_without_an_offset(text: str) -> None:
    assert stamp(parse_stamp(text)) == "2025-07-01T18:00:00.000Z"


@pytest.mark.parametrize("text", ["", "yesterday", None, 5, "2025-13-01T00:00:00Z"])
def test_what_is_no_stamp_is_unknown(text: object) -> None:
    assert math.isnan(parse_stamp(text))


def test_every_fault_has_a_spelling_in_every_version() -> None:
    for version in Version:
        assert set(SPELLING[version]) == set(Fault)
