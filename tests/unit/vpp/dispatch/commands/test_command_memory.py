"""Sources of commands: what is in force keeps its source, and a place that was another's is used again."""

import numpy as np

from tests.fleets import at_one_site
from vpp.dispatch.commands.command_memory import CommandMemory
from vpp.dispatch.commands.journal_codec import Noted
from vpp.dispatch.settings import CommandRules
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch

UNTIL_S = 1060.0


def memory(*sources: str) -> CommandMemory:
    """Return a memory in which each row holds a value of one of these sources until ``UNTIL_S``."""
    made, count = CommandMemory(CommandRules().back_off), len(sources)
    devices = tuple(
        Resource(
            id=f"r{number}",
            site_id="s",
            resource_class=ResourceClass.STORAGE,
            adapter=Adapter.MODBUS,
            address=str(number),
            p_min_kw=-10.0,
            p_max_kw=10.0,
        )
        for number in range(count)
    )
    made.resize(at_one_site(devices, limit_kw=1e6, export_limit_kw=1e6), np.ones(count))
    ids, rows = np.arange(1, count + 1, dtype=np.int64), np.arange(count, dtype=np.int32)
    codes = np.array([made.source_code(name) for name in sources], dtype=np.int32)
    made.states.sent(
        SetpointBatch(
            ids=ids,
            rows=rows,
            layers=np.full(count, Layer.DISPATCH, dtype=np.int8),
            power_kw=np.zeros(count),
            until_s=np.full(count, UNTIL_S),
            epoch=1,
        ),
        Noted(np.zeros(count), codes),
        1000.0,
    )
    made.states.answered(
        OutcomeBatch(
            ids=ids,
            rows=rows,
            status=np.full(count, OutcomeStatus.ACCEPTED, dtype=np.int8),
            reasons=np.full(count, Reason.NONE, dtype=np.int8),
            at_s=np.full(count, 1001.0),
        )
    )
    return made


def test_a_source_is_bound_while_a_value_of_it_is_in_force() -> None:
    made = memory("req-1", "req-2")
    assert made.bound_sources(UNTIL_S - 1.0) == {"req-1", "req-2"}
    assert made.bound_sources(UNTIL_S) == set()


def test_a_forgotten_source_leaves_its_rows_and_its_place() -> None:
    made = memory("plan", "req-1", "req-2")
    made.forget_sources(["req-1", "never-sent"])
    assert made.states.columns.in_force.source.tolist() == [0, -1, 2]
    assert made.source_code("req-2") == 2
    assert made.source_code("req-3") == 1
    assert made.source_code("req-4") == 3
    assert made.sources == ["plan", "req-3", "req-2", "req-4"]
