"""Cities from tables: counts, caps, variants, scale, and messages about tables that make no sense."""

from pathlib import Path

import numpy as np
import pytest

from vpp.domain.errors import InputError, UnknownIdError
from vpp.domain.resource import Adapter, ResourceClass
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.population.city_model import CityModel, shipped, shipped_path, spread

TABLE = shipped_path("shanghai-2026")


@pytest.fixture(scope="module")
def small() -> FleetIndex:
    return CityModel.read(TABLE).fleet(scale=0.02)


def counted(model: CityModel) -> dict[ResourceClass, int]:
    counts = dict.fromkeys(ResourceClass, 0)
    for place in model.places:
        for name, count in place.holds.items():
            counts[model.devices[name].resource_class] += count
    return counts


def installed_mw(model: CityModel, kind: ResourceClass, field: str) -> float:
    pairs = ((model.devices[name], count) for place in model.places for name, count in place.holds.items())
    return sum(abs(d.ratings[field]) * count for d, count in pairs if d.resource_class is kind) / 1000.0


def test_the_shipped_city_has_the_numbers_of_the_fleet_model() -> None:
    model = CityModel.read(TABLE)
    counts = counted(model)
    assert counts[ResourceClass.EV] == 230_000
    assert counts[ResourceClass.V2G] == 2_000
    assert counts[ResourceClass.PV] == 30_500
    assert counts[ResourceClass.HVAC] == 2_000
    assert counts[ResourceClass.INDUSTRY] == 560
    assert 276_000 <= sum(counts.values()) <= 276_500
    assert installed_mw(model, ResourceClass.PV, "p_min_kw") == 1_495.0
    assert installed_mw(model, ResourceClass.STORAGE, "p_max_kw") == 830.0  # 800 MW and the telecom sites' 30
    assert len(model.areas) == 16
    assert next(place.sites for place in model.places if place.kind == "home-old") == 600


def test_variants_take_places_away_or_change_them() -> None:
    electric = counted(CityModel.read(TABLE, variants=["electric"]))
    assert electric[ResourceClass.HVAC] == electric[ResourceClass.INDUSTRY] == 0
    less = CityModel.read(TABLE, variants=["storage-310"])
    assert installed_mw(less, ResourceClass.STORAGE, "p_max_kw") == 340.0
    with pytest.raises(UnknownIdError, match="hydrogen"):
        CityModel.read(TABLE, variants=["hydrogen"])


def test_a_smaller_city_keeps_its_proportions(small: FleetIndex) -> None:
    assert len(small) == pytest.approx(0.02 * 276_266, rel=0.01)
    assert len({site.area_id for site in small.sites}) == 16
    assert small.is_class(ResourceClass.HVAC).sum() == 40


def shares_mw(index: FleetIndex) -> dict[ResourceClass, float]:
    plate = index.nameplate
    size_kw = np.maximum(np.abs(plate.p_max_kw), np.abs(plate.p_min_kw))
    return {cls: float(size_kw[index.is_class(cls)].sum()) / 1000.0 for cls in ResourceClass}


@pytest.mark.parametrize("scale", [0.001, 0.005, 0.02, 0.07, 0.3])
def test_every_class_has_its_share_at_any_scale(scale: float) -> None:
    model = CityModel.read(TABLE)
    field = dict.fromkeys(ResourceClass, "p_max_kw") | {ResourceClass.PV: "p_min_kw"}
    city = {cls: installed_mw(model, cls, field[cls]) for cls in ResourceClass}
    small = model.fleet(scale=scale)
    for cls, megawatts in shares_mw(small).items():
        assert megawatts == pytest.approx(scale * city[cls], rel=0.02), cls
    stored_kwh = np.nan_to_num(small.nameplate.capacity_kwh)[small.is_class(ResourceClass.STORAGE)].sum()
    assert stored_kwh == pytest.approx(scale * 1_678_800.0, rel=0.02)
    assert small.feeders.own_base_kw.sum() == pytest.approx(scale * model_base_kw(model), rel=0.05)


def model_base_kw(model: CityModel) -> float:
    mean = [np.mean([kva * p.base_ratio[i % len(p.base_ratio)] for i, kva in enumerate(p.kva)]) for p in model.places]
    return float(sum(0.95 * p.sites * kw for p, kw in zip(model.places, mean, strict=True)))


def test_classes_lie_in_neighbouring_rows(small: FleetIndex) -> None:
    assert (np.diff(small.class_code.astype(int)) >= 0).all()


def test_the_load_of_others_fits_under_every_node_of_the_tree(small: FleetIndex) -> None:
    assert (small.feeders.base_kw < small.feeders.limit_kw).all()
    roots = small.feeders.parent < 0
    assert roots.sum() == 16
    assert all(small.transformers[i].id.startswith("district-") for i in np.flatnonzero(roots))


def test_chargers_of_old_compounds_have_defaults_between_their_floor_and_their_nameplate(small: FleetIndex) -> None:
    weak = np.array([r.site_id.startswith("home-old") for r in small.resources])
    assert (small.nameplate.default_kw >= small.nameplate.floor_kw)[weak].all()
    assert (small.nameplate.default_kw < small.nameplate.p_max_kw)[weak].any()
    strong = small.is_class(ResourceClass.EV) & ~weak
    assert (small.nameplate.default_kw == small.nameplate.p_max_kw)[strong].all()


def test_addresses_are_unique(small: FleetIndex) -> None:
    for adapter in Adapter:
        addresses = [r.address for r in small.resources if r.adapter is adapter]
        assert len(set(addresses)) == len(addresses) > 0


def test_spread_gives_whole_numbers_that_add_up() -> None:
    assert spread(10, [1.0, 1.0, 2.0]) == [2, 3, 5]
    assert sum(spread(31_200, [400.0, 630.0, 500.0] * 200)) == 31_200


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("title =", "titel =", "title"),
        ('class = "ev"', 'class = "bicycle"', "bicycle"),
        ("holds = { home_7 = 31_200 }", "holds = { home_8 = 31_200 }", "home_8"),
        ("sites = 600", "sites = 0", "home-old"),
        ("floor_kw = 1.32", "flor_kw = 1.32", "flor_kw"),
        ("floor_kw = 1.32", "version = 2", "version"),
        ("coincidence = 0.33", "concidence = 0.33", "concidence"),
        ("[day]", "[day", "TOML"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_by_name(tmp_path: Path, old: str, new: str, word: str) -> None:
    text = TABLE.read_text(encoding="utf-8")
    assert old in text
    table = tmp_path / "city.toml"
    table.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises((InputError, UnknownIdError), match=word):
        CityModel.read(table)


def test_shipped_tables_are_found_by_name() -> None:
    assert "shanghai-2026" in shipped()
    with pytest.raises(UnknownIdError, match="atlantis"):
        shipped_path("atlantis")
