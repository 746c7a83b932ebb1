"""Plans of the ordinary world: the policy of the service without what it holds ready."""

from pathlib import Path

from vpp.bootstrap.parts.policies import planning_policy
from vpp.lab.simulate.city import virtual_settings
from vpp.lab.simulate.worlds.ordinary import ordinary_policy


def test_the_ordinary_world_holds_no_reserve_and_keeps_nothing_free(tmp_path: Path) -> None:
    settings = virtual_settings(tmp_path, reserve_windows="13-15=1000", regulation_kw=50.0)
    policy, ordinary = planning_policy(settings), ordinary_policy(settings)
    assert policy.reserve.windows
    assert policy.regulation_kw == 50.0
    assert not ordinary.reserve.windows
    assert ordinary.regulation_kw == 0.0
    assert ordinary.penalties == policy.penalties
