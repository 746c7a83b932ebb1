"""Kernels compiled before the first cycle that matters."""

from vpp.dispatch.allocation import plan_following, request_controller
from vpp.dispatch.arbitration import assignment, guard
from vpp.dispatch.commands import outbox
from vpp.dispatch.warmup import warm_up


def test_after_warming_up_the_kernels_of_an_active_cycle_are_compiled() -> None:
    warm_up()

    for kernel in (
        request_controller.survey,
        request_controller._offers,
        request_controller._setpoints,
        assignment.enlist,
        assignment.leases,
        guard._clamped,
        plan_following._followed,
        outbox._actions,
    ):
        assert len(kernel.signatures) == 1, "every array comes in one type"  # type: ignore[attr-defined] # numba's own
