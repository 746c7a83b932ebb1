"""The growth of the journal is measured, on a thousandth of the city."""

from vpp.application.delivery.baseline_freezing import BASELINE
from vpp.application.delivery.session_baselines import SESSIONS
from vpp.application.loops.cycle_inputs import CYCLE, TICK
from vpp.application.loops.slow_loop import INTENDED, PLAN
from vpp.dispatch.commands.journal_codec import OUTCOMES, SENT
from vpp.dispatch.requests.register import TRANSITION
from vpp.lab.bench.journal.growth import measured_growth


def test_every_part_of_the_day_is_counted() -> None:
    growth = measured_growth(300)
    body = growth.body()
    wanted = {BASELINE, SESSIONS, CYCLE, TICK, INTENDED, PLAN, OUTCOMES, SENT, TRANSITION}
    assert wanted <= growth.by_kind_mb.keys()
    assert 8640 < growth.entries < 200_000
    assert 0.0 < growth.archive_mb < growth.table_mb
    assert body["journal_mb_per_day"] == round(growth.table_mb, 1)
