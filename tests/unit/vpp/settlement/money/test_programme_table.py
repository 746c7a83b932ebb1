"""Programmes as files: what is shipped settles as before, and every wrong value is named."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from vpp.bootstrap.parts.programme import SHIPPED, programme_in
from vpp.domain.errors import ConfigurationError, InputError
from vpp.domain.request import BaselineMethod
from vpp.domain.resource import ResourceClass
from vpp.settlement.baselines.method_choice import MethodChoice
from vpp.settlement.baselines.reference_days import BaselineRules
from vpp.settlement.money.programme import Programme
from vpp.settlement.money.programme_table import programme_of
from vpp.settlement.money.settlement_terms import SHANGHAI_PLACEHOLDER, SettlementTerms

PLAIN = {"name": "summer", "version": "2", "source": "contract 7"}


def test_the_shipped_file_says_the_rules_of_before() -> None:
    shipped = programme_in(None)
    assert shipped.rules == BaselineRules()
    assert dict(shipped.choice.usual) == dict(MethodChoice().usual)
    assert dict(shipped.choice.quick) == dict(MethodChoice().quick)
    assert shipped.terms.rule.bands == SHANGHAI_PLACEHOLDER.bands
    assert (shipped.terms.rule.name, shipped.terms.rule.version) == ("shanghai_80_120_placeholder", "1")
    assert shipped.terms.price_cny_per_kwh == SettlementTerms().price_cny_per_kwh
    assert shipped.sha256 == Programme().sha256


def test_what_is_recorded_of_a_programme_is_that_programme_again() -> None:
    table = tomllib.loads(SHIPPED.read_text(encoding="utf-8")) | {"version": "9", "methods": {"hvac": "high_4_of_5"}}
    one = programme_of(table)
    again = programme_of(one.facts())
    assert again.sha256 == one.sha256
    assert again.choice.usual[ResourceClass.HVAC] is BaselineMethod.HIGH_4_OF_5
    assert one.sha256 != Programme().sha256


@pytest.mark.parametrize(
    "change",
    [
        {"window": {"clip": [0.9, 1.1]}},
        {"settlement": {"price_cny_per_kwh": "3.01"}},
        {"methods": {"pv": "match_day"}},
        {"settlement": {"bands": [{"lo": 0.0, "pay_factor": 1.0}]}},
    ],
)
def test_every_rule_is_part_of_the_hash(change: dict[str, Any]) -> None:
    assert programme_of(PLAIN | change).sha256 != programme_of(PLAIN).sha256


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": " "}, "name"),
        ({"prices": {}}, "prices"),
        ({"methods": {"hvac": "guess"}}, "methods.hvac"),
        ({"methods": {"storage": "same_type_days"}}, "methods.storage"),
        ({"methods": {"hvac": "session"}}, "methods.hvac"),
        ({"methods": {"hvac": "weather_regression"}}, "methods.hvac"),
        ({"window": {"clip": [1.2, 0.8]}}, "window.clip"),
        ({"window": {"days": 0}}, "window.days"),
        ({"window": {"adjustment": "some"}}, "window.adjustment"),
        ({"settlement": {"price_cny_per_kwh": 3.1}}, "settlement.price_cny_per_kwh"),
        ({"settlement": {"price_cny_per_kwh": "NaN"}}, "settlement.price_cny_per_kwh"),
        ({"settlement": {"retained_ratio": "1.5"}}, "settlement.retained_ratio"),
        ({"settlement": {"netting": "site"}}, "settlement.netting"),
        ({"settlement": {"exclusivity": "both"}}, "settlement.exclusivity"),
        ({"settlement": {"bands": [{"hi": 1.0}]}}, "settlement.bands[0].lo"),
        ({"settlement": {"bands": [{"lo": 0.5, "pay_factor": 1.0}]}}, "bands"),
    ],
)
def test_a_wrong_value_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError) as caught:
        programme_of(PLAIN | change)
    assert caught.value.field == named


def test_a_file_that_is_not_accepted_stops_the_start_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text('name = "x"\nversion = "1"\nsource = "y"\n[window]\nday = 3\n')
    with pytest.raises(ConfigurationError, match=r"p\.toml.*window\.day"):
        programme_in(path)
    with pytest.raises(ConfigurationError, match=r"none\.toml"):
        programme_in(tmp_path / "none.toml")


def test_every_shipped_programme_is_accepted_and_named_after_its_file() -> None:
    files = sorted(SHIPPED.parent.glob("*.toml"))
    assert len(files) >= 2
    assert [programme_in(path).name for path in files] == [path.stem for path in files]
    assert programme_in(SHIPPED.parent / "judged.toml").choice.quick == Programme().choice.quick
