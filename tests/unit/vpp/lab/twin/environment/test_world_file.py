"""World files: the shipped ones, and messages about those that make no sense."""

from pathlib import Path

import pytest

from vpp.domain.errors import InputError
from vpp.lab.twin.environment.world_file import KIND_WORLD, World, shipped_worlds, world


def test_the_shipped_worlds_are_there_and_the_kind_one_changes_nothing() -> None:
    assert shipped_worlds() == ("hostile", "kind")
    assert world("kind") == KIND_WORLD
    assert KIND_WORLD.is_kind
    hostile = world("hostile")
    assert not hostile.is_kind
    assert not hostile.hours_known
    assert sum(make.share for make in hostile.devices.makes) == pytest.approx(1.0)
    shares = hostile.people.departure_shares
    assert sorted(shares) == list(shares)
    assert len(shares) == len(hostile.people.departure_minutes)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('title = "x"\n[people]\nsilent = 0.5', "people.silent"),
        ('title = "x"\n[people]\nsilent_share = 1.5', "people.silent_share"),
        ('title = "x"\n[days]\nweather = "sunny"', "days.weather"),
        ('title = "x"\n[people]\ndeparture_shares = [0.0, 1.0]\ndeparture_minutes = [1.0]', "departure_minutes"),
        ('title = "x"\n[devices]\nknee = [0.9, 1.0]', "devices.knee"),
        ('title = "x"\n[[devices.makes]]\nshare = 0.4', "add up to 1"),
        ("title = ", "TOML"),
        ("[days]", "title"),
    ],
)
def test_a_world_that_makes_no_sense_is_refused_by_name(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=word):
        World.read(path)


def test_an_unknown_name_is_told_what_there_is() -> None:
    with pytest.raises(InputError, match="hostile, kind"):
        world("mild")
