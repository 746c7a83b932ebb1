"""Rules of drills follow the settings."""

import pytest

from vpp.bootstrap.parts.drills import drill_rules
from vpp.config import Settings
from vpp.domain.errors import ConfigurationError
from vpp.domain.request import Direction


def test_the_settings_reach_the_rules() -> None:
    settings = Settings.load(
        drill_per_week=4.0, drill_hours="10-16.5", drill_share=0.1, drill_minutes=30.0, drill_directions="up, down"
    )
    rules = drill_rules(settings)
    assert (rules.per_week, rules.hours, rules.share, rules.minutes) == (4.0, (10.0, 16.5), 0.1, 30.0)
    assert rules.directions == (Direction.UP, Direction.DOWN)
    assert drill_rules(Settings.load()).per_week == 0.0, "none unless an operator wants them"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("drill_hours", "20-8"),
        ("drill_hours", "8-25"),
        ("drill_hours", "noon"),
        ("drill_directions", "sideways"),
        ("drill_directions", "up,up"),
        ("drill_share", 0.0),
        ("verified_days", 0.0),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"VPP_{name.upper()}"):
        Settings.load(**{name: value})
