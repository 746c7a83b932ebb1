"""A user's own fleet from CSV: one file, a folder, and errors that name the line and the column."""

from pathlib import Path

import numpy as np
import pytest

from vpp.domain.errors import InputError, UnknownIdError
from vpp.domain.limits import Limits
from vpp.domain.resource import Adapter, ResourceClass
from vpp.lab.twin.population.fleet_file import fleet_from_csv

HEADER = "id,resource_class,p_max_kw,p_min_kw,capacity_kwh,efficiency,transformer_id,transformer_limit_kw,area_id\n"


def written(folder: Path, text: str, name: str = "fleet.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_one_file_is_a_fleet_with_what_it_does_not_say_filled_in(tmp_path: Path) -> None:
    rows = "a,ev,7.04,,,,t1,50,north\nb,storage,100,-100,200,0.93,t1,50,north\nc,pv,,-30,,,t2,,south\n"
    fleet = fleet_from_csv(written(tmp_path, HEADER + rows))
    assert [r.resource_class for r in fleet.resources] == [ResourceClass.EV, ResourceClass.STORAGE, ResourceClass.PV]
    assert [r.adapter for r in fleet.resources] == [Adapter.OCPP, Adapter.MODBUS, Adapter.MODBUS]
    assert [area.id for area in fleet.areas] == ["north", "south"]
    assert fleet.feeders.limit_kw.tolist() == [50.0, 30.0]
    assert fleet.nameplate.p_max_kw.tolist() == [7.04, 100.0, 0.0]


def test_the_shortest_file_has_two_columns_and_a_size(tmp_path: Path) -> None:
    fleet = fleet_from_csv(written(tmp_path, "id,resource_class,p_max_kw\nx,hvac,900\ny,hvac,800\n"))
    assert len(fleet.sites) == len(fleet.transformers) == 1
    assert np.isfinite(fleet.nameplate.default_kw).all()


def test_limits_are_read_at_every_level(tmp_path: Path) -> None:
    written(tmp_path, "id,name\nnorth,North\n", "areas.csv")
    written(tmp_path, "id,name,soc_floor\nop,Operator,0.4\n", "operators.csv")
    written(tmp_path, "id,area_id,limit_kw,export_limit_kw\nt,north,100,100\n", "transformers.csv")
    sites = "id,name,area_id,operator_id,transformer_id,promise_margin_s\ns,Site,north,op,t,900\n"
    written(tmp_path, sites, "sites.csv")
    rows = "id,site_id,resource_class,p_max_kw,soc_ceiling\na,s,v2g,11,0.8\nb,s,v2g,11,\n"
    written(tmp_path, rows, "resources.csv")
    fleet = fleet_from_csv(tmp_path)
    assert fleet.operators[0].limits == Limits(soc_floor=0.4)
    assert fleet.sites[0].limits == Limits(promise_margin_s=900.0)
    assert [r.limits for r in fleet.resources] == [Limits(soc_ceiling=0.8), Limits()]


def test_a_folder_holds_the_whole_tree(tmp_path: Path) -> None:
    written(tmp_path, "id,name\nnorth,North\n", "areas.csv")
    written(tmp_path, "id,name\nop,Operator\n", "operators.csv")
    tree = "id,area_id,limit_kw,export_limit_kw,base_load_kw,parent_id\nf,north,500,500,,\nt,north,100,100,20,f\n"
    written(tmp_path, tree, "transformers.csv")
    written(tmp_path, "id,name,area_id,operator_id,transformer_id\ns,Site,north,op,t\n", "sites.csv")
    written(tmp_path, "id,site_id,resource_class,p_max_kw\na,s,ev,11\n", "resources.csv")
    fleet = fleet_from_csv(tmp_path)
    assert fleet.feeders.parent.tolist() == [-1, 0]
    assert fleet.feeders.own_base_kw.tolist() == [0.0, 20.0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,p_max_kw\na,7\n", "resource_class"),
        ("id,resource_class,p_max_kw,colour\na,ev,7,red\n", "column colour"),
        ("id,resource_class,p_max_kw,valid_to_s\na,ev,7,1\n", "column valid_to_s"),
        ("id,resource_class,p_max_kw\na,ev,7\nb,ev,seven\n", "line 3, column p_max_kw: 'seven'"),
        ("id,resource_class,p_max_kw,soc_floor\na,v2g,7,1.3\n", "line 2, column soc_floor: 1.3"),
        ("id,resource_class,p_max_kw\na,ev,nan\n", "line 2, column p_max_kw"),
        ("id,resource_class,p_max_kw\na,ev,\n", "line 2, column p_max_kw"),
        ("id,resource_class,p_max_kw\na,toaster,7\n", "line 2, column resource_class: 'toaster'"),
        ("id,resource_class,p_max_kw\na,ev,7\na,ev,7\n", "line 3, column id"),
        ("id,resource_class,p_max_kw,p_min_kw\na,storage,7,9\n", "line 2, column p_min_kw"),
        ("id,resource_class,p_max_kw\na,ev,7,8\n", "line 2"),
        ("id,resource_class,p_max_kw\n", "no rows"),
    ],
)
def test_what_makes_no_sense_is_refused_by_line_and_column(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        fleet_from_csv(written(tmp_path, text))


def test_a_folder_without_devices_or_with_loose_ends_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"resources\.csv"):
        fleet_from_csv(tmp_path)
    written(tmp_path, "id,site_id,resource_class,p_max_kw\na,s,ev,11\n", "resources.csv")
    written(tmp_path, "id,name\nnorth,North\n", "areas.csv")
    with pytest.raises(InputError, match=r"sites\.csv"):
        fleet_from_csv(tmp_path)
    written(tmp_path, "id,name,area_id,operator_id,transformer_id,version\ns,Site,north,op,t,2\n", "sites.csv")
    with pytest.raises(InputError, match="column version"):
        fleet_from_csv(tmp_path)
    written(tmp_path, "id,name,area_id,operator_id,transformer_id\ns,Site,north,op,t\n", "sites.csv")
    with pytest.raises(UnknownIdError):
        fleet_from_csv(tmp_path)
